#include "uploader/inspect/loader.h"

#include "uploader/inspect/shut_in.h"

#include "uploader/report/arena.h"
#include "uploader/report/debug_files.h"
#include "uploader/report/frames.h"
#include "uploader/report/unwind.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int is_it(void *ctx, const char *file, const struct spool_name *name)
{
    struct report *r = ctx;
    (void)file;
    if (!name || name->segment ||
        memcmp(name->event_id, r->name.event_id, sizeof name->event_id) != 0)
        return 0;
    r->name = *name;
    return 1;
}

/* Moves go from folder to folder in this order, but for the few that a person makes. */
static int find(const struct spool *spool, struct report *r)
{
    for (int state = SPOOL_NEW; state < SPOOL_N_STATES; state++) {
        int found = spool_each(spool, (enum spool_state)state, is_it, r);
        if (found > 0)
            r->state = (uint32_t)state;
        if (found)
            return found < 0 ? found : 0;
    }
    return -ENOENT;
}

int loader_read(const struct store *t, struct report *r, uint8_t **ret, size_t *ret_n)
{
    enum { TRIES = 3 }; /* it may move on between being found and being opened */
    const struct spool *spool = t->spools[r->spool].spool;
    char file[KNELL_SPOOL_NAME_BYTES + 1];
    CLEANUP(close_p) int fd = -1;
    int err = spool_open_file(spool, (enum spool_state)r->state, report_file(r, file),
        KNELL_MAX_REPORT_BYTES, &fd, NULL);
    for (int i = 0; err == -ENOENT && i < TRIES; i++) {
        err = find(spool, r);
        if (!err)
            err = spool_open_file(spool, (enum spool_state)r->state, report_file(r, file),
                KNELL_MAX_REPORT_BYTES, &fd, NULL);
    }
    return err ? err : spool_read_all(fd, KNELL_MAX_REPORT_BYTES, ret, ret_n);
}

/* What the process said about itself. An unsound journal leaves the rest readable. */
static int read_journal(struct loaded *l)
{
    struct crash *c = l->crash;
    int err = item_read(c, &l->item);
    if (err)
        return err;
    uint32_t tid = c->has_signal ? c->signal.tid : l->item.head.tid;
    if (c->journal_image.text)
        err = journal_read(c->arena, (const uint8_t *)c->journal_image.text,
            c->journal_image.n_bytes, tid, &l->journal);
    if (!c->has_signal)
        item_explain(&l->item, &l->explain);
    return err == -ENOMEM ? err : 0;
}

int loader_open(struct session *s, const struct store *t, struct report *r,
    struct loaded *ret, struct report_error *why)
{
    *ret = (struct loaded){0};
    shut_in_if_due(s);
    int err = loader_read(t, r, &ret->bytes, &ret->n_bytes);
    if (err)
        return err;
    err = report_read(ret->bytes, ret->n_bytes, &ret->crash, why);
    if (err)
        return err;
    struct worker_options configured = {0};
    worker_settings_apply(session_settings(s), &configured);
    struct report_unwind_options unwind = configured.unwind;
    unwind.sysroot = s->options.sysroot;
    if (s->options.store)
        unwind.store_dir = s->options.store;
    struct knell_symbolizer *symbolizer =
        session_symbolizer(s, t->spools[r->spool].spool->path);
    unwind.fetched_dir = s->fetched_dir;
    err = report_unwind(ret->crash, &unwind);
    if (!err)
        err = report_symbolize(ret->crash, symbolizer);
    debug_files_answers(ret->crash, s->fetched_dir);
    explain_crash(ret->crash, &ret->explain);
    int more = read_journal(ret);
    return err ? err : more;
}

void loader_done(struct loaded *l)
{
    crash_free(l->crash);
    free(l->bytes);
    *l = (struct loaded){0};
}

static const char *text_or_null(const char *s)
{
    return s && *s ? s : NULL;
}

/* KEY=VALUE of the tags, in the crash's arena. */
static void tag_facts(struct loaded *l, struct index_entry *e)
{
    for (uint32_t i = 0; l->journal && i < l->journal->n_facts; i++) {
        const struct journal_fact *f = &l->journal->facts[i];
        if (f->type != KNELL_ENTRY_TAG || f->value.type != KNELL_VALUE_TEXT ||
            e->n_tags == INDEX_MAX_TAGS)
            continue;
        size_t n = strlen(f->key) + 1 + strlen(f->value.text);
        char *text = arena_array(l->crash->arena, n + 1, 1);
        if (!text)
            return;
        (void)snprintf(text, n + 1, "%s=%s", f->key, f->value.text);
        e->tags[e->n_tags++] = text;
    }
}

