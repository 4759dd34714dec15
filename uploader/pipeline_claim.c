/* From the queue to the worker and back: claim, read, hand over. */
#include "uploader/event_options.h"
#include "uploader/log.h"
#include "uploader/pipeline_inner.h"
#include "uploader/spool/tend.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { YOUNG_MS = 60000 };

static bool all_local(const struct pipeline *p)
{
    for (size_t i = 0; i < p->o->n_destinations; i++) {
        if (!p->o->destinations[i].local)
            return false;
    }
    return true;
}

static struct config_rate throttle_rate(const struct pipeline *p)
{
    struct config_rate r = p->config->per_signature;
    if (r.is_auto)
        r = (struct config_rate){.count = all_local(p) ? 0 : 3, .per_ms = 3600000};
    if (p->o->all)
        r = (struct config_rate){0};
    return r;
}

/* Move a report that is not claimed; new/ must come out empty, or a path unit would start
 * us again at once. */
static void put_off(struct pipeline *p, const struct queue_entry *e, enum spool_state to,
    uint64_t not_before_s)
{
    struct spool_name later = e->name;
    later.not_before_s = not_before_s;
    if (e->state == to && e->name.not_before_s == not_before_s)
        return;
    int r = spool_move(p->spool, e->state, &e->name, to, &later);
    if (r < 0 && r != -ENOENT) {
        log_line(LOG_LEVEL_ERROR, LOG_OTHER, NULL, "%s: cannot move a report to %s/: %s",
            p->spool->path, spool_state_name(to), strerrordesc_np(-r));
        return;
    }
    p->spread[to] = true;
    p->n_moved++;
    p->progress++;
    p->result.deferred++;
}

/* A flood of one signature becomes a number on the next event that goes out. */
static bool collapse(struct pipeline *p, const struct queue_entry *e)
{
    char file[KNELL_SPOOL_NAME_BYTES + 1];
    uint64_t now = pipeline_now_ms(), after = p->config->collapse_after_ms;
    /* A clock that was set says nothing about its age. */
    if (e->name.time_ms + after > now ||
        ledger_steady_s(p->ledger, now / 1000) < after / 1000)
        return false;
    spool_name_format(&e->name, file);
    if (unlinkat(p->spool->state_fd[e->state], file, 0) < 0)
        return false;
    struct ledger_signature *s = ledger_signature(p->ledger, e->name.signature);
    if (s) {
        s->n_suppressed++;
        if (!s->first_ms || e->name.time_ms < s->first_ms)
            s->first_ms = e->name.time_ms;
        if (e->name.time_ms > s->last_ms)
            s->last_ms = e->name.time_ms;
    }
    ledger_add_drop(p->ledger, "sample_rate", "error", 1);
    p->result.dropped++;
    p->progress++;
    return true;
}

static int read_report(struct pipeline *p, struct job *j)
{
    char file[KNELL_SPOOL_NAME_BYTES + 1];
    CLEANUP(close_p) int fd = -1;
    spool_name_format(&j->name, file);
    if (!j->name.segment)
        tend_trim_report(p->spool, SPOOL_WORK, file);
    int r =
        spool_open_file(p->spool, SPOOL_WORK, file, KNELL_MAX_REPORT_BYTES, &fd, NULL);
    /* What a daemon says while it goes on, it does not wait for the disk with: a power
     * cut could take it until now. Crashes are durable before they are seen. */
    if (!r && !j->name.signo && j->name.time_ms + YOUNG_MS > pipeline_now_ms() &&
        fdatasync(fd) < 0)
        r = -errno;
    if (!r)
        r = spool_read_all(fd, KNELL_MAX_REPORT_BYTES, &j->report, &j->n_report);
    return r;
}

static void set_options(struct pipeline *p, struct job *j)
{
    event_options_set(p->config, &j->name, p->ledger, p->o->destinations,
        p->o->n_destinations, &j->options);
    j->options.may_ask = pipeline_may_ask(p);
    /* Out of the ledger: other reports of it that are out now must not tell it as well.
     */
    j->n_suppressed = j->name.segment ? 0 : j->options.event.suppressed;
    if (j->n_suppressed)
        ledger_signature(p->ledger, j->name.signature)->n_suppressed = 0;
}

static struct job *free_job(struct pipeline *p)
{
    for (size_t i = 0; i < PIPELINE_MAX_JOBS; i++) {
        if (!p->jobs[i].busy)
            return &p->jobs[i];
    }
    return NULL;
}

/* This machine has trouble: not the report's fault, and for people to know. */
static void defer_for_fault(struct pipeline *p, struct job *j, int r)
{
    log_line(LOG_LEVEL_WARNING, LOG_OTHER, NULL, "%s: a report waits: %s", p->spool->path,
        strerrordesc_np(-r));
    pipeline_defer(p, j, (pipeline_now_ms() + p->config->local_retry_ms) / 1000, false,
        strerrordesc_np(-r));
}

/* Give the report that was read to the worker. */
static int begin(struct pipeline *p, struct job *j)
{
    int r = p->o->worker->begin(p->o->worker->ctx, j->report, j->n_report, &j->options);
    if (r < 0)
        return r;
    strikes_begin(p->strikes, j->name.event_id);
    p->in_worker = j;
    p->worker_end_ms = pipeline_tick_ms() + p->o->worker->most_ms;
    return 0;
}

void pipeline_work(struct pipeline *p, struct job *j)
{
    int r = read_report(p, j);
    if (r < 0 && spool_fault(r)) {
        pipeline_quarantine(p, j, spool_fault(r));
        return;
    }
    /* Whatever keeps the worker from beginning says nothing about the report. */
    if (!r)
        r = begin(p, j);
    if (r < 0)
        defer_for_fault(p, j, r);
}

