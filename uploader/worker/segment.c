#include "uploader/worker/segment.h"

#include "symbolize/bytes.h"
#include "uploader/event/build.h"
#include "uploader/event/envelope.h"
#include "uploader/event/rules.h"
#include "uploader/event/scope.h"
#include "uploader/event/session.h"
#include "uploader/worker/segment_otlp.h"

#include <errno.h>
#include <knell/knell.h>
#include <knell/trace.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SPANS = 1000, MAX_NAME = 200, MAX_RECORDS = 100000 };

struct span {
    struct knell_span_record r;
    const uint8_t *rest; /* op, name, pairs */
};

struct segment {
    struct knell_segment_head head;
    struct bytes bytes;
    struct arena *arena;
    struct envelope items;
    const struct worker_options *o;
    struct span spans[MAX_SPANS]; /* whose transaction has not come yet */
    uint32_t n_spans;
    cJSON *logs; /* {"items": []} */
    struct segment_otlp otlp;
    struct otlp_service service;
    uint32_t n_logs, n_transactions, n_sessions, n_ignored;
};

bool segment_is(const uint8_t *bytes, size_t n)
{
    uint32_t magic = 0;
    if (n >= sizeof magic)
        memcpy(&magic, bytes, sizeof magic);
    return magic == KNELL_SEGMENT_MAGIC;
}

static int add(struct segment *s, const struct envelope_item *item, cJSON *json)
{
    char *text = cJSON_PrintUnformatted(json);
    int err = text ? envelope_add(&s->items, item, text, strlen(text)) : -ENOMEM;
    cJSON_free(text);
    return err;
}

static int session(struct segment *s, struct bytes *b)
{
    struct knell_journal_session one;
    bytes_copy(b, &one, sizeof one, "session");
    if (b->err)
        return 0;
    one.version = 1; /* the record has a checksum of its own */
    struct session_of of = {.release = s->head.release,
        .environment = s->head.environment,
        .time_ns = s->head.created_ns};
    cJSON *update;
    int err = session_update(&one, &of, &update);
    if (err || !update)
        return err;
    struct envelope_item item = {.type = "session", .content_type = "application/json"};
    err = add(s, &item, update);
    cJSON_Delete(update);
    s->n_sessions++;
    return err;
}

static void ids(struct build *b, cJSON *to, const struct knell_span_record *r)
{
    static const uint8_t none[8];
    char id[33];
    scope_hex(r->trace_id, 16, id);
    build_text(b, to, "trace_id", id, 32);
    scope_hex(r->span_id, 8, id);
    build_text(b, to, "span_id", id, 16);
    scope_hex(r->parent_id, 8, id);
    if (memcmp(r->parent_id, none, sizeof none) != 0)
        build_text(b, to, "parent_span_id", id, 16);
}

/* Pairs of a span: "tag.x" become tags, the others data. */
static void pairs(
    struct build *b, cJSON *tags, cJSON *data, struct segment *s, const struct span *span)
{
    const struct journal_pair *all;
    const struct knell_span_record *r = &span->r;
    int n =
        journal_pairs(s->arena, span->rest + r->n_op + r->n_name, r->n_pairs_bytes, &all);
    if (n < 0)
        b->failed = true;
    for (int i = 0; i < n; i++) {
        bool tag = !strncmp(all[i].key, "tag.", 4);
        if (journal_pair_returns(all, (uint32_t)n, (uint32_t)i))
            continue;
        if (tag && all[i].value.type == KNELL_VALUE_TEXT)
            build_text(b, tags, all[i].key + 4, all[i].value.text, 200);
        else if (!tag)
            scope_value(b, data, all[i].key, &all[i].value);
    }
}

static void one_span(
    struct build *b, cJSON *spans, struct segment *s, const struct span *sp)
{
    cJSON *to = build_object(b, spans, NULL);
    ids(b, to, &sp->r);
    build_text_n(b, to, "op", (const char *)sp->rest, sp->r.n_op, MAX_NAME);
    build_text_n(b, to, "description", (const char *)sp->rest + sp->r.n_op, sp->r.n_name,
        MAX_NAME);
    build_time(b, to, "start_timestamp", sp->r.start_ns);
    build_time(b, to, "timestamp", sp->r.end_ns);
    build_text(b, to, "status", segment_status_name(sp->r.status), 32);
    cJSON *tags = build_object(b, to, "tags"), *data = build_object(b, to, "data");
    pairs(b, tags, data, s, sp);
    build_drop_empty(to, "tags");
    build_drop_empty(to, "data");
}

/* The file's, which the envelope's head has too: some servers believe one, some the
 * other. Without a file's name one of the transaction itself, the same at every try. */
