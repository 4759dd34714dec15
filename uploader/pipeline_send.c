/* From a finished event to the destinations, and their answers back. */
#include "uploader/deliver/folder.h"
#include "uploader/deliver/frame.h"
#include "uploader/log.h"
#include "uploader/pipeline_inner.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { DAY_S = 86400, WORTH_WAITING_S = 3600, WHOLE_TRIES = 3 };

static uint64_t later_of(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* When what a file holds may go to a destination. A crash waits for as long as it takes;
 * a segment, which has several kinds of items in one envelope, waits for the last of
 * them, but not for one that its server will not take for long: that one is left out. */
static uint64_t limited_until(
    const struct pipeline *p, const struct destination *d, bool segment)
{
    static const enum hint_category kinds[] = {HINT_TRANSACTION, HINT_SESSION, HINT_LOG};
    uint64_t until = 0, last_s = pipeline_now_ms() / 1000 + WORTH_WAITING_S;
    if (!segment)
        return ledger_limited_until(p->ledger, d->id, HINT_ERROR);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        uint64_t one = ledger_limited_until(p->ledger, d->id, kinds[i]);
        if (one <= last_s || d->kind == DESTINATION_OTLP)
            until = later_of(until, one);
    }
    return until;
}

enum { REST_KEY_BYTES = 24 };

/* What a refusal of one destination rests: others on the same host are no worse for it.
 * Never the name of a host. */
static const char *rest_key(const struct destination *d, char room[static REST_KEY_BYTES])
{
    snprintf(room, REST_KEY_BYTES, "/%016" PRIx64, d->id);
    return room;
}

const struct ledger_host *pipeline_rest_of(
    const struct pipeline *p, const struct destination *d)
{
    char key[REST_KEY_BYTES];
    const struct ledger_host *host = ledger_find_host(p->ledger, d->host);
    const struct ledger_host *own = ledger_find_host(p->ledger, rest_key(d, key));
    return own && (!host || own->until_s > host->until_s) ? own : host;
}

/* When a destination may be tried; 0: now. */
static uint64_t open_from(
    const struct pipeline *p, const struct destination *d, bool segment)
{
    uint64_t now_s = pipeline_now_ms() / 1000;
    const struct ledger *l = p->ledger;
    const struct ledger_host *h = pipeline_rest_of(p, d);
    uint64_t until = limited_until(p, d, segment);
    if (h)
        until = later_of(until, h->until_s);
    if (!d->local && p->config->max_bytes_per_day &&
        l->day_bytes >= p->config->max_bytes_per_day && now_s < l->day_s + DAY_S &&
        !p->o->all)
        until = later_of(until, l->day_s + DAY_S);
    return until > now_s ? until : 0;
}

uint64_t pipeline_gate(const struct pipeline *p, const struct spool_name *name)
{
    uint64_t soonest = 0;
    for (size_t i = 0; i < p->o->n_destinations; i++) {
        const struct destination *d = &p->o->destinations[i];
        if (marks_has(&p->marks, name->event_id, d->id))
            continue;
        uint64_t from = open_from(p, d, name->segment);
        if (!from)
            return 0;
        if (!soonest || from < soonest)
            soonest = from;
    }
    return soonest;
}

bool pipeline_has_arrived(const struct pipeline *p, const struct spool_name *name)
{
    for (size_t i = 0; i < p->o->n_destinations; i++) {
        uint64_t to = p->o->destinations[i].id;
        if (marks_has(&p->marks, name->event_id, to) &&
            !marks_rejected(&p->marks, name->event_id, to))
            return true;
    }
    return false;
}

