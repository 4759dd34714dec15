/* Ways to die. Each says last_words() and does not return. */
#include "victim.h"

#include <assert.h>
#include <dlfcn.h>
#include <knell/knell.h>
#include <link.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wunknown-warning-option"
#pragma GCC diagnostic ignored "-Winfinite-recursion"
#pragma GCC diagnostic ignored "-Wuse-after-free"
#pragma GCC diagnostic ignored "-Wnull-dereference"
#pragma GCC diagnostic ignored "-Wpedantic"
#define NOINLINE __attribute__((noinline))

#if defined __x86_64__
#define ILLEGAL "ud2"
#define BREAKPOINT "int3"
#define WRITE_WITH_STACK_AT "mov %0, %%rsp\n movl $1, 0x10"
static void misaligned_read(uintptr_t at)
{
    /* The flag AC: alignment matters. */
    __asm__ volatile("pushf\n orl $0x40000, (%%rsp)\n popf\n movl (%0), %%eax" ::"r"(at)
                     : "rax", "memory");
}
#else
#define ILLEGAL "udf #0"
#define BREAKPOINT "brk #0"
#define WRITE_WITH_STACK_AT "mov sp, %0\n mov x9, #0x10\n str wzr, [x9]"
static void misaligned_read(uintptr_t at)
{
    /* Alignment always matters to an exclusive load. */
    __asm__ volatile("ldxr w9, [%0]" ::"r"(at) : "x9", "memory");
}
#endif

NOINLINE void die_deep(int depth, void (*f)(void))
{
    if (depth)
        die_deep(depth - 1, f);
    else
        f();
    __asm__ volatile("" ::: "memory"); /* no tail call */
}

NOINLINE void null_write(void)
{
    last_words((const void *)null_write);
    *(volatile int *)0x10 = 1;
}

void null_write_deep(void)
{
    die_deep(50, null_write);
}

static NOINLINE void abort_here(void)
{
    last_words((const void *)abort_here);
    abort();
}

static NOINLINE void assert_here(void)
{
    last_words((const void *)assert_here);
    const bool the_sky_is_up = false;
    assert(the_sky_is_up);
}

static NOINLINE void double_free(void)
{
    char *volatile p = (char *)malloc(100);
    last_words((const void *)double_free);
    free(p);
    free(p);
}

static NOINLINE void heap_smash(void)
{
    char *volatile p = (char *)malloc(24);
    char *volatile next = (char *)malloc(2000);
    last_words((const void *)heap_smash);
    for (volatile char *at = p; at < next; at++)
        *at = 0x41; /* over the size of the next chunk */
    free(next);
}

static void *volatile target;
static NOINLINE void call_target(void)
{
    last_words((const void *)call_target);
    ((void (*)(void))target)();
    __asm__ volatile("" ::: "memory");
}

static void call_null(void)
{
    die_deep(50, call_target);
}

static void call_garbage(void)
{
    target = (void *)0x12345000;
    die_deep(50, call_target);
}

static NOINLINE void divide(void)
{
#if !defined __x86_64__
    cannot("a CPU that divides by zero and goes on");
#endif
    volatile int zero = 0;
    last_words((const void *)divide);
    volatile int r = 100 / zero;
    (void)r;
}

static NOINLINE void illegal(void)
{
    last_words((const void *)illegal);
    __asm__ volatile(ILLEGAL);
}

static NOINLINE void breakpoint(void)
{
    last_words((const void *)breakpoint);
    __asm__ volatile(BREAKPOINT);
}

static NOINLINE void misaligned(void)
{
    char bytes[16] = {0};
    last_words((const void *)misaligned);
    misaligned_read((uintptr_t)bytes | 1);
}

static NOINLINE void past_end_of_file(void)
{
    int fd = memfd_create("short", MFD_CLOEXEC);
    char *p = (char *)mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    last_words((const void *)past_end_of_file);
    (void)*(volatile char *)p;
}

static NOINLINE void trapped_syscall(void)
{
    struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_swapon, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog prog = {4, code};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
        fail("seccomp");
    last_words((const void *)trapped_syscall);
    syscall(SYS_swapon, 7, 8);
}

static NOINLINE void non_canonical(void)
{
    last_words((const void *)non_canonical);
    *(volatile int *)0xdeadbeef00000000 = 1;
}

static NOINLINE int overflow(int n)
{
    volatile char frame[4096];
    frame[n % 4096] = (char)n;
    return overflow(n + 1) + frame[0];
}

static void overflow_here(void)
{
    last_words((const void *)overflow);
    overflow(0);
}

static void overflow_main(void)
{
    overflow_here();
}

static void overflow_worker(void)
{
    in_thread(overflow_here, true);
}

static void overflow_bare(void)
{
    in_thread(overflow_here, false);
}

static int overflow_c11_here(void *arg)
{
    overflow_here();
    return arg != NULL;
}

