/* Deaths on stacks and in code that are not the usual ones, and at unusual times. */
#include "victim.h"

#include <dlfcn.h>
#include <knell/knell.h>
#include <limits.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

/* As coroutine libraries do: a stack out of the heap. */
static void in_coroutine(void)
{
    enum { STACK_BYTES = 64 * 1024 };
    static ucontext_t here, there;
    if (getcontext(&there))
        fail("getcontext");
    there.uc_stack.ss_sp = malloc(STACK_BYTES);
    there.uc_stack.ss_size = STACK_BYTES;
    there.uc_link = &here;
    makecontext(&there, null_write_deep, 0);
    (void)swapcontext(&here, &there);
}

/* Code that belongs to no file, with the frame that compilers for it make. */
static void in_jit_code(void)
{
#if defined __x86_64__
    /* push rbp; mov rbp, rsp; call rdi; pop rbp; ret */
    static const unsigned char code[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3};
#else
    /* stp x29, x30, [sp, #-16]!; mov x29, sp; blr x0; ldp x29, x30, [sp], #16; ret */
    static const unsigned code[] = {
        0xa9bf7bfd, 0x910003fd, 0xd63f0000, 0xa8c17bfd, 0xd65f03c0};
#endif
    char *page = (char *)mmap(
        NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(page, code, sizeof code);
    if (mprotect(page, 4096, PROT_READ | PROT_EXEC))
        fail("mprotect");
    __builtin___clear_cache(page, page + sizeof code);
    ((void (*)(void (*)(void)))(uintptr_t)page)(null_write_deep);
}

static NOINLINE void recurse(int n)
{
    die_deep(n, null_write);
}

/* More frames than a report holds, and far from the end of the stack. */
static void deep(void)
{
    recurse(20000);
}

static void *die_in_small_stack(void *arg)
{
    if (with_knell && arg && knell_thread_enter())
        fail("knell_thread_enter");
    null_write_deep();
    return NULL;
}

static void on_small_stack(size_t n, void *enter)
{
    pthread_attr_t a;
    pthread_t t;
    pthread_attr_init(&a);
    if (pthread_attr_setstacksize(&a, n))
        fail("pthread_attr_setstacksize");
    if (pthread_create(&t, &a, die_in_small_stack, enter) || pthread_join(t, NULL))
        fail("pthread_create");
}

static void small_stack(void)
{
    enum { SMALL_BYTES = 64 * 1024 };
    size_t least = (size_t)sysconf(_SC_THREAD_STACK_MIN);
    on_small_stack(least > SMALL_BYTES ? least : SMALL_BYTES, NULL);
}

static void smallest_stack(void)
{
    on_small_stack((size_t)sysconf(_SC_THREAD_STACK_MIN), NULL);
}

static void smallest_stack_entered(void)
{
    on_small_stack((size_t)sysconf(_SC_THREAD_STACK_MIN), (void *)1);
}

/* A signal stack of the program's own, as small as language runtimes make them. */
static void *die_on_own_altstack(void *arg)
{
    enum { OWN_BYTES = 8192 }; /* the constant SIGSTKSZ of old */
    const stack_t own = {.ss_sp = malloc(OWN_BYTES), .ss_size = OWN_BYTES};
    if (sigaltstack(&own, NULL))
        fail("sigaltstack");
    null_write_deep();
    return arg;
}

static void own_altstack(void)
{
    pthread_t t;
    if (pthread_create(&t, NULL, die_on_own_altstack, NULL) || pthread_join(t, NULL))
        fail("pthread_create");
}

/* A thread that libc knows nothing of: it shares the thread pointer of its maker. */
static int die_at_once(void *arg)
{
    (void)arg;
    null_write_deep();
    return 0;
}

static void raw_clone(int flags)
{
    enum { STACK_BYTES = 64 * 1024 };
    char *stack = (char *)malloc(STACK_BYTES);
    int pid = clone(die_at_once, stack + STACK_BYTES, flags, NULL);
    if (pid < 0)
        fail("clone");
    int status = 0;
    if (!(flags & CLONE_THREAD)) {
        if (waitpid(pid, &status, 0) != pid)
            fail("waitpid");
        _exit(WIFSIGNALED(status) ? 64 + WTERMSIG(status) : WEXITSTATUS(status));
    }
    for (;;)
        pause();
}

static void raw_thread(void)
{
    raw_clone(
        CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM);
}

/* Another process in the same memory: not this one's crash. */
static void raw_twin(void)
{
    raw_clone(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | SIGCHLD);
}

static void in_atexit(void)
{
    atexit(null_write_deep);
    exit(0);
}

/* A program that dies of its own is not this one's crash. */
static void spawned_child(void)
{
    extern char **environ;
    char *const argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
        (char *)(uintptr_t) "kill -SEGV $$", NULL};
    pid_t pid;
    int status;
    if (posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ) ||
        waitpid(pid, &status, 0) != pid)
        fail("posix_spawn");
    _exit(WIFSIGNALED(status) ? 64 + WTERMSIG(status) : WEXITSTATUS(status));
}

/* No death: the program that a daemon became, or its child, ends with success when it has
 * no file of knell's and no signal is blocked, ignored or handled. */
static void look_at_inheritance(void)
{
    sigset_t blocked;
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    for (int signo = 1; signo < NSIG; signo++) {
        struct sigaction a;
        if (sigismember(&blocked, signo) == 1)
            _exit(1);
        if (!sigaction(signo, NULL, &a) && a.sa_handler != SIG_DFL)
            _exit(2);
    }
    for (int fd = 0; fd < 4096; fd++) {
        char link[64], path[512];
        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, path, sizeof path - 1);
        path[n > 0 ? n : 0] = 0;
        if (strstr(path, "/live") || strstr(path, "/new"))
            _exit(3);
    }
    _exit(0);
}

/* Every bit of the largest registers there are is in use. */
static void with_vectors(void)
{
#if defined __x86_64__
    if (!__builtin_cpu_supports("avx512f"))
        cannot("a CPU without AVX-512");
    static unsigned char bytes[64];
    memset(bytes, 0xa5, sizeof bytes);
    __asm__ volatile("vmovdqu64 (%0), %%zmm31\n vmovdqu64 (%0), %%zmm0\n"
                     "vmovdqu64 (%0), %%zmm15" ::"r"(bytes)
                     : "memory");
    null_write_deep();
#else
    cannot("AVX-512 is of x86_64");
#endif
}

/* As programs hold them: on the stack between the frames, and behind a pointer that a
 * register has. test_after looks for it. */
static NOINLINE void with_secrets(void)
{
    volatile char secret[] = "correct-horse-battery-staple";
    char *volatile behind = (char *)malloc(sizeof secret);
    for (size_t i = 0; i < sizeof secret; i++)
        behind[i] = secret[i];
    null_write_deep();
    free(behind);
}

const struct named deaths_elsewhere[] = {{"in_coroutine", in_coroutine},
    {"in_jit_code", in_jit_code}, {"deep", deep}, {"small_stack", small_stack},
    {"smallest_stack", smallest_stack},
    {"smallest_stack_entered", smallest_stack_entered}, {"own_altstack", own_altstack},
    {"raw_thread", raw_thread}, {"raw_twin", raw_twin}, {"in_atexit", in_atexit},
    {"spawned_child", spawned_child}, {"with_vectors", with_vectors},
    {"with_secrets", with_secrets}, {"look_at_inheritance", look_at_inheritance},
    {NULL, NULL}};