size_t pipeline_width(const struct pipeline *p)
{
    size_t n = p->config->concurrency;
    uint64_t now_s = pipeline_now_ms() / 1000;
    /* One at a time while a host that failed is being tried again; while it rests, it is
     * in nobody's way. */
    for (size_t i = 0; i < p->o->n_destinations; i++) {
        const struct ledger_host *h = pipeline_rest_of(p, &p->o->destinations[i]);
        if (h && h->until_s <= now_s)
            return 1;
    }
    return n < 1 ? 1 : n > PIPELINE_MAX_JOBS ? PIPELINE_MAX_JOBS : n;
}

/* Requests to servers elsewhere are spread over time. */
static void pace(struct pipeline *p, const struct destination *d)
{
    struct config_rate r = p->config->max_rate;
    uint64_t now = pipeline_tick_ms();
    if (d->local)
        return;
    if (r.is_auto)
        r = (struct config_rate){.count = 10, .per_ms = 1000};
    if (r.count)
        p->tokens_ms = later_of(p->tokens_ms, now) + r.per_ms / r.count;
}

/* And so are bytes, over a day: what left, of a request that broke off too. */
static void count_bytes(
    struct pipeline *p, const struct destination *d, const struct answer *a)
{
    uint64_t now_s = pipeline_now_ms() / 1000;
    if (d->local || !a->n_sent)
        return;
    if (now_s >= p->ledger->day_s + DAY_S) {
        p->ledger->day_s = now_s;
        p->ledger->day_bytes = 0;
    }
    p->ledger->day_bytes += a->n_sent;
    p->ledger->dirty = true;
}

static bool drops_are_out(const struct pipeline *p)
{
    for (size_t i = 0; i < PIPELINE_MAX_JOBS; i++) {
        if (p->jobs[i].told)
            return true;
    }
    return false;
}

/* The client report rides with one event at a time, and says the same at each try.
 * malloc'd or NULL. */
static char *take_drops(struct pipeline *p, struct job *j)
{
    if (!j->told) {
        if (!p->ledger->n_drops || drops_are_out(p))
            return NULL;
        j->told = reallocarray(NULL, p->ledger->n_drops, sizeof *j->told);
        if (!j->told)
            return NULL;
        j->n_told = p->ledger->n_drops;
        memcpy(j->told, p->ledger->drops, j->n_told * sizeof *j->told);
    }
    return ledger_client_report(j->told, j->n_told, pipeline_now_ms() / 1000);
}

static const struct worker_result *result_for(const struct delivery *d)
{
    return d->size == DELIVERY_SMALL ? &d->job->small : &d->job->result;
}

/* Kinds of items that this destination does not get now. */
static unsigned without(
    const struct pipeline *p, const struct delivery *d, const struct destination *to)
{
    uint64_t now_s = pipeline_now_ms() / 1000;
    unsigned kinds = 0;
    for (unsigned c = 0; c < HINT_N_CATEGORIES; c++) {
        if (ledger_limited_until(p->ledger, to->id, (enum hint_category)c) > now_s)
            kinds |= 1u << c;
    }
    if (d->size != DELIVERY_WHOLE || result_for(d)->n_items > p->config->max_body_bytes)
        kinds |= 1u << HINT_ATTACHMENT;
    return kinds;
}

void pipeline_count_kinds(struct pipeline *p, unsigned kinds, const char *reason)
{
    static const char *const names[HINT_N_CATEGORIES] = {
        [HINT_TRANSACTION] = "transaction",
        [HINT_SESSION] = "session",
        [HINT_LOG] = "log_item"};
    for (size_t c = 0; c < HINT_N_CATEGORIES; c++) {
        if (kinds & 1u << c && names[c])
            ledger_add_drop(p->ledger, reason, names[c], 1);
    }
}

/* What a limit took out of an envelope that went away without it. */
static void count_left_out(struct pipeline *p, const struct delivery *d)
{
    const struct worker_result *r = result_for(d);
    pipeline_count_kinds(
        p, d->left_out & frame_kinds(r->items, r->n_items), "ratelimit_backoff");
}

