/* The last step of a report in a pass: one rename, and the news of it. */
#include "uploader/deliver/frame.h"
#include "uploader/log.h"
#include "uploader/pipeline_inner.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What this report did not tell, the next one of its signature will. */
static void give_back(struct pipeline *p, const struct job *j)
{
    struct ledger_signature *s =
        j->n_suppressed ? ledger_signature(p->ledger, j->name.signature) : NULL;
    if (!s)
        return;
    s->n_suppressed += j->n_suppressed;
    p->ledger->dirty = true;
}

static void pipeline_job_done(struct pipeline *p, struct job *j)
{
    worker_result_done(&j->result);
    debuginfod_end(j->fetch, NULL);
    worker_result_done(&j->small);
    give_back(p, j);
    free(j->report);
    free(j->told);
    for (size_t i = 0; i < PIPELINE_MAX_DESTINATIONS; i++)
        free(j->to[i].body);
    *j = (struct job){0};
    p->n_jobs--;
}

void pipeline_sync(struct pipeline *p, bool now)
{
    uint64_t tick = pipeline_tick_ms();
    if (!p->n_moved || (!now && p->n_moved < PIPELINE_SYNC_EVERY &&
                           tick < p->synced_ms + PIPELINE_SYNC_MS))
        return;
    for (enum spool_state i = SPOOL_LIVE; i < SPOOL_N_STATES; i++) {
        if (p->spread[i])
            IGNORE(spool_sync(p->spool, i), "a rename lost with the power is sent again");
        p->spread[i] = false;
    }
    p->n_moved = 0;
    p->synced_ms = tick;
}

/* Move a report out of work/. */
static void pipeline_move(
    struct pipeline *p, struct job *j, enum spool_state to, const struct spool_name *as)
{
    int r = spool_move(p->spool, SPOOL_WORK, &j->name, to, as);
    if (r == -EEXIST) {
        /* The same report came twice, by an adoption that was cut off between a link and
         * its removal or by a restored backup. One of them is enough. */
        char file[KNELL_SPOOL_NAME_BYTES + 1];
        spool_name_format(&j->name, file);
        r = unlinkat(p->spool->state_fd[SPOOL_WORK], file, 0) < 0 ? -errno : 0;
    }
    if (r < 0 && r != -ENOENT)
        log_line(LOG_LEVEL_ERROR, LOG_OTHER, NULL,
            "%s: a report stays in work/ until the next pass: %s", p->spool->path,
            strerrordesc_np(-r));
    p->spread[to] = true;
    p->n_moved++;
}

/* One line for people and for the history. */
static void tell(struct pipeline *p, const struct job *j, enum log_kind kind,
    enum log_level level, const char *what, const char *why, int status)
{
    char id[33], signature[13];
    const struct worker_summary *s = &j->result.summary;
    spool_event_id_format(j->name.event_id, id);
    snprintf(
        signature, sizeof signature, "%012llx", (unsigned long long)j->name.signature);
    struct log_report r = {.event_id = id,
        .signature = signature,
        .app = s->app,
        .release = s->release,
        .state = what,
        .http_status = status};
    log_line(level, kind, &r, "%.8s %s%s%s%s%s", id, what, *s->title ? " " : "", s->title,
        why && *why ? ": " : "", why ? why : "");
    if (kind != LOG_SENT) /* each destination has told of its own */
        history_add(&p->history, &(struct history_line){.event_id = id,
                                     .what = what,
                                     .why = why,
                                     .status = status,
                                     .time_ms = pipeline_now_ms()});
}

void pipeline_quarantine(struct pipeline *p, struct job *j, const char *why)
{
    char file[KNELL_SPOOL_NAME_BYTES + 1];
    spool_name_format(&j->name, file);
    int r = spool_quarantine(p->spool, SPOOL_WORK, file, why);
    if (r < 0)
        log_line(LOG_LEVEL_ERROR, LOG_OTHER, NULL, "%s: quarantine: %s", p->spool->path,
            strerrordesc_np(-r));
    p->spread[SPOOL_BAD] = true;
    p->n_moved++;
    p->result.rejected++;
    p->ledger->n_quarantined++;
    p->ledger->dirty = true;
    strikes_forget(p->strikes, j->name.event_id);
    tell(p, j, LOG_QUARANTINED, LOG_LEVEL_WARNING, "quarantined", why, 0);
    pipeline_job_done(p, j);
}

/* What goes back waits as if it had not been taken, but for those who have it: they must
 * not get it again. */
static void take_back(struct pipeline *p, struct job *j)
{
    if (j->counted && !j->arrived)
        ledger_throttle_undo(p->ledger, j->name.signature);
    for (size_t i = 0; i < p->o->n_destinations; i++) {
        struct delivery *d = &j->to[i];
        if ((d->state != DELIVERY_SENT && d->state != DELIVERY_REJECTED) || d->marked)
            continue;
        int r = marks_add(p->spool, &p->marks, j->name.event_id, p->o->destinations[i].id,
            d->state == DELIVERY_REJECTED);
        if (r < 0)
            log_line(LOG_LEVEL_WARNING, LOG_OTHER, NULL,
                "%s: a report may be sent twice: %s", p->spool->path,
                strerrordesc_np(-r));
    }
}

