#include "uploader/worker/process.h"

#include "uploader/event/build.h"
#include "uploader/event/envelope.h"
#include "uploader/event/fingerprint.h"
#include "uploader/event/rules.h"
#include "uploader/event/session.h"
#include "uploader/event/validate.h"
#include "uploader/report/debug_files.h"
#include "uploader/report/frames.h"
#include "uploader/report/journal.h"
#include "uploader/report/signal_words.h"
#include "uploader/worker/attached.h"
#include "uploader/worker/drop.h"
#include "uploader/worker/sanitize.h"
#include "uploader/worker/segment.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void worker_result_done(struct worker_result *r)
{
    free(r->items);
    free(r->otlp);
    *r = (struct worker_result){0};
}

static void copy(char *out, size_t room, const char *text)
{
    (void)text_copy(out, room, text ? text : "", text ? strlen(text) : 0);
    for (char *p = out; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
    }
}

static void summarize_identity(
    const struct crash *c, const cJSON *event, struct worker_summary *s)
{
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(event, "event_id");
    if (cJSON_IsString(id))
        copy(s->event_id, sizeof s->event_id, id->valuestring);
    if (!c->journal)
        return;
    copy(s->app, sizeof s->app, c->journal->app);
    copy(s->release, sizeof s->release, c->journal->release);
    copy(s->environment, sizeof s->environment, c->journal->environment);
}

static void summarize(const struct crash *c, const struct worker_options *o,
    const cJSON *event, struct worker_summary *s)
{
    char text[400];
    fingerprint_signature(c, s->signature);
    sentry_title(c, text, sizeof text);
    copy(s->title, sizeof s->title, text);
    summarize_identity(c, event, s);
    s->pid = c->pid;
    s->time_ms = o->event.time_ms ? o->event.time_ms : c->signal.time_ns / 1000000;
    if (!s->time_ms)
        s->time_ms = c->time_s * 1000ull;
    s->n_threads = c->n_threads;
    if (c->has_signal) {
        const char *name = signal_words_name(c->signal.signo);
        const char *code = signal_words_code(c->signal.signo, c->signal.code);
        (void)snprintf(s->signal, sizeof s->signal, "%s%s%s", name ? name : "signal",
            code ? " " : "", code ? code : "");
        s->signo = c->signal.signo;
    }
    if (c->crashed_thread >= 0) {
        s->tid = c->threads[c->crashed_thread].tid;
        s->n_frames = c->threads[c->crashed_thread].n_frames;
    }
    const struct crash_frame *top = crash_top_frame(c);
    if (!top)
        return;
    copy(s->function, sizeof s->function, top->function);
    copy(s->file, sizeof s->file, top->file);
    s->line = top->line;
}

/* A report in hand: what it is made from and how. */
struct work {
    struct crash *c;
    const uint8_t *report;
    size_t n;
    const struct worker_options *o;
    struct attached attached;
};

/* The event by the rules, smaller in steps until servers take it. */
static int make_event(const struct work *w, cJSON **ret, char **ret_text)
{
    static const struct {
        uint32_t threads, frames;
    } steps[] = {{0, 0}, {256, 100}, {64, 64}, {16, 64}, {1, 250}, {1, 64}, {1, 16}};
    const struct crash *c = w->c;
    struct event_options o = w->o->event;
    o.attachment_notes = (const char *const *)w->attached.notes;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (i) {
            o.max_threads = steps[i].threads;
            o.max_frames = steps[i].frames;
            o.trimmed = true;
        }
        cJSON *event;
        int err = sentry_event(c, &o, &event);
        if (err)
            return err;
        err = rules_apply(w->o->rules, c, event);
        char *text = err ? NULL : cJSON_PrintUnformatted(event);
        if (text && strlen(text) <= worker_max_event_bytes(w->o)) {
            *ret = event;
            *ret_text = text;
            return 0;
        }
        cJSON_Delete(event);
        cJSON_free(text);
        if (!text)
            return -ENOMEM;
    }
    return -E2BIG;
}

/* What a report says of the run's session: a crash or another death is its end and
 * travels with it; a handled error leaves it open with one error more, which it has
 * counted itself. */
