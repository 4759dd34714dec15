/**
 * Linked into a victim: says which functions that lock or allocate run inside the
 * handler, also those that libc calls and that no list of imports shows.
 */
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The handler's place in the test build; NULL outside of a capture. */
extern const char *volatile kn_failpoint_place;

static void say(const char *text)
{
    (void)!write(STDOUT_FILENO, text, strlen(text));
}

static void note(const char *function)
{
    const char *place = kn_failpoint_place;
    /* There everything is committed, and the program's own what() runs. */
    if (!place || !strcmp(place, "cxx"))
        return;
    say("forbidden: ");
    say(function);
    say(" in ");
    say(place);
    say("\n");
}

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void __libc_free(void *);

__attribute__((visibility("default"))) void *malloc(size_t n)
{
    note("malloc");
    return __libc_malloc(n);
}

__attribute__((visibility("default"))) void *calloc(size_t n, size_t m)
{
    note("calloc");
    return __libc_calloc(n, m);
}

__attribute__((visibility("default"))) void *realloc(void *p, size_t n)
{
    note("realloc");
    return __libc_realloc(p, n);
}

__attribute__((visibility("default"))) void free(void *p)
{
    note("free");
    __libc_free(p);
}

static int (*real_phdr)(int (*)(struct dl_phdr_info *, size_t, void *), void *);
static int (*real_lock)(pthread_mutex_t *);

static void look_up(const char *name, void *ret)
{
    void *p = dlsym(RTLD_NEXT, name);
    memcpy(ret, &p, sizeof p);
}

/* Before main(): dlsym(3) itself may allocate. */
__attribute__((constructor)) static void find_real(void)
{
    look_up("dl_iterate_phdr", &real_phdr);
    look_up("pthread_mutex_lock", &real_lock);
    say("interposed\n");
}

__attribute__((visibility("default"))) int dl_iterate_phdr(
    int (*f)(struct dl_phdr_info *, size_t, void *), void *arg)
{
    note("dl_iterate_phdr");
    return real_phdr ? real_phdr(f, arg) : 0;
}

__attribute__((visibility("default"))) int pthread_mutex_lock(pthread_mutex_t *m)
{
    note("pthread_mutex_lock");
    return real_lock ? real_lock(m) : 0;
}
