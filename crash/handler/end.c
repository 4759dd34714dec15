#include "crash/handler/end.h"

#include "crash/handler/entry.h"
#include "crash/handler/gate.h"
#include "crash/handler/previous.h"
#include "crash/handler/regs.h"
#include "crash/handler/threads.h"
#include <string.h>

#include "crash/handler/poison.h"

enum {
    INIT_PID = 1,
};
#define FLAG_SIGINFO 4ul /* SA_SIGINFO as the kernel has it */

int kn_end_index(int signo)
{
    for (int i = 0; i < KN_N_SIGNALS; i++) {
        if (kn_signals[i] == signo)
            return i;
    }
    return 0;
}

static bool is_default(const struct kn_sigaction *a)
{
    return (uint64_t)a->handler == (uint64_t)SIG_DFL;
}

static bool is_ignored(const struct kn_sigaction *a)
{
    return (uint64_t)a->handler == (uint64_t)SIG_IGN;
}

uint64_t kn_end_mask(const struct kn_process *p)
{
    uint64_t mask = ~kn_signal_bit(p->park_signal);
    for (int i = 0; i < KN_N_SIGNALS; i++)
        mask &= ~kn_signal_bit(kn_signals[i]);
    return mask;
}

void kn_end_set_state(struct kn_process *p, uint32_t state, int signo)
{
    if (!p->journal)
        return;
    p->journal->crash_signo = signo;
    __atomic_store_n(&p->journal->state, state, __ATOMIC_RELEASE);
}

/* Signals that the handler sends to its own thread wait until it has returned. */
static void hold(int signo)
{
    const uint64_t set = kn_signal_bit(signo);
    (void)KN_SYS4(SYS_rt_sigprocmask, SIG_BLOCK, &set, 0, sizeof set);
}

bool kn_end_queue_again(int signo, siginfo_t *info)
{
    hold(signo);
    long pid = KN_SYS0(SYS_getpid), tid = KN_SYS0(SYS_gettid);
    return !KN_SYS4(SYS_rt_tgsigqueueinfo, pid, tid, signo, info);
}

bool kn_end_send_again(int signo, siginfo_t *info)
{
    return kn_end_queue_again(signo, info) ||
           !KN_SYS3(SYS_tgkill, KN_SYS0(SYS_getpid), KN_SYS0(SYS_gettid), signo);
}

void kn_end_set_default(int signo)
{
    const struct kn_sigaction none = {0};
    (void)kn_sigaction(signo, &none, NULL);
}

/* Set an action and look whether it is there: a sandbox may forbid that, or say yes and
 * do nothing. */
static bool has_set(int signo, const struct kn_sigaction *action)
{
    struct kn_sigaction now = {.handler = kn_on_signal};
    return !kn_sigaction(signo, action, NULL) && !kn_sigaction(signo, NULL, &now) &&
           now.handler == action->handler;
}

/* Where the action cannot be changed: the kernel does it by itself when a fault comes
 * back whose signal is blocked, and ends the process by it. Nothing raises again what was
 * sent.
 */
static void end_by_fault(int signo, const siginfo_t *info, ucontext_t *uc)
{
    uint64_t mask;
    if (kn_was_sent(info))
        (void)KN_SYS1(SYS_exit_group, 128 + signo);
    memcpy(&mask, &uc->uc_sigmask, sizeof mask);
    mask |= kn_signal_bit(signo);
    memcpy(&uc->uc_sigmask, &mask, sizeof mask);
    kn_regs_redo(uc, signo, info->si_code);
}

void kn_end_child(
    const struct kn_process *p, int signo, const siginfo_t *info, ucontext_t *uc)
{
    const struct kn_sigaction none = {0};
    siginfo_t copy = *info;
    if (has_set(signo, p ? &p->old[kn_end_index(signo)] : &none))
        (void)kn_end_send_again(signo, &copy);
    else
        end_by_fault(signo, info, uc);
}

void kn_end_stopped(int signo, const siginfo_t *info, ucontext_t *uc)
{
    const struct kn_sigaction none = {0};
    struct kn_sigaction now = {.handler = kn_on_signal};
    siginfo_t copy = *info;
    bool is_ours = kn_sigaction(signo, NULL, &now) || kn_previous_is_ours(now.handler);
    if (!is_ours || has_set(signo, &none))
        (void)kn_end_send_again(signo, &copy);
    else
        end_by_fault(signo, info, uc);
}