static bool session_of_report(const struct crash *c, struct session_of *of)
{
    uint32_t kind = c->item_head ? c->item_head->kind : 0;
    if (!c->said || (c->journal->flags & KNELL_JOURNAL_FORKED))
        return false;
    if (c->has_signal || kind == KNELL_ITEM_OBITUARY) {
        of->status =
            kind == KNELL_ITEM_OBITUARY ? KNELL_SESSION_ABNORMAL : KNELL_SESSION_CRASHED;
        of->more_errors = 1;
        return true;
    }
    const struct knell_journal_session *s = &c->said->session;
    return kind && s->errors && s->init_written && s->status == KNELL_SESSION_OK;
}

static int add_session(
    struct envelope *e, const struct crash *c, const struct worker_summary *s)
{
    struct session_of of = {.release = s->release,
        .environment = s->environment,
        .time_ns = s->time_ms * 1000000};
    if (!session_of_report(c, &of))
        return 0;
    cJSON *update;
    int err = session_update(&c->said->session, &of, &update);
    if (err || !update)
        return err;
    struct envelope_item item = {.type = "session", .content_type = "application/json"};
    char *text = cJSON_PrintUnformatted(update);
    err = text ? envelope_add(e, &item, text, strlen(text)) : -ENOMEM;
    cJSON_free(text);
    cJSON_Delete(update);
    return err;
}

static int add_minidump(struct envelope *e, const struct crash *c, const uint8_t *report,
    size_t n, const struct worker_options *o)
{
    struct envelope_item item = {.type = "attachment",
        .content_type = "application/x-dmp",
        .filename = "report.dmp",
        .attachment_type = o->minidump == WORKER_MINIDUMP_PROCESS ? "event.minidump"
                                                                  : "event.attachment"};
    if (o->minidump == WORKER_MINIDUMP_NEVER)
        return 0;
    CLEANUP(free_p) uint8_t *clean = NULL;
    if (!o->raw_minidump) {
        int err = sanitize_report(c, &clean);
        if (err)
            return err;
    }
    return envelope_add(e, &item, clean ? clean : report, n);
}

static int make_items(const char *text, const struct work *w, struct worker_result *ret)
{
    const struct crash *c = w->c;
    struct envelope e = {0};
    struct envelope_item item = {.type = "event", .content_type = "application/json"};
    int err = envelope_add(&e, &item, text, strlen(text));
    if (!err)
        err = add_session(&e, c, &ret->summary);
    if (!err)
        err = attached_add(&w->attached, &e);
    if (!err)
        err = add_minidump(&e, c, w->report, w->n, w->o);
    if (err) {
        envelope_done(&e);
        return err;
    }
    ret->items = e.bytes;
    ret->n_items = e.n;
    return 0;
}

static int refuse(struct worker_result *ret, int err, const struct report_error *why)
{
    if (err == -ENOMEM)
        return err;
    ret->outcome = WORKER_REFUSED;
    (void)snprintf(ret->why, sizeof ret->why, "report: %s at byte %llu: %s", why->what,
        (unsigned long long)why->offset, strerrordesc_np(-err));
    return 0;
}

/* Where fetched debug files are. NULL: nowhere. */
static const char *fetched_dir(const struct worker_options *o)
{
    return o->symbols ? o->symbols->fetched_dir : NULL;
}

static void take_arrived(const struct worker_options *o)
{
    for (size_t i = 0; fetched_dir(o) && i < o->arrived.n; i++)
        (void)wish_take(fetched_dir(o), &o->arrived.list[i], o->max_debug_bytes);
}

/* Whether there is something to ask for. */
static bool asks(
    const struct crash *c, const struct worker_options *o, struct worker_result *ret)
{
    if (!o->may_ask || !fetched_dir(o))
        return false;
    debug_files_wished(c, &ret->wishes);
    wishes_leave_out(&ret->wishes, fetched_dir(o), time(NULL));
    if (!ret->wishes.n)
        return false;
    ret->outcome = WORKER_ASKS;
    return true;
}

static int name_frames(struct crash *c, const struct worker_options *o)
{
    struct knell_symbolizer *s;
    int err = knell_symbolizer_new(o->symbols, &s);
    if (err)
        return err;
    err = report_symbolize(c, s);
    knell_symbolizer_free(s);
    return err;
}

