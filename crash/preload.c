/**
 * libknell-preload.so: brings knell into a program that does not know it.
 *
 *     LD_PRELOAD=libknell-preload.so KNELL_DSN=... SENTRY_RELEASE=... program
 *
 * Everything is taken from the environment, as knell.h says. Threads get their alternate
 * stack when they are created.
 */
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

__attribute__((constructor)) static void arm(void)
{
    (void)knell_start(NULL);
}
