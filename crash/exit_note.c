#include "crash/exit_note.h"

#include "crash/handler/note.h"
#include "crash/session.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* Those whose default action ends the process, but for SIGKILL and the crash signals. */
static const int noted[] = {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGALRM, SIGTERM, SIGUSR1,
    SIGUSR2, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGIO, SIGSTKFLT, SIGPWR};
enum { N_NOTED = sizeof noted / sizeof *noted };

static bool ours[N_NOTED];

static void on_process_exit(int status, void *unused)
{
    (void)unused;
    struct kn_areas *a = kn_areas_current();
    if (!a || a->in_child || a->head->pid != (uint32_t)getpid())
        return;
    a->status->exit_status = status;
    __atomic_store_n(&a->status->exiting, 1, __ATOMIC_RELEASE);
    kn_session_exit(a);
}

void kn_exit_note_start(struct kn_areas *a)
{
    static bool registered;
    if (!a->told.note_exits)
        return;
    if (!registered)
        registered = !on_exit(on_process_exit, NULL);
    if (registered)
        a->head->flags |= KNELL_JOURNAL_NOTES_EXIT;
    kn_note_to((struct kn_note_place){a->head, a->status});
    for (int i = 0; i < N_NOTED; i++) {
        struct sigaction old, note = {.sa_sigaction = kn_on_ending_signal,
                                  .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
        (void)sigemptyset(&note.sa_mask);
        ours[i] = !sigaction(noted[i], NULL, &old) && !(old.sa_flags & SA_SIGINFO) &&
                  old.sa_handler == SIG_DFL && !sigaction(noted[i], &note, NULL);
    }
    a->head->flags |= KNELL_JOURNAL_NOTES_SIGNALS;
}

void kn_exit_note_stop(void)
{
    for (int i = 0; i < N_NOTED; i++) {
        struct sigaction now, dfl = {.sa_handler = SIG_DFL};
        if (ours[i] && !sigaction(noted[i], NULL, &now) && now.sa_flags & SA_SIGINFO &&
            now.sa_sigaction == kn_on_ending_signal)
            (void)sigaction(noted[i], &dfl, NULL);
        ours[i] = false;
    }
    kn_note_to((struct kn_note_place){0});
}
