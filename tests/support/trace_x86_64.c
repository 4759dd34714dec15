/* Registers of a stopped system call: source: syscall(2), "Architecture calling
 * conventions". */
#include "trace.h"

#include <errno.h>
#include <sys/ptrace.h>
#include <sys/user.h>

static int get(pid_t tid, struct user_regs_struct *ret)
{
    return ptrace(PTRACE_GETREGS, tid, NULL, ret) < 0 ? -errno : 0;
}

static int set(pid_t tid, struct user_regs_struct *r)
{
    return ptrace(PTRACE_SETREGS, tid, NULL, r) < 0 ? -errno : 0;
}

int trace_skip(pid_t tid)
{
    struct user_regs_struct r;
    int err = get(tid, &r);
    r.orig_rax = (unsigned long long)-1;
    return err ? err : set(tid, &r);
}

int trace_set_result(pid_t tid, long result)
{
    struct user_regs_struct r;
    int err = get(tid, &r);
    r.rax = (unsigned long long)result;
    return err ? err : set(tid, &r);
}

int trace_set_args(pid_t tid, const uint64_t args[static 6])
{
    struct user_regs_struct r;
    int err = get(tid, &r);
    r.rdi = args[0];
    r.rsi = args[1];
    r.rdx = args[2];
    r.r10 = args[3];
    r.r8 = args[4];
    r.r9 = args[5];
    return err ? err : set(tid, &r);
}
