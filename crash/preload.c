/**
 * libknell-preload.so: brings knell into a program that does not know it.
 *
 *     LD_PRELOAD=libknell-preload.so KNELL_DSN=... SENTRY_RELEASE=... program
 *
 * The loader calls it after the constructors of the program's libraries, before those of
 * the program itself: a library that dies there dies as it would have, and unseen.
 *
 * Everything is taken from the environment, as knell.h says. Threads get their alternate
 * stack when they are created. Handlers that the program installs for crash signals run
 * after the report, as they would have without it; with KNELL_KEEP_SIGNALS=0 they take
 * the place of knell's.
 *
 * A fork child that becomes a daemon (daemon(3)) or another user (setuid(2)) gets files
 * of its own before it does. Who ends by _exit(2) or becomes another program is not taken
 * for killed.
 */
#include "crash/handler/entry.h"
#include "crash/install.h"
#include <dlfcn.h>
#include <knell/knell.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>
#include <unistd.h>

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

static void *next_of(const char *name, void **found)
{
    void *p = __atomic_load_n(found, __ATOMIC_ACQUIRE);
    if (!p) {
        p = dlsym(RTLD_NEXT, name);
        __atomic_store_n(found, p, __ATOMIC_RELEASE);
    }
    return p;
}

/* The function of this name in the next library, which is looked up once. */
#define NEXT(name, ...)                                                                  \
    ({                                                                                   \
        static void *found;                                                              \
        __typeof__(&name) next;                                                          \
        void *p = next_of(#name, &found);                                                \
        memcpy(&next, &p, sizeof next);                                                  \
        next(__VA_ARGS__);                                                               \
    })

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
        return NEXT(pthread_create, thread, attributes, run, arg);
    *b = (struct beginning){run, arg};
    int r = NEXT(pthread_create, thread, attributes, begin, b);
    if (r)
        free(b);
    return r;
}

struct c11_beginning {
    thrd_start_t run;
    void *arg;
};

static int begin_c11(void *arg)
{
    const struct c11_beginning b = *(const struct c11_beginning *)arg;
    free(arg);
    (void)knell_thread_enter();
    return b.run(b.arg);
}

/**
 * thrd_create(3), which does not come by way of pthread_create(3).
 *
 * Context: normal.
 */
KNELL_API int thrd_create(thrd_t *thread, thrd_start_t run, void *arg)
{
    struct c11_beginning *b = (struct c11_beginning *)malloc(sizeof *b);
    if (!b)
        return NEXT(thrd_create, thread, run, arg);
    *b = (struct c11_beginning){run, arg};
    int r = NEXT(thrd_create, thread, begin_c11, b);
    if (r != thrd_success)
        free(b);
    return r;
}

typedef int action_function(int, const struct sigaction *, struct sigaction *);
typedef __sighandler_t signal_function(int, __sighandler_t);

static bool keeps_signals;

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

/* The last chance to open files in a spool that is its predecessor's. */
KNELL_API int setuid(uid_t user)
{
    kn_arm_cover_child();
    return NEXT(setuid, user);
}

KNELL_API int setreuid(uid_t real, uid_t effective)
{
    kn_arm_cover_child();
    return NEXT(setreuid, real, effective);
}

KNELL_API int setresuid(uid_t real, uid_t effective, uid_t saved)
{
    kn_arm_cover_child();
    return NEXT(setresuid, real, effective, saved);
}

/* Its parent ends inside, by _exit(2). */
KNELL_API int daemon(int keep_folder, int keep_files)
{
    kn_arm_ends(true);
    int r = NEXT(daemon, keep_folder, keep_files);
    kn_arm_ends(false);
    if (!r)
        kn_arm_cover_child();
    return r;
}

KNELL_API void _exit(int status)
{
    kn_arm_ends(true);
    for (;;)
        NEXT(_exit, status);
}

KNELL_API void _Exit(int status)
{
    _exit(status);
}

KNELL_API int execve(const char *path, char *const *arguments, char *const *environment)
{
    kn_arm_ends(true);
    int r = NEXT(execve, path, arguments, environment);
    kn_arm_ends(false);
    return r;
}

KNELL_API int execv(const char *path, char *const *arguments)
{
    return execve(path, arguments, environ);
}

KNELL_API int execvpe(const char *file, char *const *arguments, char *const *environment)
{
    kn_arm_ends(true);
    int r = NEXT(execvpe, file, arguments, environment);
    kn_arm_ends(false);
    return r;
}

KNELL_API int execvp(const char *file, char *const *arguments)
{
    return execvpe(file, arguments, environ);
}

KNELL_API int fexecve(int fd, char *const *arguments, char *const *environment)
{
    kn_arm_ends(true);
    int r = NEXT(fexecve, fd, arguments, environment);
    kn_arm_ends(false);
    return r;
}

/* The arguments that follow @first in the caller's list, as an array on its stack. */
#define GATHER(first, list, ret)                                                         \
    do {                                                                                 \
        size_t n = 1;                                                                    \
        va_list count;                                                                   \
        va_copy(count, list);                                                            \
        while (va_arg(count, char *))                                                    \
            n++;                                                                         \
        va_end(count);                                                                   \
        (ret) = (char **)__builtin_alloca((n + 1) * sizeof *(ret));                      \
        (ret)[0] = (char *)(uintptr_t)(first);                                           \
        for (size_t i = 1; i <= n; i++)                                                  \
            (ret)[i] = va_arg(list, char *);                                             \
    } while (0)

KNELL_API int execl(const char *path, const char *first, ...)
{
    char **arguments;
    va_list list;
    va_start(list, first);
    GATHER(first, list, arguments);
    va_end(list);
    return execve(path, arguments, environ);
}

KNELL_API int execlp(const char *file, const char *first, ...)
{
    char **arguments;
    va_list list;
    va_start(list, first);
    GATHER(first, list, arguments);
    va_end(list);
    return execvpe(file, arguments, environ);
}

KNELL_API int execle(const char *path, const char *first, ...)
{
    char **arguments;
    va_list list;
    va_start(list, first);
    GATHER(first, list, arguments);
    char *const *environment = va_arg(list, char *const *);
    va_end(list);
    return execve(path, arguments, environment);
}

__attribute__((constructor)) static void arm(void)
{
    const char *keep = getenv("KNELL_KEEP_SIGNALS");
    keeps_signals = !keep || strcmp(keep, "0") != 0;
    (void)knell_start(NULL);
}
