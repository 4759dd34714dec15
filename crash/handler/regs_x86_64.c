#include "crash/handler/regs.h"

#include <signal.h>
#include <string.h>

#include "crash/handler/poison.h"

enum {
    FXSAVE_MXCSR = 24,
    TRAP_PAGE_FAULT = 14,
    ERROR_WRITE = 2,
    ERROR_FETCH = 16,
};

void kn_regs_record(const ucontext_t *uc, kn_context *c)
{
    const greg_t *g = uc->uc_mcontext.gregs;
    memset(c, 0, sizeof *c);
    c->flags = KNELL_MINIDUMP_CONTEXT_AMD64;
    c->cs = (uint16_t)g[REG_CSGSFS];
    c->gs = (uint16_t)(g[REG_CSGSFS] >> 16);
    c->fs = (uint16_t)(g[REG_CSGSFS] >> 32);
    c->ss = (uint16_t)(g[REG_CSGSFS] >> 48);
    c->eflags = (uint32_t)g[REG_EFL];
    c->rax = (uint64_t)g[REG_RAX];
    c->rcx = (uint64_t)g[REG_RCX];
    c->rdx = (uint64_t)g[REG_RDX];
    c->rbx = (uint64_t)g[REG_RBX];
    c->rsp = (uint64_t)g[REG_RSP];
    c->rbp = (uint64_t)g[REG_RBP];
    c->rsi = (uint64_t)g[REG_RSI];
    c->rdi = (uint64_t)g[REG_RDI];
    c->r8 = (uint64_t)g[REG_R8];
    c->r9 = (uint64_t)g[REG_R9];
    c->r10 = (uint64_t)g[REG_R10];
    c->r11 = (uint64_t)g[REG_R11];
    c->r12 = (uint64_t)g[REG_R12];
    c->r13 = (uint64_t)g[REG_R13];
    c->r14 = (uint64_t)g[REG_R14];
    c->r15 = (uint64_t)g[REG_R15];
    c->rip = (uint64_t)g[REG_RIP];
    if (uc->uc_mcontext.fpregs) {
        memcpy(c->fxsave, uc->uc_mcontext.fpregs, sizeof c->fxsave);
        memcpy(&c->mxcsr, c->fxsave + FXSAVE_MXCSR, sizeof c->mxcsr);
    }
}

void kn_regs_forget_vectors(kn_context *c)
{
    memset(c->fxsave, 0, sizeof c->fxsave);
}

void kn_regs_from_syscall(
    uint64_t number, const uint64_t *a, uint64_t sp, uint64_t pc, kn_context *c)
{
    memset(c, 0, sizeof *c);
    c->flags = KNELL_MINIDUMP_CONTEXT_AMD64;
    c->rax = number;
    c->rdi = a[0];
    c->rsi = a[1];
    c->rdx = a[2];
    c->r10 = a[3];
    c->r8 = a[4];
    c->r9 = a[5];
    c->rsp = sp;
    c->rip = pc;
}

uint64_t kn_regs_pc(const ucontext_t *uc)
{
    return (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
}

uint64_t kn_regs_sp(const ucontext_t *uc)
{
    return (uint64_t)uc->uc_mcontext.gregs[REG_RSP];
}

uint64_t kn_regs_get(const ucontext_t *uc, unsigned i, const char **ret_name)
{
    static const struct {
        int at;
        char name[4];
    } order[KN_N_REGISTERS] = {{REG_RAX, "rax"}, {REG_RDX, "rdx"}, {REG_RCX, "rcx"},
        {REG_RBX, "rbx"}, {REG_RSI, "rsi"}, {REG_RDI, "rdi"}, {REG_RBP, "rbp"},
        {REG_RSP, "rsp"}, {REG_R8, "r8"}, {REG_R9, "r9"}, {REG_R10, "r10"},
        {REG_R11, "r11"}, {REG_R12, "r12"}, {REG_R13, "r13"}, {REG_R14, "r14"},
        {REG_R15, "r15"}, {REG_RIP, "rip"}};
    *ret_name = order[i].name;
    return (uint64_t)uc->uc_mcontext.gregs[order[i].at];
}

void kn_regs_undo_call(
    const ucontext_t *uc, uint64_t top, uint64_t *ret_pc, uint64_t *ret_sp)
{
    *ret_pc = top;
    *ret_sp = kn_regs_sp(uc) + sizeof top;
}

uint64_t kn_regs_plain_pc(uint64_t pc)
{
    return pc;
}

bool kn_regs_step_signal(uint64_t *r)
{
    (void)r; /* libc describes its own return */
    return false;
}

void kn_regs_redo(ucontext_t *uc, int signo, int code)
{
    /* int3 is one byte, syscall two; the kernel has put rax back for SECCOMP_RET_TRAP. */
    if (signo == SIGTRAP && code == SI_KERNEL)
        uc->uc_mcontext.gregs[REG_RIP] -= 1;
    else if (signo == SIGSYS)
        uc->uc_mcontext.gregs[REG_RIP] -= 2;
}

const ucontext_t *kn_regs_frame(const ucontext_t *uc, const void *frame)
{
    (void)frame; /* the kernel passes all three arguments to any handler */
    return uc;
}

bool kn_regs_is_fault(const ucontext_t *uc)
{
    return uc->uc_mcontext.gregs[REG_TRAPNO] != 0;
}

char kn_regs_fault_access(const ucontext_t *uc)
{
    if (uc->uc_mcontext.gregs[REG_TRAPNO] != TRAP_PAGE_FAULT)
        return 0;
    if (uc->uc_mcontext.gregs[REG_ERR] & ERROR_FETCH)
        return 'x';
    return uc->uc_mcontext.gregs[REG_ERR] & ERROR_WRITE ? 'w' : 'r';
}

bool kn_regs_non_canonical(uint64_t address)
{
    /* 48 bits, or 57 with five-level tables: what neither can have is certain. */
    int64_t top = (int64_t)address >> 56;
    return top != 0 && top != -1;
}
