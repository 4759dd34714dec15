#include "uploader/deliver/ledger.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint64_t ledger_hash(const char *text)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 0x100000001b3u;
    return h;
}

void ledger_free(struct ledger *l)
{
    if (!l)
        return;
    free(l->signatures);
    free(l);
}

uint64_t ledger_limited_until(
    const struct ledger *l, uint64_t destination, enum hint_category c)
{
    for (size_t i = 0; i < l->n_limits; i++) {
        if (l->limits[i].destination == destination && l->limits[i].category == c)
            return l->limits[i].until_s;
    }
    return 0;
}

static struct ledger_limit *limit_for(struct ledger *l, uint64_t destination, unsigned c)
{
    size_t oldest = 0;
    for (size_t i = 0; i < l->n_limits; i++) {
        if (l->limits[i].destination == destination && l->limits[i].category == c)
            return &l->limits[i];
        if (l->limits[i].until_s < l->limits[oldest].until_s)
            oldest = i;
    }
    if (l->n_limits < LEDGER_MAX_LIMITS)
        oldest = l->n_limits++;
    l->limits[oldest] = (struct ledger_limit){.destination = destination, .category = c};
    return &l->limits[oldest];
}

void ledger_set_limits(
    struct ledger *l, uint64_t destination, const struct hint *h, uint64_t now_s)
{
    for (unsigned c = 0; h->any && c < HINT_N_CATEGORIES; c++) {
        if (!h->seconds[c])
            continue;
        struct ledger_limit *limit = limit_for(l, destination, c);
        if (limit->until_s < now_s + h->seconds[c])
            limit->until_s = now_s + h->seconds[c];
        l->dirty = true;
    }
}

const struct ledger_host *ledger_find_host(const struct ledger *l, const char *host)
{
    uint64_t id = ledger_hash(host);
    for (size_t i = 0; i < l->n_hosts; i++) {
        if (l->hosts[i].id == id)
            return &l->hosts[i];
    }
    return NULL;
}

void ledger_host_failed(
    struct ledger *l, const char *host, uint64_t until_s, bool configuration)
{
    uint64_t id = ledger_hash(host);
    size_t i = 0, oldest = 0;
    for (; i < l->n_hosts && l->hosts[i].id != id; i++) {
        if (l->hosts[i].until_s < l->hosts[oldest].until_s)
            oldest = i;
    }
    if (i == l->n_hosts) {
        if (l->n_hosts < LEDGER_MAX_HOSTS)
            l->n_hosts++;
        else
            i = oldest;
        l->hosts[i] = (struct ledger_host){.id = id};
    }
    l->hosts[i].failures++;
    if (until_s > l->hosts[i].until_s)
        l->hosts[i].until_s = until_s;
    l->hosts[i].configuration = configuration;
    l->dirty = true;
}

void ledger_host_succeeded(struct ledger *l, const char *host)
{
    uint64_t id = ledger_hash(host);
    for (size_t i = 0; i < l->n_hosts; i++) {
        if (l->hosts[i].id == id) {
            l->hosts[i] = l->hosts[--l->n_hosts];
            l->dirty = true;
            return;
        }
    }
}

