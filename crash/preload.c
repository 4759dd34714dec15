/**
 * libknell-preload.so: brings knell into a program that does not know it.
 *
 *     LD_PRELOAD=libknell-preload.so KNELL_DSN=... SENTRY_RELEASE=... program
 *
 * Everything is taken from the environment, as knell.h says. Threads get their alternate
 * stack when they are created. Handlers that the program installs for crash signals run
 * after the report, as they would have without it; with KNELL_KEEP_SIGNALS=0 they take
 * the place of knell's.
 */
#include "crash/handler/entry.h"
#include "crash/install.h"
#include <dlfcn.h>
#include <knell/knell.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef int create_function(
    pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

struct beginning {
    void *(*run)(void *);
    void *arg;
};

static void *begin(void *arg)
{
    const struct beginning b = *(const struct beginning *)arg;
    free(arg);
    (void)knell_thread_enter();
    return b.run(b.arg);
}

static create_function *next_create(void)
{
    static create_function *found;
    create_function *f = __atomic_load_n(&found, __ATOMIC_ACQUIRE);
    if (f)
        return f;
    void *p = dlsym(RTLD_NEXT, "pthread_create");
    memcpy(&f, &p, sizeof f);
    __atomic_store_n(&found, f, __ATOMIC_RELEASE);
    return f;
}

/**
 * pthread_create(3), with a signal stack for the new thread. Without memory for the
 * detour the thread is made as it would have been.
 *
 * Context: normal.
 */
KNELL_API int pthread_create(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
    struct beginning *b = (struct beginning *)malloc(sizeof *b);
    if (!b)
        return next_create()(thread, attributes, run, arg);
    *b = (struct beginning){run, arg};
    int r = next_create()(thread, attributes, begin, b);
    if (r)
        free(b);
    return r;
}

typedef int action_function(int, const struct sigaction *, struct sigaction *);
typedef __sighandler_t signal_function(int, __sighandler_t);

static bool keeps_signals;

static void *next_of(const char *name, void **found)
{
    void *p = __atomic_load_n(found, __ATOMIC_ACQUIRE);
    if (!p) {
        p = dlsym(RTLD_NEXT, name);
        __atomic_store_n(found, p, __ATOMIC_RELEASE);
    }
    return p;
}

/**
 * sigaction(2); for the crash signals it says what runs after a report.
 *
 * Context: any; async-signal-safe after the first call.
 */
KNELL_API int sigaction(int signo, const struct sigaction *set, struct sigaction *get)
{
    static void *found;
    bool own = set && set->sa_sigaction == kn_on_signal;
    if (keeps_signals && !own && kn_arm_behind(signo, set, get))
        return 0;
    action_function *next;
    void *p = next_of("sigaction", &found);
    memcpy(&next, &p, sizeof next);
    return next(signo, set, get);
}

/**
 * signal(2), with the semantics of BSD, as glibc's has.
 *
 * Context: any; async-signal-safe after the first call.
 */
KNELL_API __sighandler_t signal(int signo, __sighandler_t handler)
{
    static void *found;
    struct sigaction set = {.sa_handler = handler, .sa_flags = SA_RESTART}, get;
    (void)sigemptyset(&set.sa_mask);
    if (keeps_signals && signo > 0 && signo < NSIG) {
        (void)sigaddset(&set.sa_mask, signo);
        if (kn_arm_behind(signo, &set, &get))
            return get.sa_handler;
    }
    signal_function *next;
    void *p = next_of("signal", &found);
    memcpy(&next, &p, sizeof next);
    return next(signo, handler);
}

__attribute__((constructor)) static void arm(void)
{
    const char *keep = getenv("KNELL_KEEP_SIGNALS");
    keeps_signals = !keep || strcmp(keep, "0") != 0;
    (void)knell_start(NULL);
}