static void overflow_c11(void)
{
    thrd_t t;
    if (thrd_create(&t, overflow_c11_here, NULL) || thrd_join(t, NULL))
        fail("thrd_create");
}

static void worker(void)
{
    in_thread(null_write_deep, false);
}

/* The stack pointer itself is bad: what is left is the registers. */
static uintptr_t bad_sp;
static NOINLINE void with_bad_sp(void)
{
    last_words((const void *)with_bad_sp);
    __asm__ volatile(WRITE_WITH_STACK_AT ::"r"(bad_sp) : "memory");
}

static void sp_in_heap(void)
{
    bad_sp = (uintptr_t)malloc(4096) + 2048;
    with_bad_sp();
}

static void sp_unmapped(void)
{
    bad_sp = 0x123456789000;
    with_bad_sp();
}

static void sp_zero(void)
{
    bad_sp = 0;
    with_bad_sp();
}

static void on_usr1(int signo)
{
    (void)signo;
    null_write();
}

static void in_handler_with(int flags)
{
    struct sigaction a = {.sa_handler = on_usr1, .sa_flags = flags};
    sigaction(SIGUSR1, &a, NULL);
    raise(SIGUSR1);
}

static void in_handler(void)
{
    in_handler_with(0);
}

static void in_handler_altstack(void)
{
    in_handler_with(SA_ONSTACK);
}

static NOINLINE int crash_in_callback(struct dl_phdr_info *info, size_t n, void *arg)
{
    (void)info, (void)n, (void)arg;
    null_write();
    return 0;
}

static void in_phdr_callback(void)
{
    dl_iterate_phdr(crash_in_callback, NULL);
}

static int hold_loader(struct dl_phdr_info *info, size_t n, void *arg)
{
    (void)info, (void)n, (void)arg;
    pause();
    return 0;
}

static void hold_loader_lock(void)
{
    dl_iterate_phdr(hold_loader, NULL);
}

static void *run_function(void *f)
{
    ((void (*)(void))f)();
    return NULL;
}

static pthread_t go(void (*f)(void))
{
    pthread_t t;
    if (pthread_create(&t, NULL, run_function, (void *)f))
        fail("pthread_create");
    return t;
}

static void loader_lock_held(void)
{
    go(hold_loader_lock);
    usleep(20000);
    null_write_deep();
}

static void stdio_locked(void)
{
    flockfile(stdout);
    flockfile(stderr);
    null_write_deep();
}

static void at_fork(void)
{
    null_write();
}

static void in_atfork(void)
{
    pthread_atfork(at_fork, NULL, NULL);
    (void)fork();
}

static pthread_barrier_t barrier;
static void crash_together(void)
{
    pthread_barrier_wait(&barrier);
    null_write_deep();
}

static void sixteen_at_once(void)
{
    pthread_t t[16];
    pthread_barrier_init(&barrier, NULL, 16);
    for (int i = 0; i < 16; i++)
        t[i] = go(crash_together);
    for (int i = 0; i < 16; i++)
        pthread_join(t[i], NULL);
}

static void abort_soon(void)
{
    pthread_barrier_wait(&barrier);
    abort();
}

static void abort_meanwhile(void)
{
    pthread_barrier_init(&barrier, NULL, 2);
    go(abort_soon);
    crash_together();
}

static void *abort_later(void *arg)
{
    usleep(100000);
    abort();
    return arg;
}

/* While the capture of this thread's crash is made to wait. */
static void abort_after_crash(void)
{
    pthread_t t;
    if (pthread_create(&t, NULL, abort_later, NULL))
        fail("pthread_create");
    null_write_deep();
}

/* The program ends, knell with it, while a thread's crash is written down. */
static void *crash_now(void *arg)
{
    null_write_deep();
    return arg;
}

static void exit_after_crash(void)
{
    pthread_t t;
    if (pthread_create(&t, NULL, crash_now, NULL))
        fail("pthread_create");
    sigset_t all; /* so that it is not stopped */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    usleep(100000);
    exit(0);
}

/* Sent from another process, a child that ends at once, to one that waits: inside of
 * fork(3) debuggers see other frames. */
static void sent(int signo)
{
    last_words((const void *)sent);
    pid_t pid = fork();
    if (!pid) {
        wait_for_state(getppid(), 'S');
        kill(getppid(), signo);
        _exit(0);
    }
    for (;;)
        pause();
}

static void sent_segv(void)
{
    sent(SIGSEGV);
}

static void sent_abrt(void)
{
    sent(SIGABRT);
}

/* The parent ends as its child did: the runner sees the child's status. */
static void end_as(pid_t pid)
{
    int status;
    if (waitpid(pid, &status, 0) != pid)
        fail("waitpid");
    _exit(WIFSIGNALED(status) ? 64 + WTERMSIG(status) : WEXITSTATUS(status));
}

static void fork_child(void)
{
    pid_t pid = fork();
    if (!pid)
        null_write_deep();
    end_as(pid);
}

