#include "crash/handler/note.h"

#include "crash/handler/end.h"
#include "crash/handler/sys.h"

#include "crash/handler/poison.h"

static struct kn_note_place to;

void kn_note_to(struct kn_note_place place)
{
    /* A handler that runs in between sees no head and takes no note. */
    __atomic_store_n(&to.head, NULL, __ATOMIC_RELEASE);
    __atomic_store_n(&to.status, place.status, __ATOMIC_RELEASE);
    __atomic_store_n(&to.head, place.head, __ATOMIC_RELEASE);
}

void kn_on_ending_signal(int signo, siginfo_t *info, void *context)
{
    const struct knell_journal_head *head = __atomic_load_n(&to.head, __ATOMIC_ACQUIRE);
    if (head && head->pid == (uint32_t)KN_SYS0(SYS_getpid)) {
        struct knell_journal_status *status = to.status;
        status->noted_sender_pid = info->si_code <= 0 ? (uint32_t)info->si_pid : 0;
        __atomic_store_n(&status->noted_signal, signo, __ATOMIC_RELEASE);
    }
    kn_end_child(NULL, signo, info, (ucontext_t *)context);
}
