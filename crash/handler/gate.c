#include "crash/handler/gate.h"

#include "crash/handler/evidence.h"
#include "crash/handler/minidump.h"
#include "crash/handler/threads.h"
#include <errno.h>
#include <stddef.h>

#include "crash/handler/poison.h"

/* Beyond the deadline of the one who writes: of a crash another thread ends the process
 * by then, with the first signal. */
enum {
    GRACE_MS = 2000,
    GRACE_OF_CRASH_MS = KN_RESCUE_MS + 1000,
};

static uint32_t owner;  /* tid of the writer; 0: none */
static uint32_t leaves; /* how often a turn was given back */
static uint32_t dies;   /* atomic; the owner writes of a crash */

static uint64_t end_of_grace(uint32_t deadline_ms)
{
    uint64_t grace =
        __atomic_load_n(&dies, __ATOMIC_RELAXED) ? GRACE_OF_CRASH_MS : GRACE_MS;
    return kn_now_ns(CLOCK_MONOTONIC) + (deadline_ms + grace) * 1000000u;
}

static struct {
    uint32_t tid; /* 0: free; atomic */
    const ucontext_t *uc;
    const siginfo_t *info;
    uint64_t time_ns;
} waiting[KN_MAX_OTHERS];

/* Sent to the writer meanwhile; one of a kind, as of any signal that waits. */
static struct {
    uint32_t is_kept; /* atomic: nested handlers of the writer write it */
    siginfo_t info;
} kept[KN_N_SIGNALS];