static void fork_child_armed(void)
{
    pid_t pid = fork();
    if (!pid) {
        struct knell_options o = KNELL_OPTIONS_INIT;
        o.app = "child";
        if (with_knell && knell_start(&o))
            _exit(96);
        null_write_deep();
    }
    end_as(pid);
}

static void raw_fork_child(void)
{
    /* fork(2), without pthread_atfork(3) handlers. */
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (!pid)
        null_write_deep();
    end_as(pid);
}

static void vfork_child_then_parent(void)
{
    pid_t pid = vfork();
    if (!pid)
        *(volatile int *)8 = 1;
    int status;
    if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
        _exit(94);
    null_write_deep();
}

static void daemonize_then_crash(void)
{
    int ends[2];
    char byte;
    if (pipe(ends))
        fail("pipe");
    if (!fork()) {
        setsid();
        null_write_deep();
    }
    close(ends[1]);
    (void)!read(ends[0], &byte, 1); /* until the child is gone */
    _exit(0);
}

static void exit_cleanly(void)
{
    exit(7);
}

/* No death: the uploader is started and the daemon hears nothing of it. */
static int n_sigchld;
static void on_sigchld(int signo)
{
    (void)signo;
    n_sigchld++;
}

static void uploads(void)
{
    struct knell_options o = KNELL_OPTIONS_INIT;
    char path[300], text[1024] = {0};
    (void)snprintf(text, sizeof text, "%d", (int)getsid(0));
    setenv("VICTIM_SESSION", text, 1);
    signal(SIGCHLD, on_sigchld);
    if (knell_start(&o))
        fail("knell_start");
    (void)snprintf(path, sizeof path, "%s/said", getenv("KNELL_SPOOL"));
    for (int i = 0; i < 500; i++) {
        FILE *f = fopen(path, "r");
        size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
        if (f)
            fclose(f);
        text[n] = 0;
        if (n)
            break;
        usleep(10000);
    }
    (void)!write(STDOUT_FILENO, text, strlen(text));
    if (n_sigchld || waitpid(-1, NULL, __WALL) >= 0)
        fail("the daemon got a child");
    exit(0);
}

/* Ignored where this process is init. */
static void raise_and_exit(void)
{
    raise(SIGSEGV);
    raise(SIGBUS);
    exit(5);
}

static volatile unsigned n_counted;

static void *count(void *arg)
{
    for (;;) {
        n_counted++;
        (void)usleep(1000);
    }
    return arg;
}

/* An init's kernel drops it, and everybody goes on. */
static void raise_abort_and_exit(void)
{
    pthread_t t;
    (void)pthread_create(&t, NULL, count, NULL);
    while (!n_counted)
        (void)usleep(1000);
    last_words((const void *)raise_abort_and_exit);
    raise(SIGABRT);
    for (unsigned before = n_counted, i = 0; n_counted < before + 5 && i < 5000; i++)
        (void)usleep(1000);
    exit(n_counted > 5 ? 5 : 6);
}

static void killed(void)
{
    last_words((const void *)killed);
    raise(SIGKILL);
}

const struct named deaths[] = {{"null_write", null_write_deep}, {"abort", abort_here},
    {"assert", assert_here}, {"double_free", double_free}, {"heap_smash", heap_smash},
    {"call_null", call_null}, {"call_garbage", call_garbage}, {"divide", divide},
    {"illegal", illegal}, {"breakpoint", breakpoint}, {"misaligned", misaligned},
    {"past_end_of_file", past_end_of_file}, {"trapped_syscall", trapped_syscall},
    {"non_canonical", non_canonical}, {"overflow_main", overflow_main},
    {"overflow_worker", overflow_worker}, {"overflow_bare", overflow_bare},
    {"overflow_c11", overflow_c11}, {"worker", worker}, {"sp_in_heap", sp_in_heap},
    {"sp_unmapped", sp_unmapped}, {"sp_zero", sp_zero}, {"in_handler", in_handler},
    {"in_handler_altstack", in_handler_altstack}, {"in_phdr_callback", in_phdr_callback},
    {"loader_lock_held", loader_lock_held}, {"stdio_locked", stdio_locked},
    {"in_atfork", in_atfork}, {"sixteen_at_once", sixteen_at_once},
    {"abort_meanwhile", abort_meanwhile}, {"abort_after_crash", abort_after_crash},
    {"exit_after_crash", exit_after_crash}, {"sent_segv", sent_segv},
    {"sent_abrt", sent_abrt}, {"fork_child", fork_child},
    {"fork_child_armed", fork_child_armed}, {"raw_fork_child", raw_fork_child},
    {"vfork_child_then_parent", vfork_child_then_parent},
    {"daemonize_then_crash", daemonize_then_crash}, {"exit", exit_cleanly},
    {"killed", killed}, {"raise_and_exit", raise_and_exit},
    {"raise_abort_and_exit", raise_abort_and_exit}, {"uploads", uploads}, {NULL, NULL}};
