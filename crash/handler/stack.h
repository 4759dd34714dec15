/**
 * Registers and stack bytes of one thread, and the memory that the crashed thread's
 * registers point at.
 */
#pragma once
#include "crash/handler/state.h"

/**
 * Append what lies on a stack from a little below @sp upwards.
 *
 * Context: signal handler.
 * @t    gets the place of the bytes; n_stack 0 when there is no memory
 * @cap  most bytes
 */
void kn_stack_put(struct kn_capture *c, struct kn_thread *t, uint64_t sp, uint32_t cap);

/**
 * Append the crashed thread's registers and stack as threads[0].
 *
 * Context: signal handler.
 */
void kn_stack_crashed(struct kn_capture *c);

/**
 * Append the memory around pc and around every address that a register holds.
 *
 * Context: signal handler.
 */
void kn_stack_memory(struct kn_capture *c);

/**
 * Append the thread list from threads[].
 *
 * Context: signal handler.
 */
void kn_stack_thread_list(struct kn_capture *c);
