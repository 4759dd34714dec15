/**
 * The handler that was there before knell, or that the program installed since by way of
 * the preloaded library: it runs as the kernel would have run it, and knell stays armed.
 */
#pragma once
#include "crash/handler/state.h"

/**
 * Let the previous handler of @signo run, now or, where it did not ask for the alternate
 * signal stack and this is one, when the caller returns to the kernel.
 *
 * Context: signal handler, on the thread that crashed; the others run again.
 * @i         of kn_signals
 * @has_turn  this thread holds the gate; it is given back
 */
void kn_previous_call(struct kn_process *p, int i, int signo, siginfo_t *info,
    const ucontext_t *uc, bool has_turn);

/**
 * What takes the place of knell's handler for the moment in which a previous one is
 * called by the kernel.
 *
 * Context: signal handler, on any stack.
 */
void kn_on_previous(int signo, siginfo_t *info, void *uc);

/**
 * Whether @handler is one of knell's for the crash signals.
 *
 * Context: any.
 */
bool kn_previous_is_ours(void (*handler)(int, siginfo_t *, void *));

/**
 * A handler that was replaced behind knell's back and comes after it now may call the one
 * that it replaced: knell's. The process then ends by the default action.
 *
 * @frame  the stack pointer at the handler's first instruction
 *
 * Context: signal handler.
 * Returns whether that is so; the handler then returns at once.
 */
bool kn_previous_is_round(int signo, siginfo_t *info, const void *uc, const void *frame);

/**
 * Whether a previous handler runs below this signal, after a report, and ends the process
 * by it (raise, abort, a fault of its own): the same death, not another one.
 *
 * Context: signal handler.
 */
bool kn_previous_is_ending(
    const struct kn_process *p, int signo, const siginfo_t *info, const ucontext_t *uc);

/**
 * In the child of a fork(2) in which another thread was about to call its handler.
 *
 * Context: any.
 */
void kn_previous_fork_child(void);
