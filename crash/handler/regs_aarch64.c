#include "crash/handler/regs.h"

#include "crash/handler/memory.h"
#include <asm/sigcontext.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

#include "crash/handler/poison.h"

enum {
    EC_FETCH_LOWER = 0x20, /* exception classes of ESR_EL1, Arm ARM D17.2.37 */
    EC_DATA_LOWER = 0x24,
    ESR_WRITE = 1 << 6,
};

/* Records behind the fixed part of the frame, each {magic, size}; sigcontext.h. */
static const void *find_record(const ucontext_t *uc, uint32_t magic, uint32_t n_bytes)
{
    const uint8_t *p = (const uint8_t *)uc->uc_mcontext.__reserved;
    const uint8_t *end = p + sizeof uc->uc_mcontext.__reserved;
    while (p + sizeof(struct _aarch64_ctx) <= end) {
        const struct _aarch64_ctx *head = (const struct _aarch64_ctx *)p;
        if (!head->magic || head->size < sizeof *head)
            return NULL;
        if (head->magic == magic)
            return head->size >= n_bytes ? p : NULL;
        p += head->size;
    }
    return NULL;
}

void kn_regs_record(const ucontext_t *uc, kn_context *c)
{
    memset(c, 0, sizeof *c);
    c->flags = KNELL_MINIDUMP_CONTEXT_ARM64;
    c->cpsr = (uint32_t)uc->uc_mcontext.pstate;
    memcpy(c->x, uc->uc_mcontext.regs, sizeof c->x);
    c->sp = uc->uc_mcontext.sp;
    c->pc = uc->uc_mcontext.pc;
    const struct fpsimd_context *fp = (const struct fpsimd_context *)find_record(
        uc, FPSIMD_MAGIC, sizeof(struct fpsimd_context));
    if (fp) {
        memcpy(c->v, fp->vregs, sizeof c->v);
        c->fpcr = fp->fpcr;
        c->fpsr = fp->fpsr;
    }
}

void kn_regs_forget_vectors(kn_context *c)
{
    memset(c->v, 0, sizeof c->v);
}

void kn_regs_from_syscall(
    uint64_t number, const uint64_t *a, uint64_t sp, uint64_t pc, kn_context *c)
{
    memset(c, 0, sizeof *c);
    c->flags = KNELL_MINIDUMP_CONTEXT_ARM64;
    for (int i = 0; i < 6; i++)
        c->x[i] = a[i];
    c->x[8] = number;
    c->sp = sp;
    c->pc = pc;
}

uint64_t kn_regs_pc(const ucontext_t *uc)
{
    return uc->uc_mcontext.pc;
}

uint64_t kn_regs_sp(const ucontext_t *uc)
{
    return uc->uc_mcontext.sp;
}

uint64_t kn_regs_get(const ucontext_t *uc, unsigned i, const char **ret_name)
{
    static const char names[KN_N_REGISTERS][4] = {"x0", "x1", "x2", "x3", "x4", "x5",
        "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17",
        "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "fp",
        "lr", "sp", "pc"};
    *ret_name = names[i];
    if (i == KN_REGISTER_SP)
        return uc->uc_mcontext.sp;
    return i == KN_REGISTER_PC ? uc->uc_mcontext.pc : uc->uc_mcontext.regs[i];
}

void kn_regs_undo_call(
    const ucontext_t *uc, uint64_t top, uint64_t *ret_pc, uint64_t *ret_sp)
{
    (void)top; /* the link register has it */
    *ret_pc = uc->uc_mcontext.regs[30];
    *ret_sp = kn_regs_sp(uc);
}

uint64_t kn_regs_plain_pc(uint64_t pc)
{
    return pc & 0x0000ffffffffffffu; /* addresses of programs have 48 bits */
}

bool kn_regs_step_signal(uint64_t *r)
{
    /* The vDSO's information gives the link register for the pc, and leaves the stack
     * pointer where it is. mov x8, #139; svc #0: */
    static const uint32_t sigreturn[2] = {0xd2801168, 0xd4000001};
    enum { REGISTERS = sizeof(siginfo_t) + offsetof(ucontext_t, uc_mcontext.regs) };
    uint32_t code[2];
    return kn_memory_copy(code, r[KN_REGISTER_PC], sizeof code) &&
           !memcmp(code, sigreturn, sizeof code) &&
           kn_memory_copy(r, r[KN_REGISTER_SP] + REGISTERS, KN_N_REGISTERS * sizeof *r);
}

void kn_regs_redo(ucontext_t *uc, int signo, int code)
{
    (void)code; /* brk leaves pc where it is */
    if (signo == SIGSYS)
        uc->uc_mcontext.pc -= 4;
}

static uint64_t syndrome(const ucontext_t *uc)
{
    const struct esr_context *esr = (const struct esr_context *)find_record(
        uc, ESR_MAGIC, sizeof(struct esr_context));
    return esr ? esr->esr : 0;
}

const ucontext_t *kn_regs_frame(const ucontext_t *uc, const void *frame)
{
    /* struct rt_sigframe of the kernel; x1 and x2 are still the interrupted code's. */
    (void)uc;
    return (const ucontext_t *)(const void *)((const char *)frame + sizeof(siginfo_t));
}

bool kn_regs_is_fault(const ucontext_t *uc)
{
    return syndrome(uc) || uc->uc_mcontext.fault_address;
}

char kn_regs_fault_access(const ucontext_t *uc)
{
    uint64_t esr = syndrome(uc), class = esr >> 26 & 0x3f;
    if (class == EC_FETCH_LOWER)
        return 'x';
    if (class != EC_DATA_LOWER)
        return 0;
    return esr & ESR_WRITE ? 'w' : 'r';
}

bool kn_regs_non_canonical(uint64_t address)
{
    (void)address; /* the top byte may be a tag; a bad one gives SEGV_MAPERR anyway */
    return false;
}