static void event_id(struct build *b, cJSON *to, const struct segment *s,
    const struct knell_span_record *r)
{
    uint8_t id[16];
    char text[33];
    if (*s->o->event.event_id) {
        build_text(b, to, "event_id", s->o->event.event_id, 33);
        return;
    }
    memcpy(id, r->trace_id, 16);
    for (int i = 0; i < 8; i++)
        id[i + 8] ^= r->span_id[i];
    scope_hex(id, 16, text);
    build_text(b, to, "event_id", text, 32);
}

static void transaction_body(
    struct build *b, cJSON *to, struct segment *s, const struct span *root)
{
    char text[16];
    (void)snprintf(text, sizeof text, "%u", root->r.tid);
    event_id(b, to, s, &root->r);
    build_text(b, to, "type", "transaction", 16);
    build_text(b, to, "platform", "native", 16);
    build_text_n(b, to, "transaction",
        root->r.n_name ? (const char *)root->rest + root->r.n_op : "(unnamed)",
        root->r.n_name ? root->r.n_name : 9, MAX_NAME);
    cJSON *info = build_object(b, to, "transaction_info");
    build_text(b, info, "source", "custom", 16);
    build_time(b, to, "start_timestamp", root->r.start_ns);
    build_time(b, to, "timestamp", root->r.end_ns);
    scope_release(b, to, "release", s->head.release);
    scope_environment(b, to, "environment", s->head.environment);
    build_text(b, to, "dist", s->head.dist, 64);
    if (s->o->event.send_default_pii)
        build_text(b, to, "server_name", s->head.server_name, 256);
    cJSON *contexts = build_object(b, to, "contexts");
    cJSON *trace = build_object(b, contexts, "trace");
    build_text(b, trace, "type", "trace", 8);
    ids(b, trace, &root->r);
    build_text_n(b, trace, "op", (const char *)root->rest, root->r.n_op, MAX_NAME);
    const char *status = segment_status_name(root->r.status);
    build_text(b, trace, "status", status ? status : "unknown", 32);
    cJSON *tags = build_object(b, to, "tags"), *data = build_object(b, trace, "data");
    pairs(b, tags, data, s, root);
    build_drop_empty(to, "tags");
    build_drop_empty(trace, "data");
}

static int otlp_span(struct segment *s, const struct span *span, bool root)
{
    const struct knell_span_record *r = &span->r;
    const struct journal_pair *all;
    char op[MAX_NAME + 1], name[MAX_NAME + 1];
    if (!s->o->otlp)
        return 0;
    int n =
        journal_pairs(s->arena, span->rest + r->n_op + r->n_name, r->n_pairs_bytes, &all);
    if (n < 0)
        return n;
    (void)text_copy(op, sizeof op, (const char *)span->rest, r->n_op);
    (void)text_copy(name, sizeof name, (const char *)span->rest + r->n_op, r->n_name);
    segment_otlp_span(&s->otlp, &s->service, r, op, name, root, all, (size_t)n);
    return 0;
}

static bool same_root(const struct span *s, const struct span *root)
{
    return !memcmp(s->r.root_id, root->r.span_id, 8) &&
           !memcmp(s->r.trace_id, root->r.trace_id, 16);
}

static int transaction(struct segment *s, const struct span *root)
{
    struct build b = {0};
    uint32_t kept = 0;
    int err = 0;
    char name[MAX_NAME + 1] = "";
    if (root->r.n_name)
        (void)text_copy(
            name, sizeof name, (const char *)root->rest + root->r.n_op, root->r.n_name);
    if (rules_transaction_ignored(s->o->rules, name)) {
        s->n_ignored++;
        return 0;
    }
    cJSON *to = cJSON_CreateObject();
    if (!to)
        return -ENOMEM;
    transaction_body(&b, to, s, root);
    cJSON *spans = build_array(&b, to, "spans");
    for (uint32_t i = 0; i < s->n_spans; i++) {
        if (!same_root(&s->spans[i], root)) {
            s->spans[kept++] = s->spans[i];
            continue;
        }
        one_span(&b, spans, s, &s->spans[i]);
        err = err ? err : otlp_span(s, &s->spans[i], false);
    }
    s->n_spans = kept;
    err = err ? err : otlp_span(s, root, true);
    struct envelope_item item = {
        .type = "transaction", .content_type = "application/json"};
    if (!err)
        err = b.failed ? -ENOMEM : add(s, &item, to);
    cJSON_Delete(to);
    s->n_transactions++;
    return err;
}

