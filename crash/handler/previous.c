#include "crash/handler/previous.h"

#include "crash/handler/end.h"
#include "crash/handler/entry.h"
#include "crash/handler/gate.h"
#include "crash/handler/memory.h"
#include "crash/handler/regs.h"
#include <stddef.h>
#include <string.h>

#include "crash/handler/poison.h"

/* As the kernel has them. */
#define FLAG_ONSTACK 0x08000000ul
#define FLAG_NODEFER 0x40000000ul
#define FLAG_RESETHAND 0x80000000ul
#define FLAG_RESTORER 0x04000000ul
#define FLAG_SIGINFO 4ul

/* What the previous handler was called with, atomic: it may call ours as the one that was
 * there before it, round and round. */
static const siginfo_t *called;

/* In the frame that calls it. Whether that frame is still there is told by what it says:
 * a handler may leave by siglongjmp(3), after which the stack is used for other things.
 */
struct call {
    uint64_t marks[8]; /* CALL_MARK ^ their address */
    uint32_t tid;
};
#define CALL_MARK 0x6b6e656c6c63616cull
static const struct call *last_call; /* atomic */

enum {
    NEAR_BYTES = 8 << 20, /* what a handler may have below its caller's frame */
};

/* knell's own action while kn_on_previous stands in for it; whoever has the gate's turn
 * uses it. */
static struct kn_sigaction own;
static int staged; /* signal for which it does; 0: none; atomic */

bool kn_previous_is_ours(void (*handler)(int, siginfo_t *, void *))
{
    return handler == kn_on_signal || handler == kn_on_previous;
}

bool kn_previous_is_round(int signo, siginfo_t *info, const void *uc, const void *frame)
{
    /* One that left by siglongjmp(3) may be called with the same address again; only a
     * call from within lies deeper on the stack than what the kernel put there. */
    if (info != __atomic_load_n(&called, __ATOMIC_ACQUIRE) ||
        (uintptr_t)frame >= (uintptr_t)info || (uintptr_t)frame >= (uintptr_t)uc)
        return false;
    kn_end_set_default(signo);
    (void)kn_end_send_again(signo, info);
    return true;
}

bool kn_previous_is_ending(
    const struct kn_process *p, int signo, const siginfo_t *info, const ucontext_t *uc)
{
    const struct call *call = __atomic_load_n(&last_call, __ATOMIC_ACQUIRE);
    struct call seen;
    kn_memory_forget();
    const bool is_own = kn_was_sent(info) && info->si_pid == p->pid;
    if (!call || (!is_own && !kn_end_is_final(p, signo)) ||
        (uint64_t)call - kn_regs_sp(uc) > NEAR_BYTES ||
        !kn_memory_copy(&seen, (uint64_t)call, sizeof seen))
        return false;
    for (unsigned i = 0; i < sizeof seen.marks / sizeof *seen.marks; i++) {
        if (seen.marks[i] != (CALL_MARK ^ (uint64_t)&call->marks[i]))
            return false;
    }
    return seen.tid == (uint32_t)KN_SYS0(SYS_gettid);
}

static void run(struct kn_process *p, int i, int signo, siginfo_t *info, ucontext_t *uc,
    const struct kn_sigaction *old)
{
    struct call call = {.tid = (uint32_t)KN_SYS0(SYS_gettid)};
    for (unsigned k = 0; k < sizeof call.marks / sizeof *call.marks; k++)
        call.marks[k] = CALL_MARK ^ (uint64_t)&call.marks[k];
    if (old->flags & FLAG_RESETHAND)
        p->old[i] = (struct kn_sigaction){0};
    __atomic_store_n(&last_call, &call, __ATOMIC_RELEASE);
    __atomic_store_n(&called, info, __ATOMIC_RELEASE);
    /* INDIRECT: the daemon's own handler; the report is written. */
    const uint64_t pc = kn_regs_pc(uc), sp = kn_regs_sp(uc);
    old->handler(signo, info, uc);
    __atomic_store_n(&called, NULL, __ATOMIC_RELEASE);
    __atomic_store_n(&last_call, NULL, __ATOMIC_RELEASE);
    bool is_elsewhere = kn_regs_pc(uc) != pc || kn_regs_sp(uc) != sp;
    if (!kn_was_sent(info) && is_elsewhere)
        p->mended |= 1u << i;
    if (kn_was_sent(info) || is_elsewhere)
        kn_end_set_state(p, KNELL_RUN_RUNNING, 0);
}