/* The bytes of one request. @ret malloc'd. */
static int make_body(struct pipeline *p, struct delivery *d, const struct destination *to,
    uint8_t **ret, size_t *ret_n)
{
    struct job *j = d->job;
    const struct worker_result *result = result_for(d);
    if (to->kind == DESTINATION_OTLP) {
        *ret = malloc(result->n_otlp);
        if (!*ret)
            return -ENOMEM;
        d->kinds = 1u << (!j->name.segment      ? HINT_ERROR
                          : result->otlp_traces ? HINT_TRANSACTION
                                                : HINT_LOG);
        memcpy(*ret, result->otlp, result->n_otlp);
        *ret_n = result->n_otlp;
        return 0;
    }
    char id[33];
    spool_event_id_format(j->name.event_id, id);
    struct frame_head head = {
        .event_id = id, .dsn = to->dsn, .sent_at_ms = pipeline_now_ms()};
    bool server = to->kind == DESTINATION_SENTRY;
    d->left_out = without(p, d, to);
    bool limited = d->left_out & 1u << HINT_INTERNAL;
    CLEANUP(free_p) char *drops = server && !limited ? take_drops(p, j) : NULL;
    d->kinds = frame_kinds(result->items, result->n_items) &
               (~d->left_out | 1u << HINT_ERROR); /* that one is never left out */
    d->kinds |= drops ? 1u << HINT_INTERNAL : 0;
    return frame_envelope(
        &head, result->items, result->n_items, d->left_out, drops, ret, ret_n);
}

static bool wants_gzip(const struct pipeline *p, const struct destination *to)
{
    bool near = to->local || (p->config->unix_socket && *p->config->unix_socket);
    unsigned how = p->config->compression;
    if (to->kind == DESTINATION_OTLP &&
        p->config->otlp_compression != CONFIG_COMPRESS_AUTO)
        how = p->config->otlp_compression;
    return how == CONFIG_COMPRESS_GZIP || (how == CONFIG_COMPRESS_AUTO && !near);
}

/* A character of a header's value, which may be percent-encoded; 0: none that may stand
 * there. */
static char header_char(const char **text)
{
    unsigned v;
    const char *p = *text;
    bool encoded = p[0] == '%' && isxdigit((unsigned char)p[1]) &&
                   isxdigit((unsigned char)p[2]) && sscanf(p + 1, "%2x", &v) == 1;
    *text += encoded ? 3 : 1;
    char c = encoded ? (char)v : *p;
    return (unsigned char)c < 0x20 || c == 0x7f ? 0 : c;
}

/* "key=value,key=value" as lines "key: value". @ret malloc'd; NULL: none or no memory.
 * Source: OpenTelemetry, OTEL_EXPORTER_OTLP_HEADERS (W3C Baggage). */
static char *header_lines(const char *text)
{
    if (!text || !*text)
        return NULL;
    size_t at = 0;
    char *out = malloc(2 * strlen(text) + 2);
    for (bool in_value = false; out && *text;) {
        if (*text == ',') {
            out[at++] = '\n';
            in_value = false;
            text++;
        } else if (*text == '=' && !in_value) {
            out[at++] = ':';
            out[at++] = ' ';
            in_value = true;
            text++;
        } else if (*text == ' ' && !in_value) {
            text++;
        } else {
            char c = header_char(&text);
            if (c)
                out[at++] = c;
        }
    }
    if (out)
        out[at] = 0;
    return out;
}

static void local_fault(struct pipeline *p, struct delivery *d, int r)
{
    struct answer a = {.failure = ANSWER_LOCAL};
    log_line(LOG_LEVEL_WARNING, LOG_OTHER, NULL, "%s: a report waits: %s", p->spool->path,
        strerrordesc_np(-r));
    snprintf(a.error, sizeof a.error, "%s", strerrordesc_np(-r));
    d->state = DELIVERY_OUT;
    pipeline_answer(p, d, &a);
}