static int span(struct segment *s, struct bytes *b, bool root)
{
    struct span one;
    bytes_copy(b, &one.r, sizeof one.r, "span");
    size_t n = (size_t)one.r.n_op + one.r.n_name + one.r.n_pairs_bytes;
    one.rest = bytes_take(b, n, "span");
    if (b->err || one.r.end_ns < one.r.start_ns)
        return 0;
    if (root)
        return transaction(s, &one);
    if (s->n_spans < MAX_SPANS)
        s->spans[s->n_spans++] = one;
    return 0;
}

static void attribute(
    struct build *b, cJSON *to, const char *key, const struct journal_value *v)
{
    static const char *const types[] = {[KNELL_VALUE_TEXT] = "string",
        [KNELL_VALUE_INT] = "integer",
        [KNELL_VALUE_DOUBLE] = "double",
        [KNELL_VALUE_BOOL] = "boolean"};
    if (!to || v->type >= sizeof types / sizeof *types || !types[v->type] || !*key ||
        build_has(to, key))
        return;
    cJSON *one = build_object(b, to, key);
    scope_value(b, one, "value", v);
    if (one && cJSON_IsString(one->child))
        build_text(b, one, "type", "string", 16);
    else
        build_text(b, one, "type", types[v->type], 16);
}

static void text_attribute(struct build *b, cJSON *to, const char *key, const char *text)
{
    struct journal_value v = {.type = KNELL_VALUE_TEXT, .text = text};
    if (*text)
        attribute(b, to, key, &v);
}

static void shaped_attribute(struct build *b, cJSON *to, const char *key,
    void (*put)(struct build *b, cJSON *to, const char *key, const char *text),
    const char *text)
{
    cJSON *one = build_object(b, to, key);
    put(b, one, "value", text);
    if (one && one->child)
        build_text(b, one, "type", "string", 16);
    build_drop_empty(to, key);
}

static int log_record(struct segment *s, struct bytes *b)
{
    static const uint8_t none[16];
    static const int severities[] = {0, 5, 9, 13, 17, 21};
    struct knell_log_record r;
    const struct journal_pair *all;
    struct build build = {0};
    char id[33];
    bytes_copy(b, &r, sizeof r, "log");
    const uint8_t *message = bytes_take(b, r.n_message, "log");
    const uint8_t *rest = bytes_take(b, r.n_pairs_bytes, "log");
    if (b->err || s->n_logs >= KNELL_ITEM_MAX_LOGS)
        return 0;
    if (!s->logs)
        s->logs = cJSON_CreateObject();
    cJSON *items = s->logs ? cJSON_GetObjectItemCaseSensitive(s->logs, "items") : NULL;
    if (!items)
        items = build_array(&build, s->logs, "items");
    cJSON *to = build_object(&build, items, NULL);
    build_number(&build, to, "timestamp", (double)(r.time_ns / 1000) / 1e6);
    const uint8_t *trace = memcmp(r.trace_id, none, 16) ? r.trace_id : s->head.event_id;
    scope_hex(trace, 16, id); /* the protocol wants one; the segment's own is stable */
    build_text(&build, to, "trace_id", id, 32);
    const char *level = scope_level(r.level);
    build_text(&build, to, "level",
        !level                      ? "info"
        : !strcmp(level, "warning") ? "warn"
                                    : level,
        16);
    build_number(&build, to, "severity_number",
        severities[r.level <= KNELL_LEVEL_FATAL && r.level ? r.level : 2]);
    build_text_n(&build, to, "body", r.n_message ? (const char *)message : " ",
        r.n_message ? r.n_message : 1, 8192);
    cJSON *attributes = build_object(&build, to, "attributes");
    int n = journal_pairs(s->arena, rest, r.n_pairs_bytes, &all);
    for (int i = 0; i < n; i++)
        attribute(&build, attributes, all[i].key, &all[i].value);
    if (s->o->otlp && n >= 0) {
        const char *text = arena_text(s->arena, message, r.n_message);
        if (!text)
            return -ENOMEM;
        segment_otlp_log(&s->otlp, &s->service, &r, text, all, (size_t)n);
    }
    shaped_attribute(
        &build, attributes, "sentry.release", scope_release, s->head.release);
    shaped_attribute(
        &build, attributes, "sentry.environment", scope_environment, s->head.environment);
    text_attribute(&build, attributes, "sentry.sdk.name", "knell");
    text_attribute(&build, attributes, "sentry.sdk.version", KNELL_VERSION);
    s->n_logs++;
    return n < 0 || build.failed || !s->logs ? -ENOMEM : 0;
}

static int record(
    struct segment *s, const struct knell_segment_record *r, struct bytes *b)
{
    switch (r->type) {
    case KNELL_RECORD_SESSION:
        return session(s, b);
    case KNELL_RECORD_TRANSACTION:
        return span(s, b, true);
    case KNELL_RECORD_SPAN:
        return span(s, b, false);
    case KNELL_RECORD_LOG:
        return log_record(s, b);
    default:
        return 0; /* a later writer's */
    }
}

