/* log: what happened to reports. */
#include "uploader/inspect/commands.h"
#include "uploader/inspect/past.h"
#include "uploader/inspect/select.h"
#include "uploader/inspect/shut_in.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct line {
    struct past_line past;
    size_t order;
};

struct reading {
    struct session *s;
    const struct selection *only; /* NULL: every report */
    struct line *lines;
    size_t n, room, n_shown;
};

static bool is_wanted(const struct reading *x, const struct past_line *line)
{
    const struct options *o = &x->s->options;
    int64_t t = (int64_t)line->time_ms;
    if ((o->has_since && t < o->since_ms) || (o->has_until && t > o->until_ms))
        return false;
    uint8_t id[SPOOL_EVENT_ID_BYTES];
    if (!x->only)
        return true;
    if (strlen(line->event_id) != 32 || spool_event_id_parse(line->event_id, id))
        return false;
    for (size_t i = 0; i < x->only->n; i++)
        if (memcmp(x->only->reports[i]->name.event_id, id, sizeof id) == 0)
            return true;
    return false;
}

static int keep(void *ctx, const struct past_line *line)
{
    struct reading *x = ctx;
    if (!is_wanted(x, line))
        return 0;
    if (x->n == x->room) {
        size_t room = x->room ? x->room * 2 : 64;
        struct line *lines = realloc(x->lines, room * sizeof *lines);
        if (!lines)
            return -ENOMEM;
        x->lines = lines;
        x->room = room;
    }
    x->lines[x->n] = (struct line){.past = *line, .order = x->n};
    x->n++;
    return 0;
}

static int by_time(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    if (x->past.time_ms != y->past.time_ms)
        return x->past.time_ms < y->past.time_ms ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

static void put_all(struct reading *x, struct json *array)
{
    struct session *s = x->s;
    int64_t last = s->options.last;
    size_t first = x->n_shown;
    if (last >= 0 && !x->n_shown && x->n > (size_t)last)
        first = x->n - (size_t)last;
    for (size_t i = first; i < x->n && !ferror(s->out.f); i++) {
        const struct past_line *line =
            &x->lines[s->options.reverse ? x->n - 1 - (i - first) : i].past;
        if (s->options.json == JSON_FORM_LINES) {
            struct json j = session_json_line(s);
            past_json(&j, line, true);
            json_end_object(&j);
        } else if (s->options.json) {
            json_object(array, NULL);
            past_json(array, line, true);
            json_end_object(array);
        } else {
            past_print(&s->out, line, s->options.utc, true);
        }
    }
    x->n_shown = x->n;
}

static int read_all(struct reading *x, const struct store *t)
{
    x->n = 0;
    int err = 0;
    for (size_t i = 0; i < t->n_spools && !err; i++)
        err = past_each(t->spools[i].spool, keep, x);
    if (x->n)
        qsort(x->lines, x->n, sizeof *x->lines, by_time);
    return err;
}

static int follow(struct reading *x, const struct store *t)
{
    enum { LOOK_MS = 500 };
    int err = 0;
    while (!err && !fflush(x->s->out.f) && out_wait(&x->s->out, LOOK_MS)) {
        size_t shown = x->n_shown;
        err = read_all(x, t);
        x->n_shown = x->n < shown ? 0 : shown; /* fewer: the log was rotated away */
        put_all(x, NULL);
    }
    return err;
}

int command_log(struct session *s)
{
    struct store t;
    struct selection only = {0};
    struct reading x = {.s = s};
    struct json j = {0};
    int err = store_open(s, &t);
    const struct options *o = &s->options;
    if (!err && !o->json && !o->follow)
        out_page(&s->out);
    if (!err)
        shut_in(s, &t);
    bool select = o->n_arguments || o->signo || o->code || o->executable || o->app ||
                  o->release || o->environment || o->signature || o->states || o->n_tags;
    if (!err && select) {
        /* The times are those of what happened, which a death lies before. */
        const struct options given = *o;
        s->options.has_since = s->options.has_until = false;
        err = select_reports(s, &t, INT64_MAX, true, &only);
        s->options = given;
        x.only = &only;
    }
    if (!err)
        err = read_all(&x, &t);
    if (!err && o->json == JSON_FORM_PRETTY) {
        j = session_json(s);
        json_array(&j, "log");
    }
    if (!err)
        put_all(&x, &j);
    if (!err && o->json == JSON_FORM_PRETTY) {
        json_end_array(&j);
        json_end_object(&j);
    }
    if (!err && o->follow && o->json != JSON_FORM_PRETTY)
        err = follow(&x, &t);
    free(x.lines);
    selection_done(&only);
    store_close(&t);
    return session_exit_code(err);
}
