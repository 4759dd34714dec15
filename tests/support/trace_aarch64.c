/* Registers of a stopped system call: source: syscall(2), "Architecture calling
 * conventions"; NT_ARM_SYSTEM_CALL of <elf.h>. */
#include "trace.h"

#include <elf.h>
#include <errno.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

static int get(pid_t tid, struct user_regs_struct *ret)
{
    struct iovec v = {ret, sizeof *ret};
    return ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &v) < 0 ? -errno : 0;
}

static int set(pid_t tid, struct user_regs_struct *r)
{
    struct iovec v = {r, sizeof *r};
    return ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &v) < 0 ? -errno : 0;
}

int trace_skip(pid_t tid)
{
    int none = -1;
    struct iovec v = {&none, sizeof none};
    return ptrace(PTRACE_SETREGSET, tid, NT_ARM_SYSTEM_CALL, &v) < 0 ? -errno : 0;
}

int trace_set_result(pid_t tid, long result)
{
    struct user_regs_struct r;
    int err = get(tid, &r);
    r.regs[0] = (unsigned long long)result;
    return err ? err : set(tid, &r);
}

int trace_set_args(pid_t tid, const uint64_t args[static 6])
{
    struct user_regs_struct r;
    int err = get(tid, &r);
    for (int i = 0; i < 6; i++)
        r.regs[i] = args[i];
    return err ? err : set(tid, &r);
}
