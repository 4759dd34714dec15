#include "uploader/report/parse_internal.h"

enum {
    FLAG_AMD64 = 0x00100000,
    FLAG_ARM64 = 0x00400000,
    AMD64_SP = 7,
    AMD64_PC = 16,
    ARM64_SP = 31,
    ARM64_PC = 32,
};

static bool amd64(struct bytes *b, uint64_t *r)
{
    struct knell_md_context_amd64 c;
    bytes_copy(b, &c, sizeof c, "registers");
    if (b->err || !(c.flags & FLAG_AMD64))
        return false;
    /* DWARF's numbers: System V ABI, AMD64 supplement, figure 3.36. */
    const uint64_t all[] = {c.rax, c.rdx, c.rcx, c.rbx, c.rsi, c.rdi, c.rbp, c.rsp, c.r8,
        c.r9, c.r10, c.r11, c.r12, c.r13, c.r14, c.r15, c.rip};
    memcpy(r, all, sizeof all);
    return true;
}

static bool arm64(struct bytes *b, uint64_t *r)
{
    struct knell_md_context_arm64 c;
    bytes_copy(b, &c, sizeof c, "registers");
    if (b->err || !(c.flags & FLAG_ARM64))
        return false;
    memcpy(r, c.x, sizeof c.x);
    r[ARM64_SP] = c.sp;
    r[ARM64_PC] = c.pc;
    return true;
}

bool parse_registers(struct parser *p, struct knell_md_location at, uint64_t *ret,
    const uint8_t **ret_context)
{
    struct bytes b = parse_at(p, at, "registers");
    bool ok = p->c->arch == KNELL_MINIDUMP_ARCH_ARM64 ? arm64(&b, ret) : amd64(&b, ret);
    if (ok)
        *ret_context = p->c->bytes + at.rva;
    else
        parse_damage(p, "registers of a thread", at.rva);
    return ok;
}

uint64_t crash_thread_pc(const struct crash *c, const struct crash_thread *t)
{
    if (!t->has_registers)
        return 0;
    return t->registers[c->arch == KNELL_MINIDUMP_ARCH_ARM64 ? ARM64_PC : AMD64_PC];
}

uint64_t crash_thread_sp(const struct crash *c, const struct crash_thread *t)
{
    if (!t->has_registers)
        return 0;
    return t->registers[c->arch == KNELL_MINIDUMP_ARCH_ARM64 ? ARM64_SP : AMD64_SP];
}
