#include "crash/handler/stack.h"

#include "crash/handler/maps.h"
#include "crash/handler/minidump.h"
#include "crash/handler/regs.h"
#include "crash/handler/sanitize.h"
#include <string.h>

#include "crash/handler/poison.h"

enum {
    CRASHED_STACK_BYTES = 256 * 1024,
    STACK_END_BYTES = 32 * 1024,
    GUARD_BYTES = 1024 * 1024, /* how far above a bad sp its stack may begin */
    AROUND_PC_BYTES = 256,     /* on each side */
    AROUND_REGISTER_BYTES = 256,
};

/* [*low, *high) cut so that it holds no arguments and no environment. */
static void leave_out_environment(
    const struct kn_capture *c, const struct kn_map *m, uint64_t *low, uint64_t *high)
{
    uint64_t end = c->process->main_stack_end;
    if (!end || end < m->start || end >= kn_map_end(m))
        return;
    *high = *high > end ? end : *high;
    *low = *low > *high ? *high : *low;
}

void kn_stack_put(struct kn_capture *c, struct kn_thread *t, uint64_t sp, uint32_t cap)
{
    uint64_t low = (sp > KN_RED_ZONE_BYTES ? sp - KN_RED_ZONE_BYTES : sp) & ~15ull;
    uint64_t high = low + cap;
    const struct kn_map *m = kn_maps_find(c, sp);
    if (!m || !(m->end_flags & KN_MAP_READ))
        m = kn_maps_above(c, sp, GUARD_BYTES);
    if (m) {
        low = low < m->start ? m->start : low;
        high = low + cap < kn_map_end(m) ? low + cap : kn_map_end(m);
        leave_out_environment(c, m, &low, &high);
    } else {
        const uint64_t end = c->process->main_stack_end;
        /* Above the main thread's stack there are arguments and environment. */
        if (kn_maps_tell(c, sp) || high < low || (end && low >= end)) {
            t->stack_start = sp;
            t->n_stack = 0;
            return;
        }
        high = end && end < high ? end : high;
    }
    /* Without maps the kernel finds the end of other stacks by itself. */
    kn_sink_align(&c->sink, 16);
    t->stack_start = low;
    t->stack_rva = kn_sink_at(&c->sink);
    t->n_stack = kn_sanitize_put(c, low, (uint32_t)(high - low));
}

/* Of a stack deeper than what is kept of it, also where it began. */
static void put_stack_end(struct kn_capture *c, const struct kn_thread *t)
{
    const struct kn_map *m = t->n_stack ? kn_maps_find(c, t->stack_start) : NULL;
    if (!m)
        return;
    uint64_t low = t->stack_start + t->n_stack, high = kn_map_end(m);
    leave_out_environment(c, m, &low, &high);
    if (high - low > STACK_END_BYTES)
        low = high - STACK_END_BYTES;
    if (low >= high)
        return;
    kn_sink_align(&c->sink, 16);
    uint32_t at = kn_sink_at(&c->sink);
    kn_memory(c, low, at, kn_sanitize_put(c, low, (uint32_t)(high - low)));
}

void kn_stack_crashed(struct kn_capture *c)
{
    struct kn_thread *t = &c->threads[0];
    kn_context context;
    *t = (struct kn_thread){
        .state = KN_THREAD_HERE, .tid = c->tid, .uc = c->uc, .how = KNELL_THREAD_SIGNAL};
    c->n_threads = 1;
    kn_regs_record(c->uc, &context);
    kn_sanitize_registers(c, &context);
    kn_sink_align(&c->sink, 16);
    t->context_rva = kn_sink_at(&c->sink);
    kn_sink_put(&c->sink, &context, sizeof context);
    kn_stack_put(c, t, kn_regs_sp(c->uc), CRASHED_STACK_BYTES);
    if (!t->n_stack)
        kn_note(c, 0, 0);
    put_stack_end(c, t);
}

struct range {
    uint64_t low, high;
};

static uint64_t around(uint64_t v, int64_t by)
{
    if (by < 0)
        return v > (uint64_t)-by ? v + (uint64_t)by : 0;
    return v + (uint64_t)by > v ? v + (uint64_t)by : ~0ull;
}

/* What is readable of [v - by, v + by), without the crashed stack's own bytes. */
static bool readable(const struct kn_capture *c, uint64_t v, int64_t by, struct range *r)
{
    const struct kn_thread *t = &c->threads[0];
    if (t->n_stack && v - t->stack_start < t->n_stack)
        return false;
    const struct kn_map *m = kn_maps_find(c, v);
    if (!m || !(m->end_flags & KN_MAP_READ))
        return false;
    r->low = around(v, -by) & ~15ull;
    r->high = around(v, by);
    r->low = r->low < m->start ? m->start : r->low;
    r->high = r->high > kn_map_end(m) ? kn_map_end(m) : r->high;
    leave_out_environment(c, m, &r->low, &r->high);
    if (t->n_stack && r->low < t->stack_start && r->high > t->stack_start)
        r->high = t->stack_start;
    return r->low < r->high;
}

/* Keep @all sorted by low and free of overlaps. */
static unsigned add_range(struct range *all, unsigned n, struct range r)
{
    unsigned at = 0;
    while (at < n && all[at].high < r.low)
        at++;
    unsigned last = at;
    while (last < n && all[last].low <= r.high) {
        r.low = all[last].low < r.low ? all[last].low : r.low;
        r.high = all[last].high > r.high ? all[last].high : r.high;
        last++;
    }
    memmove(all + at + 1, all + last, (n - last) * sizeof *all);
    all[at] = r;
    return n - (last - at) + 1;
}

void kn_stack_memory(struct kn_capture *c)
{
    struct range all[KN_N_REGISTERS + 3], r;
    unsigned n = 0;
    if (readable(c, kn_regs_pc(c->uc), AROUND_PC_BYTES, &r))
        n = add_range(all, n, r);
    for (unsigned i = 0; i < KN_N_REGISTERS; i++) {
        const char *name;
        if (readable(c, kn_regs_get(c->uc, i, &name), AROUND_REGISTER_BYTES, &r))
            n = add_range(all, n, r);
    }
    for (unsigned i = 0; i < n; i++) {
        kn_sink_align(&c->sink, 16);
        uint32_t at = kn_sink_at(&c->sink);
        uint32_t got =
            kn_sanitize_put(c, all[i].low, (uint32_t)(all[i].high - all[i].low));
        kn_memory(c, all[i].low, at, got);
    }
}

void kn_stack_thread_list(struct kn_capture *c)
{
    kn_sink_align(&c->sink, 8);
    uint32_t at = kn_sink_at(&c->sink), n = 0;
    for (uint32_t i = 0; i < c->n_threads; i++)
        n += c->threads[i].context_rva != 0;
    kn_sink_put(&c->sink, &n, sizeof n);
    for (uint32_t i = 0; i < c->n_threads; i++) {
        const struct kn_thread *t = &c->threads[i];
        if (!t->context_rva)
            continue;
        const struct knell_md_thread record = {.tid = t->tid,
            .stack = {t->stack_start, {t->n_stack, t->stack_rva}},
            .context = {sizeof(kn_context), t->context_rva}};
        kn_sink_put(&c->sink, &record, sizeof record);
    }
    kn_stream(c, KNELL_STREAM_THREAD_LIST, at, kn_sink_at(&c->sink) - at);
}