void pipeline_drop(struct pipeline *p, struct job *j)
{
    const char *reason = j->result.category;
    if (!j->name.segment)
        ledger_add_drop(p->ledger, *reason ? reason : "event_processor", "error", 1);
    else if (*reason) /* else there was nothing in it */
        ledger_add_drop(p->ledger, reason, "transaction", 1);
    p->result.dropped++;
    pipeline_quarantine(p, j, j->result.why);
}

void pipeline_defer(struct pipeline *p, struct job *j, uint64_t not_before_s, bool counts,
    const char *why)
{
    struct spool_name as = j->name;
    as.not_before_s = not_before_s;
    if (counts && as.attempts < 99)
        as.attempts++;
    if (p->in_worker == j) {
        p->o->worker->cancel(p->o->worker->ctx);
        strikes_end(p->strikes, j->name.event_id);
        p->in_worker = NULL;
    }
    take_back(p, j);
    pipeline_move(p, j, SPOOL_WAIT, &as);
    p->result.deferred++;
    p->ledger->n_failed++;
    p->ledger->dirty = true;
    tell(p, j, LOG_DEFERRED, LOG_LEVEL_INFO, "deferred", why, j->to[0].status);
    pipeline_job_done(p, j);
}

static void hold(struct pipeline *p, struct job *j)
{
    struct spool_name as = j->name;
    as.not_before_s = SPOOL_HELD_FOR_CONSENT_S;
    take_back(p, j);
    pipeline_move(p, j, SPOOL_HOLD, &as);
    p->result.disabled = true;
    tell(p, j, LOG_DEFERRED, LOG_LEVEL_INFO, "held", "no consent", 0);
    pipeline_job_done(p, j);
}

static void sent(struct pipeline *p, struct job *j)
{
    struct ledger_signature *s =
        j->name.segment ? NULL : ledger_signature(p->ledger, j->name.signature);
    if (s) {
        if (!s->window_s)
            s->window_s = pipeline_now_ms() / 1000;
        if (!s->first_ms || j->name.time_ms < s->first_ms)
            s->first_ms = j->name.time_ms;
        if (j->name.time_ms > s->last_ms)
            s->last_ms = j->name.time_ms;
    }
    pipeline_move(p, j, SPOOL_SENT, NULL);
    p->result.sent++;
    p->ledger->n_sent++;
    p->ledger->dirty = true;
    strikes_forget(p->strikes, j->name.event_id);
    const char *note = NULL;
    for (size_t i = 0; i < p->o->n_destinations; i++)
        note =
            j->to[i].all_left_out ? "a server takes none of it for long: left out" : note;
    tell(p, j, LOG_SENT, LOG_LEVEL_INFO, "sent", note, j->to[0].status);
    pipeline_job_done(p, j);
}

/* It arrived elsewhere and goes to sent/: who will never have it is said here alone. */
static void tell_rejections(struct pipeline *p, const struct job *j)
{
    char id[33];
    spool_event_id_format(j->name.event_id, id);
    for (size_t i = 0; i < p->o->n_destinations; i++) {
        const struct delivery *d = &j->to[i];
        if (d->state != DELIVERY_REJECTED || d->marked)
            continue;
        log_line(LOG_LEVEL_WARNING, LOG_OTHER,
            &(struct log_report){.event_id = id,
                .destination = p->o->destinations[i].label,
                .http_status = d->status},
            "%.8s rejected: %s", id, d->why);
        history_add(&p->history, &(struct history_line){.event_id = id,
                                     .what = "rejected",
                                     .why = d->why,
                                     .to = p->o->destinations[i].label,
                                     .status = d->status,
                                     .time_ms = pipeline_now_ms()});
    }
}

void pipeline_settle(struct pipeline *p, struct job *j)
{
    const struct delivery *later = NULL, *rejected = NULL;
    bool any_sent = false, counts = false, forbidden = false;
    for (size_t i = 0; i < p->o->n_destinations; i++) {
        const struct delivery *d = &j->to[i];
        any_sent |= d->state == DELIVERY_SENT;
        counts |= d->state == DELIVERY_LATER && d->counts;
        forbidden |= d->state == DELIVERY_LATER && d->verdict == RETRY_FORBIDDEN;
        if (d->state == DELIVERY_REJECTED)
            rejected = d;
        if (d->state == DELIVERY_LATER &&
            (!later || d->not_before_s < later->not_before_s))
            later = d;
    }
    if (later || any_sent)
        tell_rejections(p, j);
    if (later) {
        if (forbidden)
            hold(p, j);
        else
            pipeline_defer(p, j, later->not_before_s, counts, later->why);
        return;
    }
    if (j->result.outcome == WORKER_DROPPED) { /* what went out was its session */
        pipeline_drop(p, j);
        return;
    }
    if (any_sent || !rejected) {
        sent(p, j);
        return;
    }
    if (j->name.segment)
        pipeline_count_kinds(
            p, frame_kinds(j->result.items, j->result.n_items), "send_error");
    else
        ledger_add_drop(p->ledger, "send_error", "error", 1);
    pipeline_quarantine(p, j, rejected->why);
}
