/**
 * System calls without libc: no errno, no cancellation point, nothing a daemon may have
 * interposed. Each returns the kernel's answer: negative errno on failure.
 *
 * All that the handlers call, for those who write seccomp filters (the signal tests kill
 * a victim that calls anything else):
 *
 *     clock_gettime close exit_group fdatasync flock fstat ftruncate futex getdents64
 *     getpid getrandom gettid lseek mkdirat msync openat pread64 prlimit64 pwrite64
 *     pwritev read renameat rt_sigaction rt_sigprocmask rt_sigqueueinfo
 *     rt_sigreturn rt_sigtimedwait rt_tgsigqueueinfo tgkill timer_create timer_delete
 * timer_settime
 *
 * and, where a mapped file of knell's own lost a page, mmap mremap munmap.
 *
 * A capture that may not use one of them goes on without what it would have told, as long
 * as the filter answers with an errno.
 */
#pragma once
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

/**
 * One system call; in arch_*.S.
 *
 * Context: signal handler.
 */
long kn_syscall(long number, long a, long b, long c, long d, long e, long f);

#define KN_SYS0(n) kn_syscall(n, 0, 0, 0, 0, 0, 0)
#define KN_SYS1(n, a) kn_syscall(n, (long)(a), 0, 0, 0, 0, 0)
#define KN_SYS2(n, a, b) kn_syscall(n, (long)(a), (long)(b), 0, 0, 0, 0)
#define KN_SYS3(n, a, b, c) kn_syscall(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define KN_SYS4(n, a, b, c, d)                                                           \
    kn_syscall(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define KN_SYS6(n, a, b, c, d, e, f)                                                     \
    kn_syscall(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* The kernel's own struct sigaction, as rt_sigaction(2) has it on 64-bit machines. */
struct kn_sigaction {
    void (*handler)(int, siginfo_t *, void *);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

/* SIG_IGN: what is pending is forgotten, blocked or not; sigaction(2). */
static const struct kn_sigaction kn_ignore = {
    .handler = (void (*)(int, siginfo_t *, void *))(uintptr_t)SIG_IGN};

static inline uint64_t kn_now_ns(int clock)
{
    struct timespec t = {0};
    (void)KN_SYS2(SYS_clock_gettime, clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline long kn_sigaction(
    int signo, const struct kn_sigaction *set, struct kn_sigaction *get)
{
    return KN_SYS4(SYS_rt_sigaction, signo, set, get, sizeof set->mask);
}

/* Whether a process sent it, with kill(2) or its kind; else the kernel raised it. */
static inline bool kn_was_sent(const siginfo_t *info)
{
    return info->si_code <= 0;
}

static inline uint64_t kn_signal_bit(int signo)
{
    return 1ull << (signo - 1);
}

static inline void kn_set_mask(uint64_t mask)
{
    (void)KN_SYS4(SYS_rt_sigprocmask, SIG_SETMASK, &mask, 0, sizeof mask);
}