static uint32_t sign_in(uint32_t tid, const siginfo_t *info, const ucontext_t *uc)
{
    for (uint32_t i = 0; i < KN_MAX_OTHERS; i++) {
        uint32_t none = 0;
        if (!__atomic_compare_exchange_n(
                &waiting[i].tid, &none, tid, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
            continue;
        waiting[i].info = info;
        waiting[i].time_ns = kn_now_ns(CLOCK_REALTIME);
        __atomic_store_n(&waiting[i].uc, uc, __ATOMIC_RELEASE);
        return i;
    }
    return KN_MAX_OTHERS;
}

static void sign_out(uint32_t i)
{
    if (i >= KN_MAX_OTHERS)
        return;
    __atomic_store_n(&waiting[i].uc, NULL, __ATOMIC_RELEASE);
    __atomic_store_n(&waiting[i].tid, 0, __ATOMIC_RELEASE);
}

enum kn_turn kn_gate_enter(
    struct kn_process *p, const siginfo_t *info, const ucontext_t *uc)
{
    uint32_t tid = (uint32_t)KN_SYS0(SYS_gettid), holder = 0;
    uint32_t before = __atomic_load_n(&leaves, __ATOMIC_ACQUIRE);
    if (__atomic_compare_exchange_n(
            &owner, &holder, tid, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        __atomic_store_n(&dies, 1, __ATOMIC_RELAXED);
        return KN_TURN_FIRST;
    }
    if (holder == tid)
        return KN_TURN_AGAIN;
    uint32_t seat = sign_in(tid, info, uc);
    uint64_t end = end_of_grace(p->deadline_ms);
    enum kn_turn turn = KN_TURN_NEVER;
    for (;;) {
        uint64_t now = kn_now_ns(CLOCK_MONOTONIC);
        if (now >= end)
            break;
        if (__atomic_load_n(&leaves, __ATOMIC_ACQUIRE) != before) {
            turn = KN_TURN_RETRY;
            break;
        }
        kn_wait(&leaves, before, end - now);
    }
    sign_out(seat);
    return turn;
}

bool kn_gate_try(void)
{
    uint32_t none = 0;
    return __atomic_compare_exchange_n(&owner, &none, (uint32_t)KN_SYS0(SYS_gettid),
        false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

bool kn_gate_wait(uint32_t deadline_ms)
{
    uint64_t end = end_of_grace(deadline_ms);
    for (;;) {
        uint32_t before = __atomic_load_n(&leaves, __ATOMIC_ACQUIRE);
        uint64_t now = kn_now_ns(CLOCK_MONOTONIC);
        if (kn_gate_try())
            return true;
        if (now >= end || kn_gate_is_mine())
            return false;
        kn_wait(&leaves, before, end - now);
    }
}

bool kn_gate_is_mine(void)
{
    return __atomic_load_n(&owner, __ATOMIC_ACQUIRE) == (uint32_t)KN_SYS0(SYS_gettid);
}

void kn_gate_fork_child(void)
{
    for (uint32_t i = 0; i < KN_MAX_OTHERS; i++)
        sign_out(i);
    for (uint32_t i = 0; i < KN_N_SIGNALS; i++)
        kept[i].is_kept = 0;
    __atomic_store_n(&owner, 0, __ATOMIC_RELEASE);
}

void kn_gate_keep(const siginfo_t *info)
{
    for (uint32_t i = 0; i < KN_N_SIGNALS; i++) {
        if (kn_signals[i] != info->si_signo || kept[i].is_kept)
            continue;
        kept[i].info = *info;
        __atomic_store_n(&kept[i].is_kept, 1, __ATOMIC_RELEASE);
    }
}

/* To this thread what was meant for it, to the process the rest: this thread may be one
 * that blocks all signals. */
static void send_again(siginfo_t *info)
{
    long pid = KN_SYS0(SYS_getpid), tid = KN_SYS0(SYS_gettid);
    if (info->si_code == SI_TKILL)
        (void)KN_SYS4(SYS_rt_tgsigqueueinfo, pid, tid, info->si_signo, info);
    else if (KN_SYS3(SYS_rt_sigqueueinfo, pid, info->si_signo, info) == -EPERM) {
        /* The main thread alone may say that kill(2) sent it. */
        info->si_code = SI_QUEUE;
        (void)KN_SYS3(SYS_rt_sigqueueinfo, pid, info->si_signo, info);
    }
}

void kn_gate_leave(void)
{
    siginfo_t again[KN_N_SIGNALS];
    uint32_t n = 0;
    const uint64_t all = ~0ull;
    uint64_t mask = 0;
    (void)KN_SYS4(SYS_rt_sigprocmask, SIG_SETMASK, &all, &mask, sizeof mask);
    for (uint32_t i = 0; i < KN_N_SIGNALS; i++) {
        if (!__atomic_load_n(&kept[i].is_kept, __ATOMIC_ACQUIRE))
            continue;
        again[n++] = kept[i].info;
        kept[i].is_kept = 0;
    }
    __atomic_store_n(&dies, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&owner, 0, __ATOMIC_RELEASE);
    __atomic_add_fetch(&leaves, 1, __ATOMIC_ACQ_REL);
    kn_wake(&leaves);
    for (uint32_t i = 0; i < n; i++)
        send_again(&again[i]);
    kn_set_mask(mask);
}

const ucontext_t *kn_gate_crashed_too(uint32_t tid)
{
    for (uint32_t i = 0; i < KN_MAX_OTHERS; i++) {
        if (__atomic_load_n(&waiting[i].tid, __ATOMIC_ACQUIRE) == tid)
            return __atomic_load_n(&waiting[i].uc, __ATOMIC_ACQUIRE);
    }
    return NULL;
}

void kn_gate_put_others(struct kn_capture *c)
{
    kn_sink_align(&c->sink, 8);
    uint32_t at = kn_sink_at(&c->sink);
    for (uint32_t i = 0; i < KN_MAX_OTHERS; i++) {
        const ucontext_t *uc = __atomic_load_n(&waiting[i].uc, __ATOMIC_ACQUIRE);
        if (!uc)
            continue;
        struct knell_signal_record r;
        kn_signal_record(&r, waiting[i].tid, waiting[i].info, uc, waiting[i].time_ns);
        kn_sink_put(&c->sink, &r, sizeof r);
    }
    uint32_t n = kn_sink_at(&c->sink) - at;
    if (n)
        kn_stream(c, KNELL_STREAM_OTHER_CRASHES, at, n);
}