static void to_folder(struct pipeline *p, struct delivery *d,
    const struct destination *to, const uint8_t *body, size_t n)
{
    char id[33];
    struct answer a = {.failure = ANSWER_OK, .status = 200};
    spool_event_id_format(d->job->name.event_id, id);
    if (!consent_given(&p->consent)) {
        a = (struct answer){.failure = ANSWER_FORBIDDEN, .error = "no consent"};
    } else {
        int r = folder_deliver(to->dir, id, body, n);
        if (r < 0) {
            local_fault(p, d, r);
            return;
        }
    }
    d->state = DELIVERY_OUT;
    pipeline_answer(p, d, &a);
}

static void to_server(struct pipeline *p, struct delivery *d,
    const struct destination *to, uint8_t *body, size_t n)
{
    bool otlp = to->kind == DESTINATION_OTLP, packed = wants_gzip(p, to);
    if (packed) {
        uint8_t *small = NULL;
        int r = gzip_pack(p->gzip, body, n, &small, &n);
        free(body);
        body = small;
        if (r < 0) {
            local_fault(p, d, r);
            return;
        }
    }
    CLEANUP(free_p)
    char *extra = to->otlp_own ? header_lines(p->config->otlp_headers) : NULL;
    struct http_request q = {.to = to,
        .body = body,
        .n_body = n,
        .content_type = otlp ? "application/json" : "application/x-sentry-envelope",
        .url = otlp && d->job->result.otlp_traces ? to->traces_url : NULL,
        .extra_headers = extra,
        .gzipped = packed,
        .tls = to->otlp_own ? &p->otlp_tls : NULL,
        .total_timeout_ms = otlp ? p->config->otlp_timeout_ms : 0,
        .tag = d};
    d->body = body;
    int r = http_post(p->http, &q);
    if (r < 0) {
        free(d->body);
        d->body = NULL;
        local_fault(p, d, r);
        return;
    }
    d->state = DELIVERY_OUT;
    pace(p, to);
}

/* Whether the worker made anything for this kind of destination: a segment may hold
 * nothing that a collector of logs wants, or nothing at all. */
static bool has_something(const struct worker_result *r, const struct destination *to)
{
    if (to->kind != DESTINATION_OTLP)
        return r->n_items > 0;
    return r->n_otlp > 0 && (to->traces_url || !r->otlp_traces);
}

static void send_one(struct pipeline *p, struct delivery *d)
{
    const struct destination *to = &p->o->destinations[d->destination];
    uint8_t *body = NULL;
    size_t n = 0;
    if (!has_something(result_for(d), to)) {
        d->state = DELIVERY_SENT;
        return;
    }
    int r = make_body(p, d, to, &body, &n);
    if (r == -ENODATA) { /* nothing but what its server does not take for long */
        count_left_out(p, d);
        d->all_left_out = true;
        d->state = DELIVERY_SENT;
    } else if (r < 0)
        local_fault(p, d, r);
    else if (to->kind == DESTINATION_DIRECTORY) {
        to_folder(p, d, to, body, n);
        free(body);
    } else {
        to_server(p, d, to, body, n);
    }
}

static void settle_when_done(struct pipeline *p, struct job *j)
{
    for (size_t i = 0; i < p->o->n_destinations; i++) {
        if (j->to[i].state == DELIVERY_OPEN || j->to[i].state == DELIVERY_OUT)
            return;
    }
    pipeline_settle(p, j);
}

