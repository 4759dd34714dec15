#include "uploader/worker/sandbox.h"

#include "uploader/worker/sandbox_files.h"

#include <assert.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>

#if defined(__x86_64__)
#define HOST_AUDIT_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define HOST_AUDIT_ARCH AUDIT_ARCH_AARCH64
#endif

/* A sanitizer reserves terabytes of address space for its shadow. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { LIMITS_ADDRESS_SPACE = 0 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { LIMITS_ADDRESS_SPACE = 0 };
#else
enum { LIMITS_ADDRESS_SPACE = 1 };
#endif
#else
enum { LIMITS_ADDRESS_SPACE = 1 };
#endif

enum { MAX_OPEN_FILES = 512 };

static const uint16_t allowed[] = {
    /* memory */
    SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_brk, SYS_mincore,
    SYS_futex, SYS_membarrier,
    /* files: modules, debug files and the symbol cache are opened by path */
    SYS_openat, SYS_close, SYS_read, SYS_readv, SYS_pread64, SYS_write, SYS_writev,
    SYS_pwrite64, SYS_lseek, SYS_fstat, SYS_newfstatat, SYS_statx, SYS_faccessat,
    SYS_faccessat2, SYS_readlinkat, SYS_getdents64, SYS_getcwd, SYS_fcntl, SYS_dup,
    SYS_ftruncate, SYS_fallocate, SYS_fsync, SYS_fdatasync, SYS_flock, SYS_renameat,
    SYS_renameat2, SYS_unlinkat, SYS_mkdirat, SYS_utimensat, SYS_linkat, SYS_fchmod,
    SYS_fstatfs, SYS_sync_file_range, SYS_fadvise64,
#if defined(__x86_64__) /* older names of the same */
    SYS_open, SYS_stat, SYS_lstat, SYS_access, SYS_readlink, SYS_rename, SYS_unlink,
    SYS_mkdir, SYS_link, SYS_time,
#endif
    /* itself and the time */
    SYS_exit, SYS_exit_group, SYS_getpid, SYS_gettid, SYS_getuid, SYS_geteuid, SYS_getgid,
    SYS_getegid, SYS_clock_gettime, SYS_clock_getres, SYS_gettimeofday,
    SYS_clock_nanosleep, SYS_nanosleep, SYS_ppoll, SYS_getrandom, SYS_sched_yield,
    SYS_sched_getaffinity, SYS_sysinfo, SYS_uname, SYS_rt_sigreturn, SYS_restart_syscall,
    SYS_getrusage, SYS_sigaltstack, SYS_rt_sigprocmask, SYS_wait4};
/* Without tgkill abort() ends in its fallback, an illegal instruction. */

enum { N_ALLOWED = sizeof allowed / sizeof *allowed };

static int set_limits(int what, uint64_t soft, uint64_t hard)
{
    struct rlimit now, limit = {.rlim_cur = (rlim_t)soft, .rlim_max = (rlim_t)hard};
    if (getrlimit((__rlimit_resource_t)what, &now) < 0)
        return -errno;
    if (now.rlim_max != RLIM_INFINITY && limit.rlim_max > now.rlim_max)
        limit.rlim_max = now.rlim_max;
    if (limit.rlim_cur > limit.rlim_max)
        limit.rlim_cur = limit.rlim_max;
    return setrlimit((__rlimit_resource_t)what, &limit) < 0 ? -errno : 0;
}

static int set_limit(int what, uint64_t value)
{
    return set_limits(what, value, value);
}

int sandbox_limit(const struct sandbox_limits *l)
{
    uint64_t memory = l->memory_bytes ? l->memory_bytes : 2ull << 30;
    uint64_t cpu_s = ((l->cpu_ms ? l->cpu_ms : 60000) + 999) / 1000;
    uint64_t time_ms = l->time_ms ? l->time_ms : 120000;
    const struct itimerval timer = {
        .it_value = {(time_t)(time_ms / 1000), (suseconds_t)(time_ms % 1000 * 1000)}};
    int err = set_limit(RLIMIT_CORE, 0);
    if (!err && LIMITS_ADDRESS_SPACE)
        err = set_limit(RLIMIT_AS, memory);
    if (!err) /* SIGXCPU tells why; were the hard limit the same, SIGKILL came first */
        err = set_limits(RLIMIT_CPU, cpu_s, cpu_s + 1);
    if (!err)
        err = set_limit(RLIMIT_NOFILE, MAX_OPEN_FILES);
    if (!err)
        err = set_limit(RLIMIT_FSIZE, l->file_bytes ? l->file_bytes : 1ull << 30);
    if (!err && setitimer(ITIMER_REAL, &timer, NULL) < 0)
        err = -errno;
    return err;
}

/* Source: seccomp(2), Documentation/userspace-api/seccomp_filter.rst. */
static int install_filter(void)
{
    enum { HEAD = 6, TAIL = 2 };
    struct sock_filter code[HEAD + N_ALLOWED + TAIL];
    unsigned n = 0;
    code[n++] = (struct sock_filter)BPF_STMT(
        BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, HOST_AUDIT_ARCH,
        1, 0); /* another ABI has other numbers */
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    code[n++] = (struct sock_filter)BPF_STMT(
        BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (unsigned i = 0; i < N_ALLOWED; i++)
        code[n++] = (struct sock_filter)BPF_JUMP(
            BPF_JMP | BPF_JEQ | BPF_K, allowed[i], (uint8_t)(N_ALLOWED - i), 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    static_assert(N_ALLOWED < 256, "jumps of a filter are one byte");
    const struct sock_fprog program = {.len = (unsigned short)n, .filter = code};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0)
        return 0;
    return errno == EINVAL || errno == ENOSYS ? 0 : -errno; /* a kernel without */
}

int sandbox_close_off(int files)
{
    int err = 0;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    if (files > 0)
        err = sandbox_files_enter(files);
    return err ? err : install_filter();
}

int sandbox_enter(const struct sandbox_limits *limits)
{
    int err = sandbox_limit(limits);
    return err ? err : sandbox_close_off(limits->files);
}