/* A handled error is about the place that reported it, not about knell. */
static void leave_out_own_frames(struct crash *c)
{
    enum { MAX_OWN = 8 };
    uint32_t n_own = 0;
    if (c->has_signal || !c->item_head || c->crashed_thread < 0)
        return;
    struct crash_thread *t = &c->threads[c->crashed_thread];
    for (uint32_t i = 0; i < t->n_frames && i < MAX_OWN; i++) {
        const char *f = t->frames[i].function;
        if (f && !strncmp(f, "knell_capture_", 14))
            n_own = i + 1;
    }
    if (!n_own || n_own >= t->n_frames)
        return;
    t->frames += n_own;
    t->n_frames -= n_own;
    t->has_registers = false; /* they are of a frame that is not shown */
}

/* Whether a rule keeps the event here. */
static bool dropped(const struct crash *c, const struct worker_options *o,
    const cJSON *event, struct worker_result *ret)
{
    const char *rule = rules_ignored(o->rules, c, event);
    if (rule) {
        worker_drop(ret, "event_processor", "ignored by rule", rule);
        return true;
    }
    rule = rules_sampled_out(o->rules, c, event);
    if (rule)
        worker_drop(ret, "sample_rate", "sampled out by rule", rule);
    return rule;
}

/* Who looks at a share of the events still counts all that crashed. */
static int session_alone(const struct crash *c, struct worker_result *ret)
{
    struct envelope e = {0};
    int err = add_session(&e, c, &ret->summary);
    if (err) {
        envelope_done(&e);
        return err;
    }
    ret->items = e.bytes;
    ret->n_items = e.n;
    return 0;
}

static int checked_items(const struct work *w, struct worker_result *ret)
{
    const struct crash *c = w->c;
    cJSON *event = NULL;
    char *text = NULL, why[200];
    int err = make_event(w, &event, &text);
    if (err == -E2BIG) {
        ret->outcome = WORKER_REFUSED;
        (void)snprintf(ret->why, sizeof ret->why, "event: too large for any server");
        return 0;
    }
    if (err)
        return err;
    summarize(c, w->o, event, &ret->summary);
    if (validate_event(event, why, sizeof why) < 0) {
        ret->outcome = WORKER_REFUSED;
        (void)snprintf(ret->why, sizeof ret->why, "event: %s", why);
    } else if (!dropped(c, w->o, event, ret)) {
        err = make_items(text, w, ret);
    } else if (!strcmp(ret->category, "sample_rate")) {
        err = session_alone(c, ret);
    }
    cJSON_Delete(event);
    cJSON_free(text);
    return err;
}

static int process(struct work *w, struct worker_result *ret)
{
    struct crash *c = w->c;
    const struct worker_options *o = w->o;
    take_arrived(o);
    int err = report_unwind(c, &o->unwind);
    if (!err)
        err = name_frames(c, o);
    if (err || asks(c, o, ret))
        return err;
    debug_files_answers(c, fetched_dir(o));
    leave_out_own_frames(c);
    rules_in_app(o->rules, c);
    err = attached_gather(c, o->attached_file_bytes, &w->attached);
    return err ? err : checked_items(w, ret);
}

int worker_make(const uint8_t *report, size_t n, const struct worker_options *options,
    struct worker_result *ret)
{
    static const struct worker_options defaults;
    const struct worker_options *o = options ? options : &defaults;
    struct report_error why = {0};
    struct crash *c;
    if (segment_is(report, n))
        return segment_process(report, n, o, ret);
    *ret = (struct worker_result){0};
    int err = report_read(report, n, &c, &why);
    if (err)
        return refuse(ret, err, &why);
    if (c->is_changed && !o->send_changed) {
        crash_free(c);
        why.what = "checksum";
        why.offset = offsetof(struct knell_md_header, checksum);
        return refuse(ret, -EBADMSG, &why);
    }
    struct work w = {.c = c, .report = report, .n = n, .o = o};
    err = process(&w, ret);
    attached_done(&w.attached);
    if (err == -ENOMEM && arena_is_full(c->arena)) {
        worker_result_done(ret);
        why = (struct report_error){.what = "more than a report may hold"};
        err = refuse(ret, -E2BIG, &why);
    }
    crash_free(c);
    if (err)
        worker_result_done(ret);
    return err;
}

int worker_process(const uint8_t *report, size_t n, const struct worker_options *options,
    struct worker_result *ret)
{
    int err = worker_make(report, n, options, ret);
    if (!err) {
        err = worker_complete(options, ret);
        if (err)
            worker_result_done(ret);
    }
    return err;
}
