#include "crash/capture.h"

#include "crash/breadcrumb.h"
#include "crash/debug.h"
#include "crash/nudge.h"
#include "crash/random.h"
#include "crash/segment.h"
#include "crash/self.h"
#include "crash/session.h"
#include "crash/tell.h"
#include "crash/text.h"
#include "crash/trace_header.h"
#include "crash/uncancelled.h"

#include <errno.h>
#include <knell/knell.h>
#include <stdio.h>
#include <time.h>

enum { ITEM_BYTES = 8192 };

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* FNV-1a over what makes two errors the same: words and the place in the program, not the
 * message, which may hold anything. */
static uint64_t add_text(uint64_t h, const char *text)
{
    for (; text && *text; text++)
        h = (h ^ (uint8_t)*text) * 0x100000001b3u;
    return (h ^ 0xff) * 0x100000001b3u;
}

/* Whether there are not too many of its kind; counts what is refused. */
static bool is_in_time(
    struct kn_areas *a, uint64_t signature, uint64_t now, uint32_t *ret_n_suppressed)
{
    (void)kn_self_get(a);
    if (kn_bucket_take(&a->buckets, signature, now, kn_stripe_tls, ret_n_suppressed))
        return true;
    kn_count(a, KNELL_COUNT_SUPPRESSED);
    kn_debug("error or message not written: too many of its kind, one more every %u ms",
        a->told.capture_interval_ms);
    return false;
}

static uint64_t now_ms(void)
{
    return clock_ns(CLOCK_MONOTONIC_COARSE) / 1000000 + 1;
}

/* Whether it is to be written at all; counts what is not. */
static bool allowed(
    struct kn_areas *a, uint64_t signature, bool is_error, uint32_t *ret_n_suppressed)
{
    uint64_t now = now_ms();
    signature |= 1;
    if (!is_in_time(a, signature, now, ret_n_suppressed))
        return false;
    if (a->told.sample_rate < 1 && kn_dice() >= a->told.sample_rate) {
        kn_bucket_give_back(
            &a->buckets, signature, now, kn_stripe_tls, *ret_n_suppressed);
        kn_count(a, KNELL_COUNT_SAMPLED_OUT);
        kn_debug("error or message not written: left out by sample_rate %g",
            a->told.sample_rate);
        if (is_error) /* not told, but it happened: the session counts it */
            kn_session_error(a);
        return false;
    }
    return true;
}

struct item {
    size_t n;
    bool cut;
    union {
        struct knell_item_head head;
        uint8_t bytes[ITEM_BYTES];
    } u;
};

static void item_init(
    struct item *i, enum knell_item_kind kind, uint32_t level, uint32_t n_suppressed)
{
    i->n = sizeof i->u.head;
    i->cut = false;
    i->u.head = (struct knell_item_head){.magic = KNELL_ITEM_MAGIC,
        .version = KNELL_ITEM_VERSION,
        .kind = kind,
        .level = level,
        .n_suppressed = n_suppressed,
        .time_ns = clock_ns(CLOCK_REALTIME)};
}

static void item_text(struct item *i, const char *key, const char *text, size_t max)
{
    i->n += kn_pair_text(i->u.bytes + i->n, sizeof i->u - i->n, key, text, max, &i->cut);
}

/* @all_threads  with the stacks of the others */
static struct knell_event_id write_report(
    struct kn_areas *a, struct item *i, const ucontext_t *uc, bool all_threads)
{
    struct knell_event_id id = {""};
    struct kn_live_report report = {.uc = uc,
        .item = i->u.bytes,
        .n_item = (uint32_t)i->n,
        .all_threads = all_threads,
        .time_ns = i->u.head.time_ns};
    int cancel = kn_cancel_hold(), r = kn_tell_has_room();
    if (!r)
        r = kn_arm_live(&report);
    if (i->cut)
        kn_count(a, KNELL_COUNT_CUT);
    kn_count(a, r ? KNELL_COUNT_FAILED : KNELL_COUNT_CAPTURED);
    if (r) {
        __atomic_store_n(&a->last_error, r, __ATOMIC_RELAXED);
    } else {
        kn_hex(report.event_id, sizeof report.event_id, id.text);
        __atomic_store_n(&a->last_error, 0, __ATOMIC_RELAXED);
        (void)kn_segment_flush(); /* the logs that led here go along */
        kn_nudge();
    }
    if (r)
        kn_debug("report not written: %s", strerrordesc_np(-r));
    else
        kn_debug("report %s written", id.text);
    kn_cancel_allow(cancel);
    return id;
}

