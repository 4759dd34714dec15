#include "crash/install.h"

#include "crash/handler/end.h"
#include "crash/handler/entry.h"
#include "crash/handler/previous.h"
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define FLAG_RESTORER 0x04000000ul /* SA_RESTORER as the kernel has it */

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

static bool is_function(const struct kn_sigaction *a)
{
    uintptr_t handler = (uintptr_t)a->handler;
    return handler != (uintptr_t)SIG_DFL && handler != (uintptr_t)SIG_IGN;
}

static int install_one(const struct kn_process *p, int i)
{
    sigset_t mask;
    uint64_t bits = kn_end_mask(p);
    (void)sigemptyset(&mask);
    memcpy(&mask, &bits, sizeof bits);
    /* SA_NODEFER: a fault while its signal is blocked kills without calling anybody.
     * SA_RESTART: whether a system call goes on that the signal came into is for those to
     * say who see it without knell. */
    const struct kn_sigaction *old = &p->old[i];
    bool restarts = !is_function(old) || old->flags & SA_RESTART;
    return set_handler(kn_signals[i], kn_on_signal, &mask,
        SA_SIGINFO | SA_ONSTACK | SA_NODEFER | (restarts ? SA_RESTART : 0));
}

/* Not blocked in its own handler: by that one tells who is deaf from who is coming. */
static int install_park(struct kn_process *p)
{
    sigset_t mask;
    (void)sigfillset(&mask);
    (void)sigdelset(&mask, p->park_signal);
    int r = set_handler(p->park_signal, kn_on_park, &mask,
        SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER);
    if (!r)
        (void)kn_sigaction(p->park_signal, NULL, &p->park);
    return r;
}

int kn_install(struct kn_process *p)
{
    /* First: the others may be needed, and then use it, before they are all there. */
    int r = install_park(p);
    for (int i = 0; !r && i < KN_N_SIGNALS; i++) {
        (void)kn_sigaction(kn_signals[i], NULL, &p->old[i]);
        r = install_one(p, i);
    }
    if (r)
        kn_uninstall(p);
    return r;
}

static bool is_ours(const struct kn_sigaction *a)
{
    return kn_previous_is_ours(a->handler);
}

/**
 * A crash signal that somebody else's handler takes now, or none does.
 *
 * Context: normal.
 * @ret_handler  what takes it; NULL: the default action, or it is ignored
 * Returns the first such signal, 0 when all come to our handlers.
 */
static int first_lost(void **ret_handler)
{
    for (int i = 0; i < KN_N_SIGNALS; i++) {
        struct kn_sigaction now;
        if (kn_sigaction(kn_signals[i], NULL, &now) || is_ours(&now))
            continue;
        *ret_handler = is_function(&now) ? (void *)(uintptr_t)now.handler : NULL;
        return kn_signals[i];
    }
    return 0;
}

void kn_install_describe(char *out, size_t n)
{
    void *handler = NULL;
    Dl_info info;
    int signo = first_lost(&handler);
    out[0] = 0;
    if (!signo)
        return;
    const char *file = "its default action", *slash;
    if (handler) {
        file = "a handler of no module";
        if (dladdr(handler, &info) && info.dli_fname)
            file = (slash = strrchr(info.dli_fname, '/')) ? slash + 1 : info.dli_fname;
    }
    (void)snprintf(out, n, "SIG%s goes to %s, not to knell", sigabbrev_np(signo), file);
}

int kn_install_again(struct kn_process *p)
{
    int n = 0;
    for (int i = 0; i < KN_N_SIGNALS; i++) {
        struct kn_sigaction now;
        if (kn_sigaction(kn_signals[i], NULL, &now) || is_ours(&now))
            continue;
        p->old[i] = now;
        int r = install_one(p, i);
        if (r)
            return r;
        n++;
    }
    return n;
}

bool kn_install_behind(
    struct kn_process *p, int signo, const struct sigaction *set, struct sigaction *get)
{
    struct kn_sigaction now, next = {0};
    int i = 0;
    while (i < KN_N_SIGNALS && kn_signals[i] != signo)
        i++;
    if (i == KN_N_SIGNALS || kn_sigaction(signo, NULL, &now) || !is_ours(&now))
        return false;
    struct kn_sigaction *old = &p->old[i];
    const struct kn_sigaction before = *old;
    if (set) {
        next.handler = set->sa_sigaction;
        /* The C library's way back from a handler, for when the kernel gets this one. */
        next.flags = ((unsigned long)(unsigned)set->sa_flags & ~FLAG_RESTORER) |
                     (now.flags & FLAG_RESTORER);
        next.restorer = now.restorer;
        memcpy(&next.mask, &set->sa_mask, sizeof next.mask);
        old->flags = next.flags;
        old->restorer = next.restorer;
        old->mask = next.mask;
        __atomic_store_n(&old->handler, next.handler, __ATOMIC_RELEASE);
        (void)install_one(p, i);
    }
    if (get) {
        *get = (struct sigaction){.sa_sigaction = before.handler,
            .sa_flags = (int)(before.flags & ~FLAG_RESTORER)};
        memcpy(&get->sa_mask, &before.mask, sizeof before.mask);
    }
    return true;
}

/* A sanitizer's runtime tells the kernel of a function of its own, which calls ours. */
static void put_back(
    int signo, void (*ours)(int, siginfo_t *, void *), const struct kn_sigaction *old)
{
    struct kn_sigaction now;
    struct sigaction told;
    if ((!kn_sigaction(signo, NULL, &now) && now.handler == ours) ||
        (!sigaction(signo, NULL, &told) && told.sa_sigaction == ours))
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