static void journal_facts(const struct loaded *l, struct index_entry *e)
{
    const struct knell_journal_head *j = l->crash->journal;
    if (!j)
        return;
    e->app = text_or_null(j->app);
    e->release = text_or_null(j->release);
    e->environment = text_or_null(j->environment);
    e->dist = text_or_null(j->dist);
    e->server = text_or_null(j->server_name);
    e->executable = text_or_null(j->executable);
    if (!e->pid)
        e->pid = j->pid;
    uint64_t time_ns =
        l->crash->has_signal ? l->crash->signal.time_ns : l->item.head.time_ns;
    if (time_ns > j->start_realtime_ns && j->start_realtime_ns)
        e->uptime_ms =
            (time_ns - j->start_realtime_ns + 999999) / 1000000; /* 0: unknown */
}

void loader_entry(struct loaded *l, const struct report *r, struct index_entry *ret)
{
    const struct crash *c = l->crash;
    *ret = (struct index_entry){.report_bytes = l->n_bytes};
    memcpy(ret->event_id, r->name.event_id, sizeof ret->event_id);
    if (!c)
        return;
    ret->kind = c->has_signal ? INDEX_KIND_CRASH : item_kind(&l->item);
    ret->pid = c->pid;
    ret->n_threads = c->n_threads;
    if (c->has_signal) {
        ret->code = c->signal.code;
        ret->address = c->signal.address;
        ret->time_us = c->signal.time_ns / 1000;
        ret->tid = c->signal.tid;
    } else {
        ret->tid = l->item.head.tid;
        ret->time_us = l->item.head.time_ns / 1000;
    }
    ret->cause = text_or_null(l->explain.cause);
    journal_facts(l, ret);
    tag_facts(l, ret);
    if (!ret->executable && c->n_modules)
        ret->executable = text_or_null(c->modules[0].path);
    if (!ret->app && ret->executable)
        ret->app = path_base(ret->executable);
    if (c->crashed_thread >= 0)
        ret->thread = text_or_null(c->threads[c->crashed_thread].name);
    const struct crash_frame *top = crash_top_frame(c);
    if (!top)
        return;
    ret->function = text_or_null(top->function);
    ret->file = text_or_null(top->file);
    ret->line = top->line;
    if (top->module >= 0)
        ret->module = text_or_null(path_base(c->modules[top->module].path));
}

static void learn(struct session *s, struct store *t, const struct report *r)
{
    struct store_spool *spool = &t->spools[r->spool];
    struct report now = *r;
    struct loaded l;
    struct report_error why = {0};
    struct index_entry e;
    char text[160];
    int err = loader_open(s, t, &now, &l, &why);
    loader_entry(&l, r, &e);
    if (err && !l.crash) {
        (void)snprintf(text, sizeof text, "unreadable: %s%s%s", strerrordesc_np(-err),
            why.what ? ", " : "", why.what ? why.what : "");
        e.cause = text;
    }
    IGNORE(index_add(spool->index, &e), "it is opened again when asked for again");
    /* What could not be read now may be readable later, or by somebody else. */
    if (!err)
        IGNORE(index_append(spool->spool, &e, 1), "a cache");
    loader_done(&l);
}

void loader_facts(
    struct session *s, struct store *t, const struct report *r, struct index_entry *ret)
{
    struct index *x = t->spools[r->spool].index;
    if (index_find(x, r->name.event_id, ret) == 0)
        return;
    learn(s, t, r);
    if (index_find(x, r->name.event_id, ret) == 0)
        return;
    *ret = (struct index_entry){0};
    memcpy(ret->event_id, r->name.event_id, sizeof ret->event_id);
}

const char *loader_build_id(
    const struct crash_module *m, char out[static LOADER_BUILD_ID_BYTES])
{
    out[0] = 0;
    for (uint32_t i = 0; i < m->n_build_id && i < KNELL_MAX_BUILD_ID_BYTES; i++)
        (void)snprintf(out + 2 * (size_t)i, 3, "%02x", m->build_id[i]);
    return out;
}
