/**
 * Guarded alternate signal stacks, one per thread that asked.
 */
#pragma once
#include <stddef.h>

enum {
    KN_ALTSTACK_BYTES = 64 * 1024, /* beyond what the kernel's signal frame takes */
};

/**
 * Give the calling thread an alternate stack with unreadable pages on both sides, freed
 * when the thread ends. A thread that has one at least as large keeps it.
 *
 * Context: normal, on the thread.
 * Returns 0 or a negative errno.
 */
int kn_altstack_enter(void);

/**
 * Free what kn_altstack_enter() made for the calling thread, which gets back what it had.
 *
 * Context: normal, on the thread, not on the alternate stack.
 */
void kn_altstack_leave(void);
