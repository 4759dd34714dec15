#include "crash/install.h"

#include "crash/handler/end.h"
#include "crash/handler/entry.h"
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

int kn_install_choose_signal(void)
{
    for (int signo = SIGRTMAX - 2; signo > SIGRTMIN; signo--) {
        struct kn_sigaction now;
        if (!kn_sigaction(signo, NULL, &now) && !now.handler)
            return signo;
    }
    return -EBUSY;
}

static int set_handler(
    int signo, void (*handler)(int, siginfo_t *, void *), const sigset_t *mask, int flags)
{
    struct sigaction a = {.sa_sigaction = handler, .sa_flags = flags};
    a.sa_mask = *mask;
    return sigaction(signo, &a, NULL) ? -errno : 0;
}

int kn_install(struct kn_process *p)
{
    sigset_t mask;
    uint64_t bits = kn_end_mask(p);
    (void)sigemptyset(&mask);
    memcpy(&mask, &bits, sizeof bits);
    /* SA_NODEFER: a fault while its signal is blocked kills without calling anybody. */
    int flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    for (int i = 0; i < KN_N_SIGNALS; i++) {
        (void)kn_sigaction(kn_signals[i], NULL, &p->old[i]);
        int r = set_handler(kn_signals[i], kn_on_signal, &mask, flags);
        if (r) {
            kn_uninstall(p);
            return r;
        }
    }
    (void)sigfillset(&mask);
    return set_handler(
        p->park_signal, kn_on_park, &mask, SA_SIGINFO | SA_ONSTACK | SA_RESTART);
}

static void put_back(
    int signo, void (*ours)(int, siginfo_t *, void *), const struct kn_sigaction *old)
{
    struct kn_sigaction now;
    if (!kn_sigaction(signo, NULL, &now) && now.handler == ours)
        (void)kn_sigaction(signo, old, NULL);
}

void kn_uninstall(const struct kn_process *p)
{
    for (int i = 0; i < KN_N_SIGNALS; i++)
        put_back(kn_signals[i], kn_on_signal, &p->old[i]);
    /* A thread that blocked the signal has it pending, and must not die of it one day:
     * what is ignored is forgotten. */
    const struct kn_sigaction none = {0};
    put_back(p->park_signal, kn_on_park, &kn_ignore);
    put_back(p->park_signal, kn_ignore.handler, &none);
}