bool kn_end_lost_siginfo(int signo, const ucontext_t *uc, const void *frame)
{
    struct kn_sigaction now = {0};
    if (kn_sigaction(signo, NULL, &now) || now.handler != kn_on_signal ||
        (now.flags & FLAG_SIGINFO))
        return false;
    now.flags |= FLAG_SIGINFO;
    (void)kn_sigaction(signo, &now, NULL);
    if (kn_regs_is_fault(kn_regs_frame(uc, frame)) && signo != SIGABRT &&
        signo != SIGTRAP && signo != SIGSYS)
        return true;
    hold(signo);
    (void)KN_SYS3(SYS_tgkill, KN_SYS0(SYS_getpid), KN_SYS0(SYS_gettid), signo);
    return true;
}

bool kn_end_would_ignore(const struct kn_process *p, int signo, const siginfo_t *info)
{
    const struct kn_sigaction *old = &p->old[kn_end_index(signo)];
    if (!kn_was_sent(info))
        return false;
    if (is_ignored(old))
        return true;
    /* The kernel drops signals with the default action that are sent to an init, from
     * within and without its namespace. abort(3) however means it. */
    bool aborts = signo == SIGABRT && info->si_pid == p->pid;
    return p->pid == INIT_PID && is_default(old) && !aborts;
}

static void drop_pending_sigxfsz(void)
{
    const uint64_t set = kn_signal_bit(SIGXFSZ);
    const struct timespec now = {0};
    (void)KN_SYS4(SYS_rt_sigtimedwait, &set, NULL, &now, sizeof set);
}

bool kn_end_is_final(const struct kn_process *p, int signo)
{
    const struct kn_sigaction *old = &p->old[kn_end_index(signo)];
    return is_default(old) || is_ignored(old);
}

bool kn_end_is_mended(const struct kn_process *p, int signo, const siginfo_t *info)
{
    int i = kn_end_index(signo);
    return !kn_was_sent(info) && p->mended & 1u << i && !is_default(&p->old[i]);
}

/* The default action of a signal that is sent is ignored for an init, of one that the
 * kernel raises it is not: so let the code raise it again. abort(3) goes on to an illegal
 * instruction when its signal was ignored, as it would have without knell. */
static void end_init(
    int signo, const siginfo_t *info, const ucontext_t *uc, bool has_turn)
{
    if (!kn_was_sent(info)) {
        kn_regs_redo((ucontext_t *)(uintptr_t)uc, signo, info->si_code);
        return;
    }
    /* raise(3), which the kernel would have dropped: the process goes on. */
    kn_threads_thaw();
    if (has_turn)
        kn_gate_leave();
}

void kn_end_instead(struct kn_process *p, int signo, siginfo_t *info)
{
    kn_end_set_default(signo);
    if (p->pid == INIT_PID)
        (void)KN_SYS1(SYS_exit_group, 128 + signo);
    (void)kn_end_send_again(signo, info);
    kn_set_mask(0);
}

void kn_end(
    struct kn_process *p, int signo, siginfo_t *info, const ucontext_t *uc, bool has_turn)
{
    drop_pending_sigxfsz();
    if (!kn_end_is_final(p, signo)) {
        if (has_turn || kn_gate_is_mine()) /* else the writer reads where they stand */
            kn_threads_thaw();
        /* With the signal: it may end the process without a word. */
        kn_end_set_state(p, KNELL_RUN_RUNNING, signo);
        kn_previous_call(p, kn_end_index(signo), signo, info, uc, has_turn);
        return;
    }
    for (int k = 0; k < KN_N_SIGNALS; k++)
        (void)kn_sigaction(kn_signals[k], &p->old[k], NULL);
    const struct kn_sigaction none = {0};
    if (!has_set(signo, &none)) {
        end_by_fault(signo, info, (ucontext_t *)(uintptr_t)uc);
        return;
    }
    if (p->pid == INIT_PID) {
        end_init(signo, info, uc, has_turn);
        return;
    }
    /* What the code does not raise again by itself. */
    bool is_over = kn_was_sent(info) || signo == SIGTRAP || signo == SIGSYS;
    if (!kn_end_send_again(signo, info) && is_over)
        (void)KN_SYS1(SYS_exit_group, 128 + signo);
}