static int records(struct segment *s)
{
    int err = 0;
    size_t end = s->head.used_bytes < s->bytes.n ? s->head.used_bytes : s->bytes.n;
    struct bytes all = bytes_of(s->bytes.base, end);
    bytes_seek(&all, s->head.head_bytes, "records");
    for (uint32_t i = 0; !err && !all.err && i < MAX_RECORDS; i++) {
        struct knell_segment_record r;
        size_t at = all.at;
        if (!bytes_has(&all, sizeof r))
            break;
        bytes_copy(&all, &r, sizeof r, "record");
        const uint8_t *payload = bytes_take(&all, r.n_bytes, "record");
        bool is_free = payload && r.type == KNELL_RECORD_FREE;
        if (!payload || (!is_free && knell_journal_sum(payload, r.n_bytes, at) != r.sum))
            break;
        struct bytes b = bytes_of(payload, r.n_bytes);
        err = is_free ? 0 : record(s, &r, &b);
        bytes_seek(&all, (all.at + 7) & ~7ul, "record");
    }
    if (err || !s->n_logs)
        return err;
    struct envelope_item item = {.type = "log",
        .content_type = "application/vnd.sentry.items.log+json",
        .item_count = s->n_logs};
    return add(s, &item, s->logs);
}

static void summarize(const struct segment *s, struct worker_summary *to)
{
    scope_hex(s->head.event_id, 16, to->event_id);
    (void)text_copy(to->app, sizeof to->app, s->head.app, strlen(s->head.app));
    (void)text_copy(
        to->release, sizeof to->release, s->head.release, strlen(s->head.release));
    (void)text_copy(to->environment, sizeof to->environment, s->head.environment,
        strlen(s->head.environment));
    to->time_ms = s->head.created_ns / 1000000;
    (void)snprintf(to->title, sizeof to->title, "%u transactions, %u logs, %u sessions",
        s->n_transactions, s->n_logs, s->n_sessions);
}

static int read_head(struct segment *s)
{
    struct knell_segment_head *h = &s->head;
    struct bytes b = s->bytes;
    bytes_copy(&b, h, sizeof *h, "segment head");
    if (b.err || h->magic != KNELL_SEGMENT_MAGIC || h->head_bytes < sizeof *h)
        return -EBADMSG;
    if (h->version != KNELL_SEGMENT_VERSION)
        return -EPROTONOSUPPORT;
    h->release[sizeof h->release - 1] = 0;
    h->environment[sizeof h->environment - 1] = 0;
    h->dist[sizeof h->dist - 1] = 0;
    h->server_name[sizeof h->server_name - 1] = 0;
    h->app[sizeof h->app - 1] = 0;
    h->sdk[sizeof h->sdk - 1] = 0;
    const char *at = strchr(h->release, '@');
    s->service = (struct otlp_service){.name = h->app,
        .version = at ? at + 1 : h->release,
        .environment = h->environment,
        .host = s->o->event.send_default_pii ? h->server_name : NULL};
    return 0;
}

int segment_process(const uint8_t *bytes, size_t n, const struct worker_options *o,
    struct worker_result *ret)
{
    struct segment *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->bytes = bytes_of(bytes, n);
    s->o = o;
    s->arena = arena_new(REPORT_MAX_ARENA_BYTES);
    int err = s->arena ? read_head(s) : -ENOMEM;
    if (!err)
        err = records(s);
    *ret = (struct worker_result){0};
    if (!err)
        summarize(s, &ret->summary);
    if (err && err != -ENOMEM) {
        ret->outcome = WORKER_REFUSED;
        (void)snprintf(ret->why, sizeof ret->why, "segment: %s", strerrordesc_np(-err));
        err = 0;
    } else if (!err && !s->items.n) {
        ret->outcome = WORKER_DROPPED;
        (void)snprintf(ret->category, sizeof ret->category, "%s",
            s->n_ignored ? "event_processor" : "");
        (void)snprintf(ret->why, sizeof ret->why, "%s",
            s->n_ignored ? "segment: all in it is ignored by rules"
                         : "segment: nothing in it");
    } else if (!err) {
        err = s->o->otlp ? segment_otlp_finish(&s->otlp, ret) : 0;
        if (!err && !s->o->no_sentry) {
            ret->items = s->items.bytes;
            ret->n_items = s->items.n;
            s->items = (struct envelope){0};
        }
    }
    segment_otlp_done(&s->otlp);
    envelope_done(&s->items);
    cJSON_Delete(s->logs);
    arena_free(s->arena);
    free(s);
    return err;
}
