/**
 * Signals that a write(2) which fails ends the process with: nobody reads the pipe, or
 * the file would grow beyond RLIMIT_FSIZE. To knell the error is enough.
 */
#pragma once
#include <signal.h>
#include <stddef.h>
#include <time.h>

struct kn_muted {
    sigset_t before, pending;
};

/**
 * Context: normal.
 */
static inline void kn_mute(struct kn_muted *m)
{
    sigset_t both;
    (void)sigemptyset(&both);
    (void)sigaddset(&both, SIGPIPE);
    (void)sigaddset(&both, SIGXFSZ);
    (void)sigemptyset(&m->pending);
    (void)sigpending(&m->pending);
    (void)pthread_sigmask(SIG_BLOCK, &both, &m->before);
}

/**
 * Take those that came since, on the same thread.
 *
 * Context: normal, where the thread cannot be cancelled.
 */
static inline void kn_unmute(const struct kn_muted *m)
{
    static const int both[] = {SIGPIPE, SIGXFSZ};
    const struct timespec now = {0};
    for (size_t i = 0; i < sizeof both / sizeof *both; i++) {
        sigset_t one;
        (void)sigemptyset(&one);
        (void)sigaddset(&one, both[i]);
        if (!sigismember(&m->pending, both[i]))
            (void)sigtimedwait(&one, NULL, &now);
    }
    (void)pthread_sigmask(SIG_SETMASK, &m->before, NULL);
}
