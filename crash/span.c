#include "crash/span.h"

#include "crash/debug.h"
#include "crash/random.h"
#include "crash/scope_object.h"
#include "crash/segment.h"
#include "crash/tags.h"
#include "crash/text.h"
#include "crash/trace_header.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    MAX_SPANS = 1000,
    MAX_BYTES = 200 << 10,
    DATA_BYTES = 512,
    FEW_SPANS = 8,
    OP_BYTES = 40,
    NAME_BYTES = 200
};
/* In a segment each has a head and padding instead of its length. */
static_assert(MAX_BYTES + (MAX_SPANS + 1) * (sizeof(struct knell_segment_record) + 7) +
                      sizeof(struct knell_span_record) + OP_BYTES + NAME_BYTES +
                      DATA_BYTES + sizeof(struct knell_segment_head) <=
                  KNELL_SEGMENT_BYTES,
    "the largest transaction fits into a segment");

struct knell_span {
    uint32_t refs; /* atomic: the program's handle, its children, where it is shown */
    uint32_t done; /* atomic: finished; nobody shows it any more */
    struct knell_span *root, *parent;        /* root: itself for a transaction */
    struct knell_span *next_open, **at_open; /* in the root's list of open spans */
    struct knell_journal_trace shown;
    uint64_t start_ns;
    uint8_t *data; /* pairs; NULL: none */
    uint32_t n_data, tid;
    char op[OP_BYTES + 1], name[NAME_BYTES + 1];

    /* The rest is the root's. */
    pthread_mutex_t lock;
    struct kn_areas *areas;
    bool recording;
    enum kn_sampled sampled; /* what other services are told */
    uint32_t n_forks;        /* of the process that began it */
    uint32_t n_spans;
    struct knell_span *open;
    struct knell_span_record *finished; /* each with its texts and data behind it */
    size_t n_finished, finished_room;
    char *baggage; /* as it came in; NULL: begun here */
};

static uint32_t n_forks;

void kn_span_start_with(
    struct kn_areas *a, const char *dsn, const char *release, const char *environment)
{
    char key[80] = "";
    const char *p = strstr(dsn, "://");
    if (p && strchr(p, '@')) {
        size_t n = strcspn(p + 3, ":@");
        if (n < sizeof key)
            memcpy(key, p + 3, n);
    }
    char *out = a->baggage;
    const size_t room = sizeof a->baggage;
    size_t n = kn_baggage_add(out, room, 0, "sentry-public_key", key);
    n = kn_baggage_add(out, room, n, "sentry-release", release);
    (void)kn_baggage_add(out, room, n, "sentry-environment", environment);
}

void kn_span_fork_child(void)
{
    n_forks++;
}

/* Whether the root's lock and lists are in use. Not in a fork child: the parent sends the
 * transaction, and a thread of its may have held the lock. */
