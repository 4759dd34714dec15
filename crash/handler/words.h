/**
 * The last words: what a report must have, in the journal before anything that can fail.
 */
#pragma once
#include "crash/handler/state.h"

/**
 * Write the signal, the registers and the stack next to the stack pointer into the
 * journal, and that a handler has begun. No system call but those that ask whether the
 * stack can be read. A journal that cannot be written is not used again.
 *
 * Context: signal handler.
 */
void kn_words_put(struct kn_capture *c);

/**
 * Note in the journal how far the capture has come.
 *
 * Context: signal handler.
 */
void kn_words_step(struct kn_capture *c, uint32_t step);