void pipeline_send(struct pipeline *p, struct job *j)
{
    /* Set all before the first is sent: a folder answers at once, and the report must not
     * be settled before the others were asked. */
    j->sending = true;
    for (size_t i = 0; i < p->o->n_destinations; i++) {
        struct delivery *d = &j->to[i];
        const struct destination *to = &p->o->destinations[i];
        uint64_t from = open_from(p, to, j->name.segment);
        if (d->state != DELIVERY_OPEN)
            continue;
        if (marks_has(&p->marks, j->name.event_id, to->id)) {
            bool refused = marks_rejected(&p->marks, j->name.event_id, to->id);
            d->state = refused ? DELIVERY_REJECTED : DELIVERY_SENT;
            d->marked = true;
            snprintf(d->why, sizeof d->why, "%s has refused it", to->label);
        } else if (from) {
            d->state = DELIVERY_LATER;
            d->not_before_s = from;
            snprintf(d->why, sizeof d->why, "%s rests", to->label);
        } else {
            send_one(p, d);
        }
    }
    j->sending = false;
    settle_when_done(p, j);
}

static void rest(struct pipeline *p, const struct destination *to, struct delivery *d,
    const struct retry_decision *dec)
{
    char room[REST_KEY_BYTES];
    /* A server that answers is there: what it says, it says of this project or path. */
    bool own = dec->verdict == RETRY_CONFIGURATION && d->status;
    const char *key = own ? rest_key(to, room) : to->host;
    const struct ledger_host *h = ledger_find_host(p->ledger, key);
    uint64_t now_s = pipeline_now_ms() / 1000;
    uint64_t failures = h ? h->failures + 1 : 1, ms = dec->host_ms;
    bool resting = h && h->until_s > now_s, told = h && h->configuration;
    bool open = dec->verdict != RETRY_AGAIN || failures >= p->config->breaker_failures;
    if (dec->verdict == RETRY_UNREACHABLE || (dec->verdict == RETRY_AGAIN && open)) {
        unsigned n = failures > 60 ? 60 : (unsigned)failures - 1;
        uint64_t wait = retry_backoff_ms(&p->limits, n, pipeline_random(p));
        ms = ms > wait ? ms : wait;
    }
    /* Several requests that were out together fail together: one failure of the host. */
    if (!resting)
        ledger_host_failed(p->ledger, key, ms ? now_s + (ms + 999) / 1000 : 0,
            dec->verdict == RETRY_CONFIGURATION);
    h = ledger_find_host(p->ledger, key);
    d->not_before_s = later_of(now_s + (dec->wait_ms + 999) / 1000, h ? h->until_s : 0);
    if (dec->verdict == RETRY_CONFIGURATION && !told)
        log_line(LOG_LEVEL_ERROR, LOG_CONFIGURATION,
            &(struct log_report){.destination = to->label, .http_status = d->status},
            "%s: %s. Every report is kept; next try in %" PRIu64 " s", to->label,
            dec->why, ms / 1000);
}

static void arrived(struct pipeline *p, struct delivery *d, const struct destination *to)
{
    char id[33], room[REST_KEY_BYTES];
    spool_event_id_format(d->job->name.event_id, id);
    d->state = DELIVERY_SENT;
    d->job->arrived = true;
    d->job->n_suppressed = 0;
    if (to->kind == DESTINATION_SENTRY)
        count_left_out(p, d);
    ledger_host_succeeded(p->ledger, to->host);
    ledger_host_succeeded(p->ledger, rest_key(to, room));
    history_add(&p->history, &(struct history_line){.event_id = id,
                                 .what = "sent",
                                 .to = to->label,
                                 .destination = to->id,
                                 .status = to->dir ? 0 : d->status,
                                 .time_ms = pipeline_now_ms()});
    if (d->job->told && to->kind == DESTINATION_SENTRY) {
        ledger_drops_told(p->ledger, d->job->told, d->job->n_told);
        free(d->job->told);
        d->job->told = NULL;
    }
}

/* A long one that broke off again and again may do so for its length: no reason to give
 * it up, but to try less of it. When the server is merely down, nothing is lost by that.
 */
static bool is_too_long(const struct job *j, const struct answer *a)
{
    return a->failure == ANSWER_LOST && a->n_sent >= ANSWER_LONG_BYTES &&
           j->name.attempts + 1 >= WHOLE_TRIES;
}

