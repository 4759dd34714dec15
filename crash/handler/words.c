#include "crash/handler/words.h"

#include "crash/handler/end.h"
#include "crash/handler/evidence.h"
#include "crash/handler/memory.h"
#include "crash/handler/regs.h"
#include "crash/handler/sanitize.h"
#include <stddef.h>
#include <string.h>

#include "crash/handler/poison.h"

enum {
    STACK_PART_BYTES = 256, /* asked for and copied at a time */
};

static void put_signal(struct knell_journal_crash *w, const struct kn_capture *c)
{
    struct knell_signal_record r;
    kn_signal_record(&r, c->tid, c->info, c->uc, c->time_ns);
    w->tid = r.tid;
    w->signo = r.signo;
    w->code = r.code;
    w->error = r.error;
    w->sender_pid = r.sender_pid;
    w->sender_uid = r.sender_uid;
    w->address = r.address;
    w->pc = r.pc;
    w->time_ns = r.time_ns;
}

/* As far up as it goes; never arguments and environment. */
static void put_stack(struct knell_journal_crash *w, struct kn_capture *c)
{
    uint8_t *scratch = c->scratch;
    uint64_t from = w->stack_start, end = from + sizeof w->stack;
    uint64_t main_end = c->process->main_stack_end;
    uint32_t n = 0;
    if (main_end && main_end < end)
        end = main_end;
    kn_memory_forget();
    while (end > from + n) {
        uint64_t left = end - from - n;
        uint32_t part = left < STACK_PART_BYTES ? (uint32_t)left : STACK_PART_BYTES;
        if (!kn_memory_copy(scratch, from + n, part))
            break;
        kn_sanitize(c, scratch, part, from + n, from, end - from);
        memcpy(w->stack + n, scratch, part);
        n += part;
    }
    __atomic_store_n(&w->n_stack, n, __ATOMIC_RELEASE);
}

void kn_words_put(struct kn_capture *c)
{
    struct kn_process *p = c->process;
    struct knell_journal_head *journal = p->journal;
    struct knell_journal_crash *w = p->words;
    if (!journal || !c->info)
        return;
    /* Its file may have been cut short: then this step ends here, by SIGBUS. */
    p->journal = NULL;
    p->words = NULL;
    if (w) {
        const size_t from = offsetof(struct knell_journal_crash, tid);
        uint64_t sp = kn_regs_sp(c->uc);
        w->sum = w->n_stack = 0;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        put_signal(w, c);
        w->arch = KN_ARCH;
        w->n_context = sizeof(kn_context);
        w->stack_start = (sp > KN_RED_ZONE_BYTES ? sp - KN_RED_ZONE_BYTES : sp) & ~15ull;
        kn_context *context = (kn_context *)(void *)w->context;
        kn_regs_record(c->uc, context);
        kn_sanitize_registers(c, context);
        uint32_t sum = knell_journal_sum((const uint8_t *)w + from,
            offsetof(struct knell_journal_crash, step) - from, c->tid);
        __atomic_store_n(&w->sum, sum, __ATOMIC_RELEASE);
    }
    p->journal = journal;
    kn_end_set_state(p, KNELL_RUN_CRASHING, c->signo);
    if (w)
        put_stack(w, c);
    p->words = w;
}

void kn_words_step(struct kn_capture *c, uint32_t step)
{
    struct knell_journal_crash *w = c->process->words;
    if (!w || !c->info)
        return;
    /* As above: what faults here must not do so before each step. */
    struct knell_journal_head *journal = c->process->journal;
    c->process->words = NULL;
    c->process->journal = NULL;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&w->step, step, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    c->process->words = w;
    c->process->journal = journal;
}