static bool records(const struct knell_span *root)
{
    return root->recording && root->n_forks == n_forks;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct knell_span *ref(struct knell_span *s)
{
    if (s)
        __atomic_fetch_add(&s->refs, 1, __ATOMIC_RELAXED);
    return s;
}

static void unref(struct knell_span *s)
{
    while (s && __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        struct knell_span *parent = s->parent;
        if (s->root == s) {
            free(s->finished);
            free(s->baggage);
            (void)pthread_mutex_destroy(&s->lock);
        }
        free(s->data);
        free(s);
        s = parent;
    }
}

static bool is_done(const struct knell_span *s)
{
    return __atomic_load_n(&s->done, __ATOMIC_ACQUIRE) ||
           __atomic_load_n(&s->root->done, __ATOMIC_ACQUIRE);
}

/**
 * Make @span the thread's open one, in the journal too.
 *
 * Context: normal, on the thread itself.
 * @span  NULL: none; a finished one counts as none
 */
static void span_show(struct kn_self *t, struct knell_span *span)
{
    while (span && is_done(span))
        span = span->parent;
    struct knell_span *old = t->span;
    t->span = ref(span);
    if (span && kn_self_block(t))
        kn_self_trace(t, &span->shown);
    else if (old)
        kn_self_trace(t, NULL);
    unref(old);
}

void kn_span_bind(struct kn_self *t, struct knell_scope *scope)
{
    struct knell_span *of_scope = scope->span;
    t->outer_span = ref(t->span);
    scope->span = NULL;
    span_show(t, of_scope);
    unref(of_scope);
}

void kn_span_unbind(struct kn_self *t, struct knell_scope *scope)
{
    struct knell_span *outer = t->outer_span;
    scope->span = ref(t->span);
    t->outer_span = NULL;
    span_show(t, outer);
    unref(outer);
}

void kn_span_let_go(struct knell_span **span)
{
    struct knell_span *s = *span;
    *span = NULL;
    unref(s);
}

static struct knell_span *open_span(void)
{
    struct kn_areas *a = kn_areas_current();
    struct knell_span *s = a ? kn_self_get(a)->span : NULL;
    return s && !is_done(s) ? s : NULL;
}

bool kn_span_ids(uint8_t trace_id[static 16], uint8_t span_id[static 8])
{
    const struct knell_span *s = open_span();
    memset(trace_id, 0, 16);
    memset(span_id, 0, 8);
    if (!s)
        return false;
    memcpy(trace_id, s->shown.trace_id, 16);
    memcpy(span_id, s->shown.span_id, 8);
    return true;
}

static struct knell_span *new_span(
    struct knell_span *parent, const char *op, const char *name)
{
    struct knell_span *s = calloc(1, sizeof *s);
    bool cut = false;
    if (!s)
        return NULL;
    s->refs = 1;
    s->start_ns = now_ns();
    s->tid = kn_self_tls.tid;
    memcpy(s->op, op ? op : "", kn_text_cut(op, OP_BYTES, &cut));
    memcpy(s->name, name ? name : "", kn_text_cut(name, NAME_BYTES, &cut));
    kn_random(s->shown.span_id, sizeof s->shown.span_id);
    s->root = parent ? parent->root : s;
    s->parent = ref(parent);
    if (parent) {
        memcpy(s->shown.trace_id, parent->shown.trace_id, 16);
        memcpy(s->shown.parent_id, parent->shown.span_id, 8);
        s->shown.sampled = parent->shown.sampled;
    }
    /* What a report shows: this span's operation, its transaction's name. */
    size_t n_op = strlen(s->op), room = sizeof s->shown.text - n_op;
    size_t n_name = kn_text_cut(s->root->name, room, &cut);
    s->shown.n_op = (uint8_t)n_op;
    s->shown.n_name = (uint8_t)n_name;
    memcpy(s->shown.text, s->op, n_op);
    memcpy(s->shown.text + n_op, s->root->name, n_name);
    return s;
}

/* The caller's trace when it sent one. Returns its sampling decision. */
static enum kn_sampled continue_trace(
    struct knell_span *s, const struct knell_trace_headers *in)
{
    struct kn_trace_parent p;
    char baggage[512];
    if (!in || (kn_sentry_trace_parse(in->sentry_trace, &p) &&
                   kn_traceparent_parse(in->traceparent, &p))) {
        kn_random(s->shown.trace_id, sizeof s->shown.trace_id);
        return KN_SAMPLED_UNDECIDED;
    }
    memcpy(s->shown.trace_id, p.trace_id, 16);
    memcpy(s->shown.parent_id, p.span_id, 8);
    if (kn_baggage_filter(in->baggage, baggage, sizeof baggage))
        s->baggage = strdup(baggage);
    return (enum kn_sampled)p.sampled;
}

/* Without a rate nothing is decided here: others get what the caller said, if anything.
 */
static void decide(struct knell_span *s, const struct kn_told *told)
{
    bool ignored = kn_told_ignores(told, s->name);
    if (ignored)
        kn_debug("transaction %s is one of ignore_transactions", s->name);
    if (told->traces) {
        if (s->sampled == KN_SAMPLED_UNDECIDED && kn_dice() < told->traces_sample_rate)
            s->sampled = KN_SAMPLED_YES;
        if (ignored || s->sampled != KN_SAMPLED_YES || told->traces_sample_rate <= 0)
            s->sampled = KN_SAMPLED_NO;
        s->recording = s->sampled == KN_SAMPLED_YES;
    }
    s->shown.sampled = s->recording;
    if (!s->recording)
        kn_count(s->areas,
            ignored ? KNELL_COUNT_TRACES_IGNORED : KNELL_COUNT_TRACES_SAMPLED_OUT);
}

struct knell_span *knell_transaction_start(
    const char *name, const char *op, const struct knell_trace_headers *incoming)
{
    struct kn_areas *a = kn_areas_current();
    if (!a)
        return NULL;
    int saved = errno;
    struct kn_self *t = kn_self_get(a);
    struct knell_span *s = new_span(NULL, op, name);
    if (s && pthread_mutex_init(&s->lock, NULL)) {
        free(s);
        s = NULL;
    }
    if (s) {
        s->areas = a;
        s->n_forks = n_forks;
        s->sampled = continue_trace(s, incoming);
        decide(s, &a->told);
        kn_debug("transaction %s: %s, rate %g%s", s->name,
            s->recording ? "will be sent" : "not sampled", a->told.traces_sample_rate,
            incoming ? ", by its caller's headers if it sent any" : "");
        span_show(t, s);
    }
    errno = saved;
    return s;
}

struct knell_span *knell_span_start(
    struct knell_span *parent, const char *op, const char *description)
{
    struct kn_areas *a = kn_areas_current();
    if (!a)
        return NULL;
    if (!parent)
        parent = open_span();
    if (!parent || is_done(parent))
        return NULL;
    int saved = errno;
    struct kn_self *t = kn_self_get(a);
    struct knell_span *s = new_span(parent, op, description), *root = parent->root;
    if (s && records(root)) {
        (void)pthread_mutex_lock(&root->lock);
        s->next_open = root->open;
        s->at_open = &root->open;
        if (root->open)
            root->open->at_open = &s->next_open;
        root->open = s;
        (void)pthread_mutex_unlock(&root->lock);
    }
    if (s)
        span_show(t, s);
    errno = saved;
    return s;
}

/* Under the root's lock: the transaction may be ending on another thread. */
static bool put_data(struct knell_span *s, const struct knell_data *value)
{
    bool cut = false;
    if (is_done(s))
        return false;
    if (!s->data)
        s->data = malloc(DATA_BYTES);
    if (s->data)
        s->n_data += (uint32_t)kn_pairs_put(
            s->data + s->n_data, DATA_BYTES - s->n_data, value, 1, &cut);
    return cut;
}

static void add_data(struct knell_span *s, const struct knell_data *value)
{
    struct knell_span *root = s->root;
    if (!records(root))
        return;
    int saved = errno;
    (void)pthread_mutex_lock(&root->lock);
    bool cut = put_data(s, value);
    (void)pthread_mutex_unlock(&root->lock);
    if (cut)
        kn_count(root->areas, KNELL_COUNT_CUT);
    errno = saved;
}

void knell_span_set_data(struct knell_span *span, struct knell_data value)
{
    if (span)
        add_data(span, &value);
}

void knell_span_set_tag(struct knell_span *span, const char *key, const char *value)
{
    char name[5 + KNELL_MAX_TAG_KEY] = "tag.", clean[KNELL_MAX_TAG_VALUE + 1];
    int cut = 0;
    if (!span || !value)
        return;
    size_t n = kn_tag_key(key, name + 4, &cut);
    name[4 + n] = '\0';
    clean[kn_tag_value(value, clean, &cut)] = '\0';
    struct knell_data pair = knell_text(name, clean);
    if (n)
        add_data(span, &pair);
}

static struct knell_span_record record_of(
    const struct knell_span *s, uint64_t end_ns, enum knell_span_status status)
{
    struct knell_span_record r = {.start_ns = s->start_ns,
        .end_ns = end_ns > s->start_ns ? end_ns : s->start_ns,
        .status = status,
        .n_op = (uint16_t)strlen(s->op),
        .n_name = (uint16_t)strlen(s->name),
        .n_pairs_bytes = s->n_data,
        .tid = s->tid};
    memcpy(r.trace_id, s->shown.trace_id, 16);
    memcpy(r.span_id, s->shown.span_id, 8);
    memcpy(r.parent_id, s->shown.parent_id, 8);
    memcpy(r.root_id, s->root->shown.span_id, 8);
    return r;
}

/* Under the root's lock: keep a finished span's record until the transaction ends. Each
 * is an u32 length and the payload. */
static void keep(struct knell_span *s, uint64_t end_ns, enum knell_span_status status)
{
    struct knell_span *root = s->root;
    struct knell_span_record r = record_of(s, end_ns, status);
    size_t n = sizeof r + r.n_op + r.n_name + r.n_pairs_bytes,
           need = n + sizeof(uint32_t);
    if (s->at_open) {
        *s->at_open = s->next_open;
        if (s->next_open)
            s->next_open->at_open = s->at_open;
        s->at_open = NULL;
    }
    size_t room = root->finished_room;
    while (room - root->n_finished < need && room < MAX_BYTES)
        room = room ? 2 * room : 1024;
    if (room > root->finished_room) {
        void *more = realloc(root->finished, room);
        if (more) {
            root->finished = more;
            root->finished_room = room;
        }
    }
    if (root->n_spans >= MAX_SPANS || root->n_finished + need > MAX_BYTES ||
        root->finished_room - root->n_finished < need) {
        kn_count(root->areas, KNELL_COUNT_SPANS_LOST);
        return;
    }
    uint8_t *p = (uint8_t *)root->finished + root->n_finished;
    uint32_t length = (uint32_t)n;
    memcpy(p, &length, sizeof length);
    p += sizeof length;
    memcpy(p, &r, sizeof r);
    memcpy(p + sizeof r, s->op, r.n_op);
    memcpy(p + sizeof r + r.n_op, s->name, r.n_name);
    if (r.n_pairs_bytes)
        memcpy(p + sizeof r + r.n_op + r.n_name, s->data, r.n_pairs_bytes);
    root->n_finished += need;
    root->n_spans++;
}

/* Under the root's lock: spans, then the transaction, side by side in the segment. */
static void send(struct knell_span *root, uint64_t end_ns, enum knell_span_status status)
{
    while (root->open)
        keep(root->open, end_ns, status);
    struct kn_record few[FEW_SPANS + 1],
        *records =
            root->n_spans <= FEW_SPANS ? few : calloc(root->n_spans + 1, sizeof *records);
    struct knell_span_record r = record_of(root, end_ns, status);
    uint32_t n = 0;
    int result = -ENOMEM;
    if (records) {
        const uint8_t *p = (const uint8_t *)root->finished;
        for (; n < root->n_spans; n++) {
            uint32_t length;
            memcpy(&length, p, sizeof length);
            records[n] = (struct kn_record){.type = KNELL_RECORD_SPAN,
                .parts = {p + sizeof length},
                .n_parts = {length}};
            p += sizeof length + length;
        }
        records[n++] = (struct kn_record){.type = KNELL_RECORD_TRANSACTION,
            .parts = {&r, root->op, root->name, root->data},
            .n_parts = {sizeof r, r.n_op, r.n_name, r.n_pairs_bytes}};
        result = kn_segment_append(records, n);
    }
    if (records != few)
        free(records);
    if (!result) {
        kn_count(root->areas, KNELL_COUNT_TRACES);
        return;
    }
    kn_count_more(root->areas, KNELL_COUNT_SPANS_LOST, root->n_spans + 1);
}

static void finish(struct knell_span *s, enum knell_span_status status, bool discard)
{
    struct knell_span *root = s->root;
    int saved = errno;
    if (records(root)) {
        (void)pthread_mutex_lock(&root->lock);
        bool over = __atomic_load_n(&root->done, __ATOMIC_RELAXED);
        if (!over && !discard) {
            if (s == root)
                send(s, now_ns(), status);
            else
                keep(s, now_ns(), status);
        } else if (s->at_open) {
            *s->at_open = s->next_open;
            if (s->next_open)
                s->next_open->at_open = s->at_open;
        }
        if (s == root) {
            while (root->open) { /* discarded: let them go */
                struct knell_span *o = root->open;
                root->open = o->next_open;
                o->at_open = NULL;
            }
        }
        __atomic_store_n(&s->done, 1, __ATOMIC_RELEASE);
        (void)pthread_mutex_unlock(&root->lock);
    }
    __atomic_store_n(&s->done, 1, __ATOMIC_RELEASE);
    struct kn_self *t = &kn_self_tls;
    if (t->span && is_done(t->span) && t->areas)
        span_show(t, t->span);
    unref(s);
    errno = saved;
}

void knell_span_finish(struct knell_span *span, enum knell_span_status status)
{
    if (span)
        finish(span, status, false);
}

void knell_transaction_discard(struct knell_span *transaction)
{
    if (transaction)
        finish(transaction->root, KNELL_SPAN_UNSET, true);
}

void knell_trace_outgoing(const struct knell_span *span, struct knell_outgoing *ret)
{
    static const char *const flag[] = {"", "-0", "-1"}; /* from KN_SAMPLED_UNDECIDED */
    char trace_id[33], span_id[17];
    if (!ret)
        return;
    *ret = (struct knell_outgoing){.sentry_trace = ""};
    if (!span)
        span = open_span();
    if (!span)
        return;
    kn_hex(span->shown.trace_id, 16, trace_id);
    kn_hex(span->shown.span_id, 8, span_id);
    enum kn_sampled sampled = span->root->sampled;
    (void)snprintf(ret->sentry_trace, sizeof ret->sentry_trace, "%s-%s%s", trace_id,
        span_id, flag[sampled + 1]);
    /* It has no word for "undecided". */
    (void)snprintf(ret->traceparent, sizeof ret->traceparent, "00-%s-%s-%02d", trace_id,
        span_id, sampled == KN_SAMPLED_YES);
    if (span->root->baggage) {
        (void)snprintf(ret->baggage, sizeof ret->baggage, "%s", span->root->baggage);
        return;
    }
    size_t n =
        kn_baggage_add(ret->baggage, sizeof ret->baggage, 0, "sentry-trace_id", trace_id);
    if (span->root->areas->told.traces)
        n = kn_baggage_add(ret->baggage, sizeof ret->baggage, n, "sentry-sampled",
            sampled == KN_SAMPLED_YES ? "true" : "false");
    const char *program = span->root->areas->baggage;
    if (program[0] && n + strlen(program) + 2 <= sizeof ret->baggage) {
        ret->baggage[n++] = ',';
        (void)snprintf(ret->baggage + n, sizeof ret->baggage - n, "%s", program);
        n += strlen(program);
    }
    (void)kn_baggage_add(
        ret->baggage, sizeof ret->baggage, n, "sentry-transaction", span->root->name);
}
