/**
 * The other threads: stop them where they are, take their registers and stacks, let them
 * go when the process lives on.
 */
#pragma once
#include "crash/handler/state.h"

/**
 * Have the park signal come to its handler: a program that resets all its signals, as
 * daemon(7) asks for, would die of it.
 *
 * Context: signal handler, or normal: as kn_threads_freeze(); before the signal is sent
 * or a timer made that sends it.
 * Returns false where the program handles that signal itself now: it is not to be sent.
 */
bool kn_threads_can_park(const struct kn_process *p);

/**
 * Ask every other thread to stop and wait until they have, for at most three quarters of
 * the deadline; threads that block the signal are known after milliseconds, those in an
 * uninterruptible sleep after a quarter of a second.
 *
 * Context: signal handler, or normal for a report that no signal made. One caller at a
 * time; end with kn_threads_thaw().
 */
void kn_threads_freeze(struct kn_capture *c);

/**
 * Append registers, stack and name of every thread found, and the lists of them.
 *
 * Context: signal handler; between kn_threads_freeze() and kn_threads_thaw().
 */
void kn_threads_put(struct kn_capture *c);

/**
 * Let the stopped threads go on.
 *
 * Context: signal handler, or normal: as kn_threads_freeze().
 */
void kn_threads_thaw(void);

/**
 * What a thread runs that was asked to stop: the handler of the park signal.
 *
 * Context: signal handler, on any thread.
 */
void kn_threads_park(const siginfo_t *info, const ucontext_t *uc);

/**
 * Wait on a word as futex(2) does.
 *
 * Context: signal handler.
 * @timeout_ns  0: for ever
 */
void kn_wait(uint32_t *word, uint32_t while_is, uint64_t timeout_ns);
void kn_wake(uint32_t *word);