bool pipeline_work_again(struct pipeline *p)
{
    struct job *j = NULL;
    for (size_t i = 0; i < PIPELINE_MAX_JOBS && !j; i++)
        j = p->jobs[i].busy && p->jobs[i].wants_small ? &p->jobs[i] : NULL;
    if (!j)
        return false;
    j->options.minidump = WORKER_MINIDUMP_NEVER;
    j->options.may_ask = false;
    j->options.event.max_threads = 1;
    j->options.event.max_frames = 50;
    j->options.event.trimmed = true;
    int r = read_report(p, j);
    if (!r)
        r = begin(p, j);
    if (r < 0) {
        j->wants_small = false;
        pipeline_send_small(p, j, DELIVERY_LATER, strerrordesc_np(-r));
    }
    return true;
}

static void claim(struct pipeline *p, const struct queue_entry *e, bool counted)
{
    struct job *j = free_job(p);
    int r = spool_move(p->spool, e->state, &e->name, SPOOL_WORK, NULL);
    if (r < 0) {
        if (counted)
            ledger_throttle_undo(p->ledger, e->name.signature);
        if (r != -ENOENT) /* else a person moved it meanwhile */
            log_line(LOG_LEVEL_ERROR, LOG_OTHER, NULL, "%s: cannot claim a report: %s",
                p->spool->path, strerrordesc_np(-r));
        return;
    }
    p->progress++;
    *j = (struct job){.busy = true, .name = e->name, .counted = counted};
    p->n_jobs++;
    for (unsigned i = 0; i < PIPELINE_MAX_DESTINATIONS; i++)
        j->to[i] = (struct delivery){.job = j, .destination = i};
    set_options(p, j);
    pipeline_work(p, j);
}

void pipeline_take(struct pipeline *p, const struct queue_entry *e)
{
    uint64_t now_s = pipeline_now_ms() / 1000;
    if (!p->o->n_destinations) {
        put_off(p, e, SPOOL_WAIT, 0);
        return;
    }
    if (!consent_given(&p->consent)) {
        put_off(p, e, SPOOL_HOLD, SPOOL_HELD_FOR_CONSENT_S);
        p->result.disabled = true;
        return;
    }
    uint64_t until_s = pipeline_gate(p, &e->name);
    struct config_rate rate = throttle_rate(p);
    /* What one destination has was counted then, and is owed to the others. */
    bool counted =
        !until_s && !e->name.segment && rate.count && !pipeline_has_arrived(p, &e->name);
    if (counted) {
        until_s = ledger_throttle(p->ledger, e->name.signature, &rate, now_s);
        if (until_s && collapse(p, e))
            return;
    }
    if (until_s)
        put_off(p, e, SPOOL_WAIT, until_s);
    else
        claim(p, e, counted);
}

static void worker_died(struct pipeline *p, struct job *j, const char *how)
{
    unsigned n = strikes_death(p->strikes, j->name.event_id);
    char why[300];
    snprintf(why, sizeof why, "the worker died on it %u times: %s", n, how);
    if (n >= p->config->worker_deaths)
        pipeline_quarantine(p, j, why);
    else
        pipeline_defer(
            p, j, pipeline_now_ms() / 1000 + p->config->retry_base_ms / 1000, false, why);
}

/* The second, smaller event of a report whose first one is on its way elsewhere. */
static void worked_small(struct pipeline *p, struct job *j, int r)
{
    bool enough = false;
    j->wants_small = false;
    if (r == -ECHILD)
        enough = strikes_death(p->strikes, j->name.event_id) >= p->config->worker_deaths;
    else
        strikes_end(p->strikes, j->name.event_id);
    if (!r && j->small.outcome == WORKER_READY)
        pipeline_send_small(p, j, DELIVERY_OPEN, "");
    else
        pipeline_send_small(p, j, r && !enough ? DELIVERY_LATER : DELIVERY_REJECTED,
            r && r != -ECHILD ? strerrordesc_np(-r) : j->small.why);
}

void pipeline_worked(struct pipeline *p)
{
    struct job *j = p->in_worker;
    struct worker_result *made = j->wants_small ? &j->small : &j->result;
    p->in_worker = NULL;
    worker_result_done(made);
    int r = p->o->worker->finish(p->o->worker->ctx, made);
    free(j->report);
    j->report = NULL;
    if (j->wants_small) {
        worked_small(p, j, r);
        return;
    }
    if (r == -ECHILD) {
        if (pipeline_blames_files(j)) {
            strikes_end(p->strikes, j->name.event_id);
            pipeline_take_back(p, j);
        } else {
            worker_died(p, j, j->result.why);
        }
        return;
    }
    j->options.arrived.n = 0;
    strikes_end(p->strikes, j->name.event_id);
    if (r < 0) {
        defer_for_fault(p, j, r);
        return;
    }
    switch (j->result.outcome) {
    case WORKER_READY:
        pipeline_send(p, j);
        break;
    case WORKER_ASKS:
        if (j->options.may_ask)
            pipeline_ask(p, j);
        else
            worker_died(p, j, "it asks for debug files where it may not");
        break;
    case WORKER_DROPPED:
        if (j->result.n_items)
            pipeline_send(p, j);
        else
            pipeline_drop(p, j);
        break;
    case WORKER_REFUSED:
        if (!j->name.segment) /* else nobody knows what was in it */
            ledger_add_drop(p->ledger, "internal_sdk_error", "error", 1);
        pipeline_quarantine(p, j, j->result.why);
        break;
    }
}
