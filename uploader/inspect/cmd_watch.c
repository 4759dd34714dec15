/* watch: reports as they arrive. */
#include "uploader/inspect/commands.h"
#include "uploader/inspect/row.h"
#include "uploader/inspect/select.h"
#include "uploader/inspect/shut_in.h"
#include "uploader/inspect/when.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { INTERVAL_MS = 1000 };

struct seen {
    uint8_t (*ids)[SPOOL_EVENT_ID_BYTES]; /* sorted */
    size_t n;
};

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, SPOOL_EVENT_ID_BYTES);
}

static bool was_seen(const struct seen *x, const struct report *r)
{
    return x->n &&
           bsearch(r->name.event_id, x->ids, x->n, sizeof *x->ids, compare_ids) != NULL;
}

static int remember(struct seen *x, const struct store *t)
{
    void *ids = realloc(x->ids, (t->n_reports + 1) * sizeof *x->ids);
    if (!ids)
        return -ENOMEM;
    x->ids = ids;
    x->n = t->n_reports;
    for (size_t i = 0; i < t->n_reports; i++)
        memcpy(x->ids[i], t->reports[i].name.event_id, sizeof *x->ids);
    qsort(x->ids, x->n, sizeof *x->ids, compare_ids);
    return 0;
}

static void put(struct session *s, struct store *t, const struct report *r)
{
    struct index_entry e;
    loader_facts(s, t, r, &e);
    if (s->options.json) {
        struct json j = {.f = s->out.f};
        json_object(&j, NULL);
        row_json(&j, t, r, &e);
        json_end_object(&j);
        return;
    }
    char id[33], time[WHEN_BYTES], signal[ROW_TEXT_BYTES];
    CLEANUP(safe_done) struct safe place = {0};
    const struct out *o = &s->out;
    spool_event_id_format(r->name.event_id, id);
    row_place(&e, &place);
    (void)fprintf(o->f, "%s  %s%.8s%s  %s  ",
        when_format(time, (int64_t)r->name.time_ms, s->options.utc, false),
        out_style(o, STYLE_BOLD), id, out_plain(o), row_signal(r, &e, signal));
    out_text(o, STYLE_PLAIN, e.app);
    (void)fprintf(o->f, "  %s\n", safe_text(&place));
}

/* Reports of one look at the spool that were not there before. */
static int look(struct session *s, struct seen *seen, bool first, size_t *ret_n)
{
    struct store t;
    struct selection x = {0};
    int err = store_open(s, &t);
    if (!err && first)
        shut_in(s, &t);
    if (!err && !first)
        err = select_new(s, &t, &x);
    for (size_t i = x.n; i-- > 0 && !err;)
        if (!was_seen(seen, x.reports[i])) {
            put(s, &t, x.reports[i]);
            ++*ret_n;
        }
    if (!err)
        err = remember(seen, &t);
    selection_done(&x);
    store_close(&t);
    return err;
}

int command_watch(struct session *s)
{
    const struct options *o = &s->options;
    int64_t interval_ms = o->interval_ms > 0 ? o->interval_ms : INTERVAL_MS;
    int64_t waited_ms = 0;
    struct seen seen = {0};
    size_t n = 0;
    int err = look(s, &seen, true, &n);
    if (!err)
        session_note(s, "Watching; stop with ^C.");
    while (!err && !ferror(s->out.f) && (o->last < 0 || (int64_t)n < o->last) &&
           (o->timeout_ms < 0 || waited_ms < o->timeout_ms) &&
           out_wait(&s->out, interval_ms)) {
        waited_ms += interval_ms;
        err = look(s, &seen, false, &n);
        (void)fflush(s->out.f);
    }
    free(seen.ids);
    if (err)
        return session_exit_code(err);
    return o->timeout_ms >= 0 && !n ? EXIT_NO_MATCH : EXIT_OK;
}
