/**
 * What C cannot say about entering and leaving code; in arch_*.S.
 *
 * Leave a step of the capture from a nested signal handler: unlike setjmp(3) this keeps
 * no signal mask and needs nothing of libc.
 */
#pragma once
#include <stdint.h>

struct kn_jump {
    uint64_t registers[21]; /* callee-saved, stack pointer, return address; arch_*.S */
};

/**
 * Context: signal handler.
 * Returns 0, and 1 when kn_jump_to() came back here. As with setjmp(3), what changes in
 * between must not live in a local variable.
 */
int kn_jump_set(struct kn_jump *j) __attribute__((returns_twice));

/**
 * Context: signal handler, deeper on the same stack as the kn_jump_set().
 */
void kn_jump_to(const struct kn_jump *j) __attribute__((noreturn));

/**
 * Take back what the interrupted code set in the flags and C code does not expect.
 *
 * Context: signal handler; first of all.
 */
void kn_clear_flags(void);
