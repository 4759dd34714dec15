/* The loop of one pass: fill, wait, collect, until nothing is left to do now. */
#include "uploader/log.h"
#include "uploader/pipeline_inner.h"
#include "uploader/spool/index.h"
#include "uploader/spool/split.h"
#include "uploader/spool/tend.h"

#include <errno.h>
#include <inttypes.h>
#include <knell/knell.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { WAIT_MS = 1000 };

static uint64_t clock_ms(clockid_t id)
{
    struct timespec t;
    if (clock_gettime(id, &t) < 0)
        return 0;
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t pipeline_now_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

uint64_t pipeline_tick_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

/* splitmix64: spreads retries; no secret hangs on it. */
uint64_t pipeline_random(struct pipeline *p)
{
    uint64_t z = (p->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

bool pipeline_stopping(const struct pipeline *p)
{
    return p->o->stop && *p->o->stop;
}

static bool is_known(void *ctx, uint64_t signature)
{
    const struct ledger_signature *s = ledger_find_signature(ctx, signature);
    return s && s->window_s;
}

/* @first_look  the pass's first: later ones take only what arrived meanwhile */
static int look(struct pipeline *p, bool first_look)
{
    uint64_t now_s = pipeline_now_ms() / 1000;
    queue_done(&p->queue);
    int r = queue_add(&p->queue, p->spool, SPOOL_NEW, now_s, true);
    if (!r && first_look)
        r = queue_add(&p->queue, p->spool, SPOOL_WAIT, now_s, p->o->all);
    pipeline_split(p);
    if (!r)
        r = queue_sort(&p->queue, is_known, p->ledger);
    return r;
}

static bool chosen(const struct pipeline *p, const struct spool_name *name)
{
    char id[33];
    if (!p->o->only)
        return true;
    spool_event_id_format(name->event_id, id);
    return !strncmp(id, p->o->only, strlen(p->o->only));
}

static void fill(struct pipeline *p)
{
    if (!pipeline_stopping(p) && !p->in_worker)
        (void)pipeline_work_again(p);
    while (!pipeline_stopping(p) && !p->in_worker && p->n_jobs < pipeline_width(p)) {
        if (p->tokens_ms > pipeline_tick_ms())
            return;
        const struct queue_entry *e = queue_next(&p->queue);
        if (!e)
            return;
        if (chosen(p, &e->name))
            pipeline_take(p, e);
    }
}

static void collect(struct pipeline *p)
{
    struct answer a;
    void *tag;
    while (http_next(p->http, &tag, &a)) {
        if (a.fetched)
            debuginfod_answer(tag, &a);
        else
            pipeline_answer(p, tag, &a);
    }
}

static int until_next(const struct pipeline *p)
{
    uint64_t now = pipeline_tick_ms(), wait = WAIT_MS;
    if (p->tokens_ms > now && p->tokens_ms - now < wait)
        wait = p->tokens_ms - now;
    return (int)wait;
}

static void drain(struct pipeline *p)
{
    uint64_t stop_ms = 0;
    for (;;) {
        pipeline_fetch_go_on(p);
        fill(p);
        if (p->in_worker && p->o->worker->fd(p->o->worker->ctx) < 0) {
            pipeline_worked(p);
            continue;
        }
        bool more = p->queue.at < p->queue.n && !pipeline_stopping(p);
        if (!p->n_jobs && !more)
            return;
        if (pipeline_stopping(p)) {
            uint64_t now = pipeline_tick_ms();
            stop_ms = stop_ms ? stop_ms : now + p->config->stop_grace_ms;
            if (now >= stop_ms)
                return;
        }
        int fd = p->in_worker ? p->o->worker->fd(p->o->worker->ctx) : -1;
        http_wait(p->http, until_next(p), fd);
        bool late = p->o->worker->most_ms && pipeline_tick_ms() >= p->worker_end_ms;
        if (fd >= 0 && (late || http_readable(fd)))
            pipeline_worked(p);
        collect(p);
        pipeline_sync(p, false);
        if (p->o->progress)
            p->o->progress(p->o->progress_ctx, p->progress, p->queue.n);
    }
}

/* Into bad/, unread. Trouble with one file is no trouble of the pass. */
static void put_away(
    struct pipeline *p, enum spool_state from, const char *file, const char *why)
{
    int r = spool_quarantine(p->spool, from, file, why);
    if (r < 0 && r != -ENOENT)
        log_line(LOG_LEVEL_ERROR, LOG_OTHER, NULL, "%s: quarantine of %s/%.100s: %s",
            p->spool->path, spool_state_name(from), file, strerrordesc_np(-r));
    else if (!r)
        log_line(LOG_LEVEL_WARNING, LOG_QUARANTINED, NULL,
            "%s: %s/%.100s is quarantined: %s", p->spool->path, spool_state_name(from),
            file, why);
}

/* A dead uploader's report had arrived at some of its destinations: not there again. */
static void mark_arrived(struct pipeline *p, const struct spool_name *name, bool *ret_all)
{
    char id[33];
    spool_event_id_format(name->event_id, id);
    *ret_all = p->o->n_destinations > 0;
    for (size_t i = 0; i < p->o->n_destinations; i++) {
        uint64_t to = p->o->destinations[i].id;
        if (!history_was_sent(p->spool, id, to))
            *ret_all = false;
        else if (p->o->n_destinations > 1)
            IGNORE(marks_add(p->spool, &p->marks, name->event_id, to, false),
                "it is sent twice under the same id");
    }
}

/* Reports that a dead uploader left in work/ go back to where they came from. What had
 * arrived already, and only missed its rename, is settled. */
static int recover(void *ctx, const char *file, const struct spool_name *name)
{
    struct pipeline *p = ctx;
    bool sent;
    if (!name) {
        put_away(p, SPOOL_WORK, file, "not a report's name");
        return 0;
    }
    if (p->suspect && !memcmp(p->suspect, name->event_id, sizeof name->event_id)) {
        put_away(p, SPOOL_WORK, file,
            "the uploader died again and again with this report in hand");
        return 0;
    }
    mark_arrived(p, name, &sent);
    int r = spool_move(p->spool, SPOOL_WORK, name, sent ? SPOOL_SENT : SPOOL_NEW, NULL);
    if (r == -EEXIST) /* the same report under the same name: nothing is lost with it */
        r = unlinkat(p->spool->state_fd[SPOOL_WORK], file, 0) < 0 ? -errno : 0;
    if (r < 0 && r != -ENOENT)
        log_line(LOG_LEVEL_ERROR, LOG_OTHER, NULL,
            "%s: a report stays in work/ until the next pass: %s", p->spool->path,
            strerrordesc_np(-r));
    return 0;
}

static int quarantine_strangers(
    void *ctx, const char *file, const struct spool_name *name)
{
    if (!name)
        put_away(ctx, SPOOL_NEW, file, "not a report's name");
    return 0;
}

/* Consent has come: what was held for want of it is due. */
static int release(void *ctx, const char *file, const struct spool_name *name)
{
    struct pipeline *p = ctx;
    (void)file;
    if (!name || name->not_before_s != SPOOL_HELD_FOR_CONSENT_S)
        return 0;
    struct spool_name as = *name;
    as.not_before_s = 0;
    int r = spool_move(p->spool, SPOOL_HOLD, name, SPOOL_WAIT, &as);
    return r < 0 && r != -ENOENT && r != -EEXIST ? r : 0;
}

/* With those that were just made; those of reports that are gone are of no more use. */
static int load_marks(struct pipeline *p)
{
    marks_done(&p->marks);
    int r = marks_load(p->spool, &p->marks);
    return r ? r : marks_sweep(p->spool, &p->marks);
}

static int recover_all(struct pipeline *p)
{
    uint8_t id[SPOOL_EVENT_ID_BYTES];
    unsigned n = strikes_recover(p->strikes, id);
    if (n >= STRIKES_MAX_SUSPICIONS) {
        p->suspect = id;
        strikes_forget(p->strikes, id);
    }
    int r = spool_each(p->spool, SPOOL_WORK, recover, p);
    if (!r)
        r = load_marks(p);
    if (!r)
        r = spool_each(p->spool, SPOOL_NEW, quarantine_strangers, p);
    if (!r && consent_given(&p->consent))
        r = spool_each(p->spool, SPOOL_HOLD, release, p);
    p->suspect = NULL;
    return r;
}

static int count_waiting(void *ctx, const char *file, const struct spool_name *name)
{
    struct pipeline_result *r = ctx;
    (void)file;
    if (!name)
        return 0;
    r->remaining++;
    if (!r->next_due_s || name->not_before_s < r->next_due_s)
        r->next_due_s = name->not_before_s;
    return 0;
}

/* What could not be moved, for want of room say, or came too late for a stopped pass. */
static int count_stuck(void *ctx, const char *file, const struct spool_name *name)
{
    struct pipeline *p = ctx;
    (void)file;
    p->result.remaining += name && chosen(p, name);
    return 0;
}

static int count_remaining(struct pipeline *p)
{
    int r = spool_each(p->spool, SPOOL_WAIT, count_waiting, &p->result);
    if (!r)
        r = spool_each(p->spool, SPOOL_NEW, count_stuck, p);
    if (!r)
        r = spool_each(p->spool, SPOOL_WORK, count_stuck, p);
    return r;
}

/* A journal that its reader dies of is put away like a report. */
static int obituary(void *ctx, const uint8_t *image, size_t n,
    const struct spool_live_name *live, const uint8_t *slot, size_t n_slot,
    struct spool_name *name, uint8_t **ret, size_t *ret_n)
{
    struct pipeline *p = ctx;
    const struct pipeline_worker *w = p->o->worker;
    int r = w->obituary(w->ctx, image, n, live, slot, n_slot, name, ret, ret_n);
    if (r != -ECHILD) {
        strikes_forget(p->strikes, live->event_id);
        return r;
    }
    unsigned deaths = strikes_death(p->strikes, live->event_id);
    return deaths >= p->config->worker_deaths ? -EBADMSG : r;
}

static int adopt(struct pipeline *p)
{
    struct adopt_result a = {0};
    const struct pipeline_worker *w = p->o->worker;
    int r = adopt_all(p->spool, w->obituary ? obituary : NULL, p, "/proc", &a);
    p->result.adopted = a.n_dumps + a.n_obituaries;
    if (p->result.adopted)
        log_line(LOG_LEVEL_INFO, LOG_ADOPTED, NULL,
            "%s: %u reports and %u journals of dead processes adopted", p->spool->path,
            a.n_dumps, a.n_obituaries);
    if (a.n_quarantined)
        log_line(LOG_LEVEL_WARNING, LOG_QUARANTINED, NULL,
            "%s: %u files of dead processes are quarantined, with their reasons in bad/",
            p->spool->path, a.n_quarantined);
    p->result.remaining += a.n_left;
    if (a.n_left)
        log_line(LOG_LEVEL_WARNING, LOG_OTHER, NULL,
            "%s: %u files of dead processes wait: %s", p->spool->path, a.n_left,
            a.err == -ECHILD ? "the worker died on them" : strerrordesc_np(-a.err));
    IGNORE(tend_trim(p->spool), "it only takes more room than it needs");
    return r;
}

/* A queued report is given up: say so to the server and on the signature's next event,
 * but for one that somebody has: they would hear of a loss that is none. */
static void count_eviction(void *ctx, const struct limits_file *file)
{
    struct pipeline *p = ctx;
    bool expired = file->reason == LIMITS_EXPIRED;
    if (file->name.segment || pipeline_has_arrived(p, &file->name))
        return;
    ledger_add_drop(p->ledger, expired ? "network_error" : "cache_overflow", "error", 1);
    struct ledger_signature *s = ledger_signature(p->ledger, file->name.signature);
    if (s)
        s->n_suppressed++;
}

static void evict(struct pipeline *p)
{
    const struct config *c = p->config;
    struct limits l = {.max_reports = c->max_reports,
        .max_bytes = c->max_bytes,
        .max_age_ms = c->max_age_ms,
        .retain_sent_ms = c->retain_sent_ms,
        .retain_sent_bytes = c->retain_sent_bytes,
        .retain_bad_ms = c->retain_bad_ms,
        .retain_bad_bytes = c->retain_bad_bytes,
        .keep_first = c->keep_first,
        .keep_last = c->keep_last};
    struct tend_evicted e = {0};
    /* What an hour ago was young must not be old because the clock was set. */
    uint64_t steady_ms = ledger_steady_s(p->ledger, pipeline_now_ms() / 1000) * 1000;
    l.max_age_ms = steady_ms >= l.max_age_ms ? l.max_age_ms : 0;
    l.retain_sent_ms = steady_ms >= l.retain_sent_ms ? l.retain_sent_ms : 0;
    l.retain_bad_ms = steady_ms >= l.retain_bad_ms ? l.retain_bad_ms : 0;
    tend_shortage(
        p->spool, c->keep_free_bytes, c->keep_free_inodes, &l.need_bytes, &l.need_files);
    int r = tend_evict(p->spool, &l, pipeline_now_ms(), count_eviction, p, &e);
    if (r < 0)
        log_line(LOG_LEVEL_WARNING, LOG_OTHER, NULL, "%s: limits are not kept: %s",
            p->spool->path, strerrordesc_np(-r));
    if (e.n_expired || e.n_overflow)
        log_line(LOG_LEVEL_WARNING, LOG_EVICTED, NULL,
            "%s: %" PRIu64 " reports given up for want of room, %" PRIu64 " for age",
            p->spool->path, e.n_overflow, e.n_expired);
    p->result.evicted = e.n_expired + e.n_overflow;
}

/* Why there is something left, when no answer of this pass says so. */
static void tell_remaining(const struct pipeline *p)
{
    uint64_t now_s = pipeline_now_ms() / 1000;
    if (p->result.remaining && !p->o->n_destinations)
        log_line(LOG_LEVEL_INFO, LOG_OTHER, NULL, "%s: no destination is configured",
            p->spool->path);
    else if (p->result.disabled)
        log_line(LOG_LEVEL_INFO, LOG_OTHER, NULL,
            "%s: reports are held without consent to send them; knell consent yes "
            "gives it",
            p->spool->path);
    for (size_t i = 0; p->result.remaining && i < p->o->n_destinations; i++) {
        const struct destination *d = &p->o->destinations[i];
        const struct ledger_host *h = pipeline_rest_of(p, d);
        if (h && h->until_s > now_s)
            log_line(LOG_LEVEL_INFO, LOG_OTHER, NULL,
                "%s rests after failures, for %" PRIu64 " s", d->label,
                h->until_s - now_s);
    }
}

static int pass(struct pipeline *p)
{
    int r = recover_all(p);
    IGNORE(tend_clean(p->spool), "leftovers are untidy, not wrong");
    if (!r)
        r = adopt(p);
    bool first = true;
    while (!r && !pipeline_stopping(p)) {
        uint64_t before = p->progress;
        r = look(p, first);
        if (r < 0 || !p->queue.n)
            break;
        drain(p);
        /* A report that cannot even be moved must not be tried for ever. */
        if (p->progress == before)
            break;
        first = false;
    }
    /* Whatever is still out was broken off by a stop: back, as it was. */
    for (size_t i = 0; i < PIPELINE_MAX_JOBS; i++) {
        if (p->jobs[i].busy)
            pipeline_defer(p, &p->jobs[i], 0, false, "stopped");
    }
    pipeline_sync(p, true);
    /* Not before: a report that comes back would be sent where it is already. */
    IGNORE(load_marks(p), "the next pass sweeps, too");
    /* Debug files that are too many go first: no report has to make room for them. */
    debuginfod_free(p->debuginfod);
    p->debuginfod = NULL;
    if (!r)
        evict(p);
    IGNORE(index_compact(p->spool), "a cache");
    if (!r)
        r = count_remaining(p);
    if (!r && !p->o->n_destinations)
        p->result.disabled = p->result.remaining > 0;
    if (!r)
        tell_remaining(p);
    return r;
}

static int set_up(struct pipeline *p)
{
    const struct config *c = p->config;
    struct http_options h = {.proxy = c->proxy,
        .no_proxy = c->no_proxy,
        .tls = {c->ca_file, c->ca_path, c->client_cert, c->client_key},
        .unix_socket = c->unix_socket,
        .user_agent = "knell/" KNELL_VERSION,
        .insecure = c->insecure,
        .connect_timeout_ms = c->connect_timeout_ms,
        .total_timeout_ms = c->total_timeout_ms,
        .low_speed_time_ms = c->low_speed_time_ms,
        .low_speed_bytes = c->low_speed_bytes,
        .keep_alive_ms = c->keep_alive_ms,
        .max_response_bytes = c->max_response_bytes,
        .max_headers_bytes = c->max_headers_bytes,
        .may_connect = consent_given,
        .ctx = &p->consent};
    bool own_ca = c->otlp_ca_file && *c->otlp_ca_file;
    bool own_cert = c->otlp_client_cert && *c->otlp_client_cert;
    p->otlp_tls = (struct http_tls){.ca_file = own_ca ? c->otlp_ca_file : c->ca_file,
        .ca_path = own_ca ? NULL : c->ca_path,
        .client_cert = own_cert ? c->otlp_client_cert : c->client_cert,
        .client_key = own_cert ? c->otlp_client_key : c->client_key};
    p->consent = (struct consent){.spool_fd = p->spool->fd, .config = c};
    p->limits = (struct retry_limits){.base_ms = c->retry_base_ms,
        .max_ms = c->retry_max_ms,
        .hint_max_s = c->hint_max_ms / 1000,
        .hint_default_s = c->hint_default_ms / 1000,
        .configuration_ms = c->breaker_config_ms};
    p->random = pipeline_now_ms() ^ ((uint64_t)getpid() << 32);
    p->synced_ms = pipeline_tick_ms();
    uint64_t now_s = pipeline_now_ms() / 1000;
    int r = ledger_load(p->spool->fd, now_s, p->limits.hint_max_s, &p->ledger);
    if (!r)
        r = strikes_open(p->spool, &p->strikes);
    if (!r)
        r = http_new(&h, &p->http);
    if (!r)
        r = pipeline_fetch_set_up(p);
    if (!r)
        r = gzip_new((int)c->compression_level, &p->gzip);
    return r;
}

int pipeline_run(struct spool *spool, const struct pipeline_options *options,
    struct pipeline_result *ret)
{
    struct pipeline *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->o = options;
    p->config = options->config;
    p->spool = spool;
    p->marks.fd = -1;
    history_open(spool, &p->history);
    int r = set_up(p);
    if (!r)
        r = pass(p);
    if (p->ledger) {
        int saved = ledger_save(p->ledger, spool->fd);
        if (saved < 0)
            log_line(LOG_LEVEL_WARNING, LOG_OTHER, NULL, "%s: state is not saved: %s",
                spool->path, strerrordesc_np(-saved));
    }
    debuginfod_free(p->debuginfod);
    http_free(p->http);
    gzip_free(p->gzip);
    ledger_free(p->ledger);
    marks_done(&p->marks);
    strikes_close(p->strikes);
    history_close(&p->history);
    queue_done(&p->queue);
    if (!r)
        *ret = p->result;
    free(p);
    return r;
}
