#include "crash/altstack.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int key_error;

static _Thread_local stack_t before; /* smaller, of the thread's own; ss_sp NULL: none */

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* The kernel's frame grows with the CPU's vector state: 11 KiB with AMX. */
static size_t usable_bytes(void)
{
    size_t page = page_bytes(), n = KN_ALTSTACK_BYTES + getauxval(AT_MINSIGSTKSZ);
    return (n + page - 1) / page * page;
}

static void unmap(void *stack)
{
    size_t page = page_bytes();
    (void)munmap((char *)stack - page, usable_bytes() + 2 * page);
}

/* The destructor of a thread that ends without knell_thread_leave(). */
static void free_stack(void *stack)
{
    stack_t now;
    if (!sigaltstack(NULL, &now) && now.ss_sp == stack) {
        const stack_t none = {.ss_flags = SS_DISABLE};
        if (sigaltstack(&none, NULL))
            return; /* running on it: a leak is better than a fault */
    }
    unmap(stack);
}

static void make_key(void)
{
    key_error = pthread_key_create(&key, free_stack);
}

int kn_altstack_enter(void)
{
    stack_t now;
    if (sigaltstack(NULL, &now))
        return -errno;
    if (!(now.ss_flags & SS_DISABLE) && now.ss_size >= KN_ALTSTACK_BYTES)
        return 0;
    (void)pthread_once(&once, make_key);
    if (key_error)
        return -key_error;
    size_t page = page_bytes(), n = usable_bytes();
    char *map = (char *)mmap(NULL, n + 2 * page, PROT_NONE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (map == MAP_FAILED)
        return -errno;
    char *stack = map + page;
    if (mprotect(stack, n, PROT_READ | PROT_WRITE))
        goto fail;
    (void)prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, stack, n, "knell signal stack");
    /* The last page is what a handler touches first: have it now. */
    *(volatile char *)(stack + n - page) = 0;
    const stack_t mine = {.ss_sp = stack, .ss_size = n};
    if (sigaltstack(&mine, NULL))
        goto fail;
    if (pthread_setspecific(key, stack)) {
        (void)sigaltstack(&now, NULL);
        errno = ENOMEM;
        goto fail;
    }
    before = now;
    return 0;
fail:;
    int r = -errno;
    (void)munmap(map, n + 2 * page);
    return r;
}

void kn_altstack_leave(void)
{
    (void)pthread_once(&once, make_key);
    void *stack = key_error ? NULL : pthread_getspecific(key);
    if (!stack)
        return;
    (void)pthread_setspecific(key, NULL);
    free_stack(stack);
    if (before.ss_sp && !(before.ss_flags & SS_DISABLE))
        (void)sigaltstack(&before, NULL);
}
