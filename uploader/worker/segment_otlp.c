#include "uploader/worker/segment_otlp.h"

#include "uploader/event/scope.h"

#include <errno.h>
#include <knell/trace.h>
#include <stdlib.h>
#include <string.h>

/* Source: trace.proto, Span.SpanKind and Status.StatusCode. */
enum { KIND_INTERNAL = 1, KIND_SERVER, KIND_CLIENT, KIND_PRODUCER, KIND_CONSUMER };
enum { STATUS_UNSET = 0, STATUS_OK, STATUS_ERROR };
enum { MAX_NAME = 200 };

void segment_otlp_done(struct segment_otlp *o)
{
    cJSON_Delete(o->logs);
    cJSON_Delete(o->traces);
    *o = (struct segment_otlp){.logs = NULL};
}

const char *segment_status_name(uint32_t status)
{
    static const char *const names[] = {[KNELL_SPAN_OK] = "ok",
        [KNELL_SPAN_CANCELLED] = "cancelled",
        [KNELL_SPAN_UNKNOWN_ERROR] = "unknown",
        [KNELL_SPAN_INVALID_ARGUMENT] = "invalid_argument",
        [KNELL_SPAN_DEADLINE_EXCEEDED] = "deadline_exceeded",
        [KNELL_SPAN_NOT_FOUND] = "not_found",
        [KNELL_SPAN_ALREADY_EXISTS] = "already_exists",
        [KNELL_SPAN_PERMISSION_DENIED] = "permission_denied",
        [KNELL_SPAN_RESOURCE_EXHAUSTED] = "resource_exhausted",
        [KNELL_SPAN_UNAVAILABLE] = "unavailable",
        [KNELL_SPAN_INTERNAL_ERROR] = "internal_error",
        [KNELL_SPAN_UNAUTHENTICATED] = "unauthenticated"};
    return status < sizeof names / sizeof *names ? names[status] : NULL;
}

/* {"resourceX":[{"resource":…,"scopeX":[{"scope":…,"X":[]}]}]}. Returns the last list. */
static cJSON *body(struct build *b, const struct otlp_service *service,
    const char *const names[3], cJSON **ret)
{
    cJSON *root = cJSON_CreateObject();
    if (!root) {
        b->failed = true;
        return NULL;
    }
    *ret = root;
    cJSON *one = build_object(b, build_array(b, root, names[0]), NULL);
    (void)otlp_resource(b, one, service);
    cJSON *scoped = build_object(b, build_array(b, one, names[1]), NULL);
    otlp_scope(b, scoped);
    return build_array(b, scoped, names[2]);
}

static void attributes(
    struct build *b, cJSON *list, const struct journal_pair *pairs, size_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!journal_pair_returns(pairs, (uint32_t)n, i))
            otlp_value(b, list, pairs[i].key, &pairs[i].value);
    }
}

void segment_otlp_log(struct segment_otlp *o, const struct otlp_service *service,
    const struct knell_log_record *r, const char *message,
    const struct journal_pair *pairs, size_t n)
{
    static const char *const names[] = {"resourceLogs", "scopeLogs", "logRecords"};
    struct build *b = &o->b;
    if (!o->logs)
        o->records = body(b, service, names, &o->logs);
    cJSON *to = build_object(b, o->records, NULL);
    const char *level = scope_level(r->level);
    otlp_nanoseconds(b, to, "timeUnixNano", r->time_ns);
    otlp_nanoseconds(b, to, "observedTimeUnixNano", r->time_ns);
    otlp_severity(b, to, level ? level : "info");
    build_text(b, build_object(b, to, "body"), "stringValue", message, OTLP_MAX_VALUE);
    cJSON *list = build_array(b, to, "attributes");
    attributes(b, list, pairs, n);
    if (r->tid)
        otlp_integer(b, list, "thread.id", r->tid);
    otlp_id(b, to, "traceId", r->trace_id, sizeof r->trace_id);
    otlp_id(b, to, "spanId", r->span_id, sizeof r->span_id);
}

/* From the words that Sentry's users know: "http.server", "db.query", "queue.publish". */
static int kind_of(const char *op, bool root)
{
    static const struct {
        const char *part;
        int kind;
    } kinds[] = {{".server", KIND_SERVER}, {".client", KIND_CLIENT}, {"db", KIND_CLIENT},
        {"cache", KIND_CLIENT}, {"queue.publish", KIND_PRODUCER},
        {"queue.process", KIND_CONSUMER}, {"queue.receive", KIND_CONSUMER}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const char *part = kinds[i].part;
        size_t n = strlen(part), n_op = strlen(op);
        bool end = *part == '.' && n_op >= n && !strcmp(op + n_op - n, part);
        bool start = *part != '.' && !strncmp(op, part, n) && (!op[n] || op[n] == '.');
        if (end || start)
            return kinds[i].kind;
    }
    return root ? KIND_SERVER : KIND_INTERNAL;
}

static void status(struct build *b, cJSON *to, uint32_t status)
{
    const char *name = segment_status_name(status);
    cJSON *s = build_object(b, to, "status");
    bool bad = name && status != KNELL_SPAN_OK;
    build_number(b, s, "code", bad ? STATUS_ERROR : name ? STATUS_OK : STATUS_UNSET);
    if (bad)
        build_text(b, s, "message", name, 32);
}

void segment_otlp_span(struct segment_otlp *o, const struct otlp_service *service,
    const struct knell_span_record *r, const char *op, const char *name, bool root,
    const struct journal_pair *pairs, size_t n)
{
    static const char *const names[] = {"resourceSpans", "scopeSpans", "spans"};
    struct build *b = &o->b;
    if (!o->traces)
        o->spans = body(b, service, names, &o->traces);
    cJSON *to = build_object(b, o->spans, NULL);
    otlp_id(b, to, "traceId", r->trace_id, sizeof r->trace_id);
    otlp_id(b, to, "spanId", r->span_id, sizeof r->span_id);
    otlp_id(b, to, "parentSpanId", r->parent_id, sizeof r->parent_id);
    build_text(b, to, "name", *name ? name : *op ? op : "(unnamed)", MAX_NAME);
    build_number(b, to, "kind", kind_of(op, root));
    otlp_nanoseconds(b, to, "startTimeUnixNano", r->start_ns);
    otlp_nanoseconds(b, to, "endTimeUnixNano", r->end_ns);
    cJSON *list = build_array(b, to, "attributes");
    otlp_text(b, list, "sentry.op", op);
    attributes(b, list, pairs, n);
    if (r->tid)
        otlp_integer(b, list, "thread.id", r->tid);
    status(b, to, r->status);
    build_number(b, to, "flags", 1); /* sampled, or it were not here */
}

int segment_otlp_finish(struct segment_otlp *o, struct worker_result *ret)
{
    cJSON *from = o->logs ? o->logs : o->traces;
    if (o->b.failed)
        return -ENOMEM;
    if (!from)
        return 0;
    char *text = cJSON_PrintUnformatted(from);
    ret->otlp = (uint8_t *)(text ? strdup(text) : NULL);
    ret->n_otlp = ret->otlp ? strlen(text) : 0;
    ret->otlp_traces = !o->logs;
    cJSON_free(text);
    return ret->otlp ? 0 : -ENOMEM;
}
