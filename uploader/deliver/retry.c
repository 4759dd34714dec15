#include "uploader/deliver/retry.h"

#include "uploader/deliver/otlp_answer.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

uint64_t retry_backoff_ms(
    const struct retry_limits *limits, unsigned attempts, uint64_t random)
{
    uint64_t most = limits->base_ms ? limits->base_ms : 1;
    for (unsigned i = 0; i < attempts && most < limits->max_ms; i++)
        most *= 2;
    if (most > limits->max_ms)
        most = limits->max_ms;
    return most ? 1 + random % most : 0;
}

/* A proxy's login page answers 200 too. Ours is JSON, or nothing at all. */
static bool is_ours(const struct answer *a)
{
    const char *p = a->body;
    if (!a->n_body)
        return true;
    if (a->body_cut)
        return false;
    while (isspace((unsigned char)*p))
        p++;
    return *p == '{' || !*p || !strcmp(p, "ok") || !strcmp(p, "OK");
}

static bool collector_is_final(int status)
{
    return status >= 400 && status != 429 && status != 502 && status != 503 &&
           status != 504;
}

static enum retry_verdict judge_status(const struct answer *a)
{
    int s = a->status;
    if (s >= 200 && s < 300 && a->otlp && is_ours(a) && otlp_answer_rejected(a->body))
        return RETRY_REJECTED;
    if (s >= 200 && s < 300)
        return is_ours(a) ? RETRY_SENT : RETRY_CONFIGURATION;
    if (s >= 300 && s < 400)
        return RETRY_CONFIGURATION;
    switch (s) {
    case 429:
        return RETRY_LIMITED;
    case 401:
    case 402:
    case 403:
    case 404:
    case 405:
    case 407:
    case 410:
        return RETRY_CONFIGURATION;
    case 413:
        return RETRY_TOO_LARGE;
    case 400:
    case 406:
    case 411:
    case 415:
    case 422:
        return RETRY_REJECTED;
    default:
        return a->otlp && collector_is_final(s) ? RETRY_REJECTED : RETRY_AGAIN;
    }
}

static enum retry_verdict judge(const struct answer *a)
{
    switch (a->failure) {
    case ANSWER_OK:
        return judge_status(a);
    case ANSWER_UNREACHABLE:
        return RETRY_UNREACHABLE;
    case ANSWER_UNTRUSTED:
        return RETRY_CONFIGURATION;
    case ANSWER_LOST:
        return RETRY_AGAIN;
    case ANSWER_FORBIDDEN:
        return RETRY_FORBIDDEN;
    case ANSWER_LOCAL:
        break;
    }
    return RETRY_LOCAL;
}

static uint64_t add_jitter(uint64_t ms, uint64_t random)
{
    /* A tenth more, so that a fleet does not come back in the same second. */
    return ms + (ms / 10 ? random % (ms / 10) : 0);
}

/* A server that does not take all kinds of an envelope keeps the others, and answers 429
 * as well. An event is what matters of its envelope; of a segment, any of it. */
static bool took_the_rest(const struct answer *a, const struct hint *h)
{
    unsigned named = 0;
    for (unsigned c = 0; c < HINT_N_CATEGORIES; c++)
        named |= h->seconds[c] ? 1u << c : 0;
    unsigned refused = a->kinds & named, event = 1u << HINT_ERROR;
    return refused && (a->kinds & event ? !(refused & event) : refused != a->kinds);
}

static bool was_in(const struct answer *a, int category)
{
    return a->kinds & 1u << category;
}

/* A 429 that names no limit of what it refused. */
static void limit_what_was_refused(
    const struct answer *a, const struct retry_limits *l, uint64_t s, struct hint *h)
{
    bool all = !h->any;
    for (int c = 0; c < HINT_N_CATEGORIES; c++) {
        if (was_in(a, c) && h->seconds[c])
            return;
    }
    /* "Come back in 0 seconds" in a loop would be a flood. */
    s = s ? s : 1;
    s = s < l->hint_max_s ? s : l->hint_max_s;
    for (int c = 0; c < HINT_N_CATEGORIES; c++) {
        if (all || was_in(a, c))
            h->seconds[c] = s;
    }
    h->any = true;
}

/* A fleet that was told the same time comes back spread out, too. */
static void spread(struct hint *h, const struct retry_limits *l, uint64_t random)
{
    for (int c = 0; c < HINT_N_CATEGORIES; c++) {
        uint64_t s = h->seconds[c] + random % (h->seconds[c] / 10 + 1);
        h->seconds[c] = s < l->hint_max_s ? s : l->hint_max_s;
    }
}

/* Limits that an answer sets, whatever its status. */
static void read_hints(const struct answer *a, const struct retry_limits *l,
    uint64_t now_s, uint64_t random, struct retry_decision *d)
{
    uint64_t after = 0;
    bool has_after = *a->retry_after &&
                     !hint_retry_after(a->retry_after, now_s, l->hint_max_s, &after);
    hint_rate_limits(a->rate_limits, l->hint_max_s, &d->limits);
    if (d->verdict == RETRY_LIMITED && took_the_rest(a, &d->limits)) {
        d->verdict = RETRY_SENT;
    } else if (d->verdict == RETRY_LIMITED) {
        /* Where kinds are named, Retry-After is the longest of them. */
        bool says = has_after && !d->limits.any;
        limit_what_was_refused(a, l, says ? after : l->hint_default_s, &d->limits);
    } else if (d->verdict == RETRY_AGAIN && has_after && after * 1000 > d->wait_ms) {
        d->wait_ms = after * 1000;
        d->host_ms = d->wait_ms;
    }
    spread(&d->limits, l, random);
}

static void explain(const struct answer *a, struct retry_decision *d)
{
    bool page = a->status >= 200 && a->status < 300 && d->verdict != RETRY_REJECTED;
    if (d->verdict == RETRY_SENT)
        return;
    if (a->failure != ANSWER_OK || !a->status)
        snprintf(d->why, sizeof d->why, "%s", a->error);
    else if (page)
        snprintf(d->why, sizeof d->why,
            "HTTP %d with a body that is no Sentry answer: a captive portal or a proxy?",
            a->status);
    else
        snprintf(d->why, sizeof d->why, "HTTP %d%s%.160s", a->status,
            *a->body ? ": " : "", a->body);
}

void retry_decide(const struct answer *a, const struct retry_limits *limits,
    uint64_t now_s, unsigned attempts, uint64_t random, struct retry_decision *ret)
{
    struct retry_decision d = {.verdict = judge(a)};
    d.counts = d.verdict == RETRY_AGAIN || d.verdict == RETRY_TOO_LARGE;
    if (d.verdict == RETRY_AGAIN)
        d.wait_ms = retry_backoff_ms(limits, attempts, random);
    if (d.verdict == RETRY_UNREACHABLE)
        d.host_ms = retry_backoff_ms(limits, 0, random);
    if (d.verdict == RETRY_CONFIGURATION)
        d.host_ms = limits->configuration_ms;
    read_hints(a, limits, now_s, random, &d);
    d.wait_ms = add_jitter(d.wait_ms, random);
    explain(a, &d);
    *ret = d;
}
