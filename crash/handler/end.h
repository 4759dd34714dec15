/**
 * What happens to the process after the report: exactly what would have without knell.
 */
#pragma once
#include "crash/handler/state.h"

/**
 * The signals blocked while the handler runs: all but the fatal ones and the park signal.
 *
 * Context: signal handler.
 */
uint64_t kn_end_mask(const struct kn_process *p);

/**
 * Where @signo is in kn_signals.
 *
 * Context: signal handler.
 */
int kn_end_index(int signo);

/**
 * Send this thread the signal once more, as it came. Delivered when the handler returns,
 * with the registers of the fault, which is what a core dump then shows.
 *
 * Context: signal handler.
 * Returns whether it will come; kn_end_send_again() does more for it: the signal alone,
 * where its siginfo is refused.
 */
bool kn_end_queue_again(int signo, siginfo_t *info);
bool kn_end_send_again(int signo, siginfo_t *info);

/**
 * Context: signal handler.
 */
void kn_end_set_default(int signo);

/**
 * Write the state of the run, and the signal, into the journal.
 *
 * Context: signal handler.
 */
void kn_end_set_state(struct kn_process *p, uint32_t state, int signo);

/**
 * A signal in a process that knell does not cover (a child of vfork(2), after stop): let
 * it do what it did before.
 *
 * Context: signal handler; writes to no memory but its own stack.
 */
void kn_end_child(
    const struct kn_process *p, int signo, const siginfo_t *info, ucontext_t *uc);

/**
 * A signal that came while knell was being stopped: what is installed by now gets it.
 *
 * Context: signal handler.
 */
void kn_end_stopped(int signo, const siginfo_t *info, ucontext_t *uc);

/**
 * Some libraries put our handler back with signal(2), which drops SA_SIGINFO: what the
 * handler got as siginfo is then garbage, on aarch64 its ucontext as well. Installs it
 * properly again, and raises what the CPU will not raise again by itself.
 *
 * Context: signal handler; writes to no memory but its own stack.
 * @uc     as the handler got it
 * @frame  the stack pointer at the handler's first instruction
 * Returns whether that was so; the handler then returns at once.
 */
bool kn_end_lost_siginfo(int signo, const ucontext_t *uc, const void *frame);

/**
 * Whether this signal would have gone unnoticed: it was ignored before, or it was sent
 * and this process is its namespace's init.
 *
 * Context: signal handler.
 */
bool kn_end_would_ignore(const struct kn_process *p, int signo, const siginfo_t *info);

/**
 * Whether the default action follows the report: no handler was there before that could
 * recover.
 *
 * Context: signal handler.
 */
bool kn_end_is_final(const struct kn_process *p, int signo);

/**
 * A fault of a kind that the previous handler has mended once, by sending the program on
 * at another place: its runtime's way to find out something, and no crash. What it cannot
 * mend it ends with another signal.
 *
 * Context: signal handler.
 */
bool kn_end_is_mended(const struct kn_process *p, int signo, const siginfo_t *info);

/**
 * End the process by a signal that came to another thread, which does not come back from
 * the kernel. Never returns, unless the kernel refuses.
 *
 * Context: signal handler, on any thread.
 * @info  as it came
 */
void kn_end_instead(struct kn_process *p, int signo, siginfo_t *info);

/**
 * Go on as without knell: the previous handler, or the default action with the original
 * siginfo. Returns where the handler has to return to the kernel.
 *
 * Context: signal handler.
 * @has_turn  this thread holds the gate
 */
void kn_end(struct kn_process *p, int signo, siginfo_t *info, const ucontext_t *uc,
    bool has_turn);