/* Index of the first signature not below @signature. */
static size_t place_of(const struct ledger *l, uint64_t signature)
{
    size_t low = 0, high = l->n_signatures;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (l->signatures[mid].signature < signature)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

const struct ledger_signature *ledger_find_signature(
    const struct ledger *l, uint64_t signature)
{
    size_t i = place_of(l, signature);
    bool there = i < l->n_signatures && l->signatures[i].signature == signature;
    return there ? &l->signatures[i] : NULL;
}

static void forget_signature(struct ledger *l, size_t i)
{
    l->n_signatures--;
    memmove(&l->signatures[i], &l->signatures[i + 1],
        (l->n_signatures - i) * sizeof *l->signatures);
}

struct ledger_signature *ledger_signature(struct ledger *l, uint64_t signature)
{
    size_t i = place_of(l, signature);
    if (i < l->n_signatures && l->signatures[i].signature == signature)
        return &l->signatures[i];
    if (!l->signatures) {
        l->signatures = calloc(LEDGER_MAX_SIGNATURES, sizeof *l->signatures);
        if (!l->signatures)
            return NULL;
    }
    if (l->n_signatures == LEDGER_MAX_SIGNATURES) {
        size_t oldest = 0;
        for (size_t k = 1; k < l->n_signatures; k++) {
            if (l->signatures[k].last_ms < l->signatures[oldest].last_ms)
                oldest = k;
        }
        forget_signature(l, oldest);
        i -= oldest < i;
    }
    memmove(&l->signatures[i + 1], &l->signatures[i],
        (l->n_signatures - i) * sizeof *l->signatures);
    l->n_signatures++;
    l->signatures[i] = (struct ledger_signature){.signature = signature};
    l->dirty = true;
    return &l->signatures[i];
}

uint64_t ledger_throttle(
    struct ledger *l, uint64_t signature, const struct config_rate *rate, uint64_t now_s)
{
    struct ledger_signature *s = ledger_signature(l, signature);
    uint64_t per_s = rate->per_ms / 1000 ? rate->per_ms / 1000 : 1;
    if (!s || rate->is_auto || !rate->count)
        return 0;
    /* A window that begins in the future comes from a clock that was set back. */
    if (!s->window_s || now_s >= s->window_s + per_s || s->window_s > now_s) {
        /* After a full window only one more each: 3 in the first hour, then 1. */
        bool flood = s->window_s && s->n_sent >= rate->count &&
                     now_s < s->window_s + 2 * per_s && s->window_s <= now_s;
        s->window_s = now_s;
        s->n_sent = flood ? rate->count - 1 : 0;
    }
    l->dirty = true;
    if (s->n_sent >= rate->count)
        return s->window_s + per_s;
    s->n_sent++;
    return 0;
}

void ledger_throttle_undo(struct ledger *l, uint64_t signature)
{
    size_t i = place_of(l, signature);
    if (i < l->n_signatures && l->signatures[i].signature == signature &&
        l->signatures[i].n_sent)
        l->signatures[i].n_sent--;
    l->dirty = true;
}

uint64_t ledger_steady_s(struct ledger *l, uint64_t now_s)
{
    enum { JUMP_S = 7 * 86400, NOTE_S = 3600 };
    bool jumped = now_s < l->seen_s || now_s > l->seen_s + JUMP_S;
    if (jumped)
        l->steady_s = now_s;
    /* Not at every pass: an idle one has nothing else to write. */
    if (jumped || now_s > l->seen_s + NOTE_S) {
        l->seen_s = now_s;
        l->dirty = true;
    }
    return now_s - l->steady_s;
}

void ledger_add_drop(
    struct ledger *l, const char *reason, const char *category, uint64_t n)
{
    struct ledger_drop *d = NULL;
    for (size_t i = 0; i < l->n_drops; i++) {
        if (!strcmp(l->drops[i].reason, reason) &&
            !strcmp(l->drops[i].category, category))
            d = &l->drops[i];
    }
    if (!d) {
        if (l->n_drops == LEDGER_MAX_DROPS)
            return;
        d = &l->drops[l->n_drops++];
        *d = (struct ledger_drop){0};
        snprintf(d->reason, sizeof d->reason, "%s", reason);
        snprintf(d->category, sizeof d->category, "%s", category);
    }
    d->n += n;
    l->dirty = true;
}

char *ledger_client_report(
    const struct ledger_drop *drops, size_t n_drops, uint64_t now_s)
{
    if (!n_drops)
        return NULL;
    size_t max = 256 + n_drops * 160, n = 0;
    CLEANUP(free_p) char *payload = malloc(max);
    char *out = NULL;
    if (!payload)
        return NULL;
    n += (size_t)snprintf(
        payload, max, "{\"timestamp\":%" PRIu64 ",\"discarded_events\":[", now_s);
    for (size_t i = 0; i < n_drops; i++) {
        const struct ledger_drop *d = &drops[i];
        n += (size_t)snprintf(payload + n, max - n,
            "%s{\"reason\":\"%s\",\"category\":\"%s\",\"quantity\":%" PRIu64 "}",
            i ? "," : "", d->reason, d->category, d->n);
    }
    n += (size_t)snprintf(payload + n, max - n, "]}");
    if (asprintf(&out, "{\"type\":\"client_report\",\"length\":%zu}\n%s\n", n, payload) <
        0)
        return NULL;
    return out;
}

void ledger_drops_told(struct ledger *l, const struct ledger_drop *told, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        for (size_t i = 0; i < l->n_drops; i++) {
            struct ledger_drop *d = &l->drops[i];
            if (strcmp(d->reason, told[k].reason) != 0 ||
                strcmp(d->category, told[k].category) != 0)
                continue;
            d->n -= told[k].n < d->n ? told[k].n : d->n;
            if (!d->n)
                *d = l->drops[--l->n_drops];
            l->dirty = true;
            break;
        }
    }
}