/* 413: once more without attachments, then once more with the crashed thread alone. Other
 * destinations go their own way meanwhile. */
static bool try_smaller(struct pipeline *p, struct delivery *d)
{
    struct job *j = d->job;
    const struct destination *to = &p->o->destinations[d->destination];
    bool attached = to->kind != DESTINATION_OTLP &&
                    frame_attachment_bytes(j->result.items, j->result.n_items);
    if (d->size == DELIVERY_SMALL || (j->name.segment && !attached))
        return false;
    d->size =
        d->size == DELIVERY_WHOLE && attached ? DELIVERY_NO_ATTACHMENTS : DELIVERY_SMALL;
    d->state = DELIVERY_OPEN;
    if (d->size == DELIVERY_NO_ATTACHMENTS || has_something(&j->small, to))
        send_one(p, d);
    else
        j->wants_small = true;
    return true;
}

void pipeline_send_small(
    struct pipeline *p, struct job *j, enum delivery_state state, const char *why)
{
    j->sending = true;
    for (size_t i = 0; i < p->o->n_destinations; i++) {
        struct delivery *d = &j->to[i];
        if (d->state != DELIVERY_OPEN || d->size != DELIVERY_SMALL)
            continue;
        d->state = state;
        d->not_before_s = (pipeline_now_ms() + p->config->local_retry_ms) / 1000;
        if (state == DELIVERY_OPEN)
            send_one(p, d);
        else
            snprintf(d->why, sizeof d->why,
                "%.100s: too large, and not made smaller: %.100s",
                p->o->destinations[i].label, why);
    }
    j->sending = false;
    settle_when_done(p, j);
}

void pipeline_answer(struct pipeline *p, struct delivery *d, const struct answer *a)
{
    const struct destination *to = &p->o->destinations[d->destination];
    struct job *j = d->job;
    struct retry_decision dec;
    uint64_t now_s = pipeline_now_ms() / 1000;
    struct answer judged = *a;
    judged.otlp = to->kind == DESTINATION_OTLP;
    judged.kinds = d->kinds;
    retry_decide(&judged, &p->limits, now_s, j->name.attempts, pipeline_random(p), &dec);
    /* A collector without traces: no reason to keep logs and crashes from it. */
    if (to->kind == DESTINATION_OTLP && j->result.otlp_traces && a->status == 404)
        dec.verdict = RETRY_REJECTED;
    ledger_set_limits(p->ledger, to->id, &dec.limits, now_s);
    count_bytes(p, to, a);
    free(d->body);
    d->body = NULL;
    d->status = a->status;
    d->verdict = dec.verdict;
    d->counts = dec.counts;
    d->state = DELIVERY_LATER;
    bool traces = to->kind == DESTINATION_OTLP && j->result.otlp_traces;
    snprintf(d->why, sizeof d->why, "%s%.100s: %.140s", traces ? "otlp+" : "",
        traces ? to->traces_url : to->label, dec.why);
    switch (dec.verdict) {
    case RETRY_SENT:
        arrived(p, d, to);
        break;
    case RETRY_LIMITED:
        d->not_before_s = limited_until(p, to, j->name.segment);
        break;
    case RETRY_AGAIN:
        if (is_too_long(j, a) && try_smaller(p, d))
            return;
        rest(p, to, d, &dec);
        break;
    case RETRY_UNREACHABLE:
    case RETRY_CONFIGURATION:
        rest(p, to, d, &dec);
        break;
    case RETRY_TOO_LARGE:
        if (try_smaller(p, d))
            return;
        d->state = DELIVERY_REJECTED;
        break;
    case RETRY_REJECTED:
        d->state = DELIVERY_REJECTED;
        break;
    case RETRY_FORBIDDEN:
        break;
    case RETRY_LOCAL:
        d->not_before_s = now_s + p->config->local_retry_ms / 1000;
        break;
    }
    if (!j->sending)
        settle_when_done(p, j);
}