void kn_on_previous(int signo, siginfo_t *info, void *context)
{
    struct kn_process *p = kn_entry_process();
    kn_clear_flags();
    if (!p || KN_SYS0(SYS_getpid) != p->pid || !kn_gate_is_mine()) {
        /* Another thread's crash, just now; or a child's. */
        kn_on_signal(signo, info, context);
        return;
    }
    (void)kn_sigaction(signo, &own, NULL);
    __atomic_store_n(&staged, 0, __ATOMIC_RELEASE);
    const int i = kn_end_index(signo);
    const struct kn_sigaction old = p->old[i];
    kn_gate_leave();
    run(p, i, signo, info, (ucontext_t *)context, &old);
}

void kn_previous_fork_child(void)
{
    int signo = __atomic_load_n(&staged, __ATOMIC_ACQUIRE);
    __atomic_store_n(&staged, 0, __ATOMIC_RELEASE);
    if (signo)
        (void)kn_sigaction(signo, &own, NULL);
}

static bool is_on(const stack_t *stack, uint64_t address)
{
    return address - (uint64_t)stack->ss_sp < stack->ss_size;
}

/* Whether the kernel went to the alternate stack for knell's sake alone. */
static bool has_other_stack(const struct kn_sigaction *old, const ucontext_t *uc)
{
    return !(old->flags & FLAG_ONSTACK) && is_on(&uc->uc_stack, (uint64_t)&old) &&
           is_on(&uc->uc_stack, (uint64_t)uc) && !is_on(&uc->uc_stack, kn_regs_sp(uc));
}

/* The kernel knows best how to call a handler: the signal once more, as it came, for one
 * that has the previous one's stack, mask and flags. */
static bool call_by_kernel(const struct kn_sigaction *old, int signo, siginfo_t *info)
{
    struct kn_sigaction next = *old;
    if (kn_sigaction(signo, NULL, &own) || own.handler != kn_on_signal)
        return false;
    next.handler = kn_on_previous;
    next.flags = (old->flags & ~FLAG_RESETHAND) | FLAG_SIGINFO;
    next.flags |= own.flags & FLAG_RESTORER;
    next.restorer = own.restorer;
    __atomic_store_n(&staged, signo, __ATOMIC_RELEASE);
    if (!kn_sigaction(signo, &next, NULL) && kn_end_queue_again(signo, info))
        return true;
    (void)kn_sigaction(signo, &own, NULL);
    __atomic_store_n(&staged, 0, __ATOMIC_RELEASE);
    return false;
}

void kn_previous_call(struct kn_process *p, int i, int signo, siginfo_t *info,
    const ucontext_t *uc, bool has_turn)
{
    const struct kn_sigaction old = p->old[i];
    uint64_t mask;
    memcpy(&mask, &uc->uc_sigmask, sizeof mask);
    if (has_turn && !(mask & kn_signal_bit(signo)) && has_other_stack(&old, uc) &&
        call_by_kernel(&old, signo, info))
        return;
    if (has_turn)
        kn_gate_leave();
    mask |= old.mask;
    if (!(old.flags & FLAG_NODEFER))
        mask |= kn_signal_bit(signo);
    kn_set_mask(mask);
    run(p, i, signo, info, (ucontext_t *)(uintptr_t)uc, &old);
}