static struct knell_event_id capture_error(
    struct kn_areas *a, const struct knell_error *e)
{
    struct knell_event_id none = {""};
    struct item item;
    ucontext_t uc;
    char code[24];
    uint32_t n_suppressed;
    const char *type = e->type && *e->type ? e->type : "Error";
    uint64_t h = add_text(0xcbf29ce484222325u, type);
    h = add_text(add_text(h, e->domain), e->operation);
    h = (h ^ (uint64_t)e->code) * 0x100000001b3u;
    /* Nothing is written of one that is not reported: no sample is taken, and those that
     * are reported keep their tokens. */
    if (e->not_reported ? !is_in_time(a, ~h | 1, now_ms(), &n_suppressed)
                        : !allowed(a, h, true, &n_suppressed))
        return none;
    /* In the session and the trail once per report, as what it stands for. */
    kn_session_error(a);
    kn_breadcrumb(KNELL_LEVEL_ERROR, 0, e->domain ? e->domain : "error",
        e->message ? e->message : type, NULL, 0);
    if (e->not_reported)
        return none;
    item_init(&item, KNELL_ITEM_ERROR, e->level, n_suppressed);
    item_text(&item, "type", type, 128);
    item_text(&item, "message", e->message, 2048);
    item_text(&item, "domain", e->domain, 200);
    item_text(&item, "operation", e->operation, 200);
    if (e->code) {
        (void)snprintf(code, sizeof code, "%lld", (long long)e->code);
        item_text(&item, "code", code, sizeof code);
    }
    item_text(&item, "details", "", 1); /* what follows are the program's own */
    item.n += kn_pairs_put(item.u.bytes + item.n, sizeof item.u - item.n, e->details,
        e->n_details, &item.cut);
    if (getcontext(&uc))
        return none;
    item.u.head.tid = kn_self_get(a)->tid;
    return write_report(a, &item, &uc, e->all_threads);
}

struct knell_event_id knell_capture_error(const struct knell_error *error)
{
    struct knell_event_id none = {""};
    struct knell_error e = KNELL_ERROR_INIT;
    struct kn_areas *a = kn_areas_current();
    if (!a || a->in_child || !error || error->size < sizeof error->size)
        return none;
    int saved = errno;
    memcpy(&e, error, error->size < sizeof e ? error->size : sizeof e);
    struct knell_event_id id = capture_error(a, &e);
    errno = saved;
    return id;
}

struct knell_event_id knell_capture_message(enum knell_level level, const char *message)
{
    struct knell_event_id id = {""};
    struct kn_areas *a = kn_areas_current();
    struct item item;
    ucontext_t uc;
    uint32_t n_suppressed;
    if (!a || a->in_child || !message)
        return id;
    int saved = errno;
    uint64_t place = (uint64_t)(uintptr_t)__builtin_return_address(0);
    if (allowed(a, (place ^ (uint64_t)level) * 0x9e3779b97f4a7c15u,
            level >= KNELL_LEVEL_ERROR, &n_suppressed) &&
        !getcontext(&uc)) {
        item_init(&item, KNELL_ITEM_MESSAGE, level, n_suppressed);
        item_text(&item, "message", message, 4096);
        item.u.head.tid = kn_self_get(a)->tid;
        if (level >= KNELL_LEVEL_ERROR)
            kn_session_error(a);
        id = write_report(a, &item, &uc, false);
    }
    errno = saved;
    return id;
}

void kn_capture_hang(const struct kn_hang *hang)
{
    struct kn_areas *a = kn_areas_current();
    struct item item;
    ucontext_t uc;
    char text[128];
    uint32_t n_suppressed;
    if (!a || !allowed(a, add_text(0x48616e67, hang->name), true, &n_suppressed) ||
        getcontext(&uc))
        return;
    item_init(&item, KNELL_ITEM_HANG, KNELL_LEVEL_ERROR, n_suppressed);
    item_text(&item, "type", "Hang", 8);
    (void)snprintf(text, sizeof text, "%s missed its deadline of %u ms", hang->name,
        hang->deadline_ms);
    item_text(&item, "message", text, sizeof text);
    item_text(&item, "loop", hang->name, sizeof hang->name);
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)hang->late_ms);
    item_text(&item, "silent_ms", text, sizeof text);
    item.u.head.tid = hang->tid;
    kn_session_error(a);
    (void)write_report(a, &item, &uc, true);
}
