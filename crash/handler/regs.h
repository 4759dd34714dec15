/**
 * The register file of one architecture: ucontext to the report's record, and the few
 * registers the handler itself looks at. One regs_<arch>.c each.
 */
#pragma once
#include <knell/minidump.h>
#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

#if defined(__x86_64__)
typedef struct knell_md_context_amd64 kn_context;
enum {
    KN_ARCH = KNELL_MINIDUMP_ARCH_AMD64,
    KN_N_REGISTERS = 17,
    KN_REGISTER_FP = 6, /* as kn_regs_get() counts */
    KN_REGISTER_SP = 7,
    KN_REGISTER_PC = 16,
    KN_RED_ZONE_BYTES = 128, /* below sp, still in use: System V psABI 3.2.2 */
};
#elif defined(__aarch64__)
typedef struct knell_md_context_arm64 kn_context;
enum {
    KN_ARCH = KNELL_MINIDUMP_ARCH_ARM64,
    KN_N_REGISTERS = 33,
    KN_REGISTER_FP = 29,
    KN_REGISTER_SP = 31,
    KN_REGISTER_PC = 32,
    KN_RED_ZONE_BYTES = 0,
};
#else
#error "knell knows x86_64 and aarch64"
#endif

/**
 * Context: signal handler.
 * @uc  the kernel's frame; its floating-point state is read where it points
 */
void kn_regs_record(const ucontext_t *uc, kn_context *ret);

/**
 * Context: signal handler.
 */
void kn_regs_forget_vectors(kn_context *c);

/**
 * The record of a thread of which only these are known (proc(5), /proc/PID/syscall).
 *
 * Context: signal handler.
 * @arguments  of the system call: 6
 */
void kn_regs_from_syscall(uint64_t number, const uint64_t *arguments, uint64_t sp,
    uint64_t pc, kn_context *ret);

/**
 * Context: signal handler.
 */
uint64_t kn_regs_pc(const ucontext_t *uc);
uint64_t kn_regs_sp(const ucontext_t *uc);

/**
 * Register @i of KN_N_REGISTERS in DWARF order; its name in *@ret_name.
 *
 * Context: signal handler.
 */
uint64_t kn_regs_get(const ucontext_t *uc, unsigned i, const char **ret_name);

/**
 * The state just after a call that went nowhere has been undone: where it returns to, and
 * the stack pointer there.
 *
 * Context: signal handler.
 * @top  the word at the stack pointer
 */
void kn_regs_undo_call(
    const ucontext_t *uc, uint64_t top, uint64_t *ret_pc, uint64_t *ret_sp);

/**
 * A return address as the processor jumps to it: without the signature that pointer
 * authentication keeps above the address bits.
 *
 * Context: signal handler.
 */
uint64_t kn_regs_plain_pc(uint64_t pc);

/**
 * From the kernel's return from a signal handler to what the signal interrupted, where
 * frame information does not lead there.
 *
 * Context: signal handler.
 * @r  the registers as kn_regs_get() counts; changed only where true is returned
 */
bool kn_regs_step_signal(uint64_t *r);

/**
 * Make the interrupted code do again what raised @signo, where the kernel had moved on
 * behind it: a breakpoint, a system call that seccomp trapped.
 *
 * Context: signal handler.
 */
void kn_regs_redo(ucontext_t *uc, int signo, int code);

/**
 * The kernel's ucontext for a handler that was installed without SA_SIGINFO.
 *
 * Context: signal handler.
 * @uc     its third argument
 * @frame  the stack pointer at its first instruction
 */
const ucontext_t *kn_regs_frame(const ucontext_t *uc, const void *frame);

/**
 * Whether this frame was made by a fault of the CPU, rather than by kill(2) and its kind.
 * For the case that the siginfo is not to be had.
 *
 * Context: signal handler.
 */
bool kn_regs_is_fault(const ucontext_t *uc);

/**
 * What a page fault wanted: 'r', 'w', 'x', or 0 when it was none or is unknown.
 *
 * Context: signal handler.
 */
char kn_regs_fault_access(const ucontext_t *uc);

/**
 * Whether an address is one no page can have (a general protection fault on x86_64).
 *
 * Context: signal handler.
 */
bool kn_regs_non_canonical(uint64_t address);
