#include "uploader/inspect/commands.h"
#include "uploader/inspect/grid.h"
#include "uploader/inspect/progress.h"
#include "uploader/inspect/row.h"
#include "uploader/inspect/select.h"
#include "uploader/inspect/shut_in.h"
#include "uploader/inspect/unadopted.h"
#include "uploader/inspect/when.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct grid_column columns[] = {
    {"ID", false, 0, 0},
    {"TIME", false, 1, 0},
    {"AGE", true, 5, 0},
    {"STATE", false, 2, 0},
    {"SIGNAL", false, 0, 0},
    {"APP", false, 3, 6},
    {"RELEASE", false, 4, 6},
    {"PID", true, 6, 0},
    {"SIGNATURE", false, 8, 0},
    {"TOP FRAME", false, 0, 12},
};

static void put_row(struct session *s, struct grid *table, const struct report *r,
    const struct index_entry *e)
{
    char id[33], text[ROW_TEXT_BYTES], time[WHEN_BYTES], release[ROW_RELEASE_BYTES];
    CLEANUP(safe_done) struct safe place = {0};
    spool_event_id_format(r->name.event_id, id);
    id[8] = 0;
    grid_cell(table, STYLE_BOLD, id);
    grid_cell(table, STYLE_PLAIN,
        when_format(time, (int64_t)r->name.time_ms, s->options.utc, false));
    grid_cell(table, STYLE_DIM, when_age(time, s->now_ms - (int64_t)r->name.time_ms));
    grid_cell(table, row_state_style(r->state), row_state(r, s->now_ms, text));
    grid_cell(table, STYLE_PLAIN, row_signal(r, e, text));
    grid_cell(table, STYLE_PLAIN, e->app);
    grid_cell(table, STYLE_PLAIN, row_release(e, release));
    if (e->pid)
        grid_cell_format(table, STYLE_PLAIN, "%" PRIu32, e->pid);
    else
        grid_cell(table, STYLE_PLAIN, NULL);
    grid_cell_format(table, STYLE_DIM, "%012" PRIx64, r->name.signature);
    row_place(e, &place);
    /* Already harmless: what it holds passes unchanged. */
    grid_cell(table, STYLE_PLAIN, safe_text(&place));
}

static void put_summary(
    const struct session *s, const struct store *t, const struct selection *x)
{
    size_t n[SPOOL_N_STATES] = {0};
    for (size_t i = 0; i < x->n; i++)
        n[x->reports[i]->state]++;
    FILE *f = s->out.f;
    (void)fprintf(f, "\n%zu report%s", x->n, x->n == 1 ? "" : "s");
    static const struct {
        enum spool_state state;
        const char *word;
    } words[] = {{SPOOL_NEW, "new"}, {SPOOL_WORK, "being sent"}, {SPOOL_WAIT, "waiting"},
        {SPOOL_HOLD, "held"}, {SPOOL_SENT, "sent"}, {SPOOL_BAD, "quarantined"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (n[words[i].state])
            (void)fprintf(f, ", %zu %s", n[words[i].state], words[i].word);
    (void)fputs(x->more ? "; there are more.\n" : ".\n", f);
    unadopted_tell(f, t->n_unadopted);
}

/* The value of one member, bare, as scripts want it. */
static int put_field(struct session *s, const struct store *t, const struct report *r,
    const struct index_entry *e)
{
    CLEANUP(free_p) char *text = NULL;
    size_t n;
    struct json j = {.f = open_memstream(&text, &n)};
    if (!j.f)
        return -ENOMEM;
    json_object(&j, NULL);
    row_json(&j, t, r, e);
    json_end_object(&j);
    if (fclose(j.f))
        return -ENOMEM;
    cJSON *all = cJSON_Parse(text);
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(all, s->options.field);
    int err = 0;
    if (!v) {
        session_complain(s, "no such member: %s", s->options.field);
        err = -EINVAL;
    } else if (cJSON_IsString(v)) {
        safe_print(s->out.f, v->valuestring);
        (void)fputc('\n', s->out.f);
    } else if (!cJSON_IsNull(v)) {
        char *value = cJSON_PrintUnformatted(v);
        json_put(s->out.f, value ? value : "", value ? strlen(value) : 0);
        (void)fputc('\n', s->out.f);
        cJSON_free(value);
    } else {
        (void)fputc('\n', s->out.f);
    }
    cJSON_Delete(all);
    return err;
}

/* Reports that the index does not know yet are opened one by one: seen by a person, that
 * wants a bar, and a bar wants to be gone before the first row. */
static void read_new(struct session *s, struct store *t, const struct selection *x)
{
    struct progress bar;
    if (!session_is_watched(s))
        return;
    progress_begin(&bar, "Reading", x->n, true);
    for (size_t i = 0; i < x->n; i++) {
        struct index_entry e;
        loader_facts(s, t, x->reports[i], &e);
        progress_at(&bar, i);
    }
    progress_end(&bar);
}

static int put_all(struct session *s, struct store *t, const struct selection *x)
{
    const bool lines = s->options.json == JSON_FORM_LINES, field = s->options.field;
    struct grid table = {0};
    struct json j = {0};
    if (s->options.json == JSON_FORM_PRETTY) {
        j = session_json(s);
        json_array(&j, "reports");
    } else if (!lines && !field) {
        grid_init(&table, &s->out, columns, sizeof columns / sizeof *columns,
            !s->options.no_legend);
    }
    int err = 0;
    read_new(s, t, x);
    for (size_t i = 0; i < x->n && !err && !ferror(s->out.f); i++) {
        const struct report *r = x->reports[s->options.reverse ? i : x->n - 1 - i];
        struct index_entry e;
        loader_facts(s, t, r, &e);
        if (field) {
            err = put_field(s, t, r, &e);
        } else if (s->options.json) {
            if (lines)
                j = session_json_line(s);
            else
                json_object(&j, NULL);
            row_json(&j, t, r, &e);
            json_end_object(&j);
        } else {
            put_row(s, &table, r, &e);
        }
    }
    if (s->options.json == JSON_FORM_PRETTY) {
        json_end_array(&j);
        json_bool(&j, "more", x->more);
        json_end_object(&j);
    } else if (!lines && !field) {
        grid_done(&table);
        if (!s->options.no_legend && !s->options.quiet && x->n)
            put_summary(s, t, x);
    }
    return err;
}

int command_list(struct session *s)
{
    struct store t;
    struct selection x = {0};
    if (s->options.field && s->options.json) {
        session_complain(s, "--field prints bare values, --json objects: which?");
        return EXIT_USAGE;
    }
    int err = store_open(s, &t);
    if (!err && t.n_reports && !s->options.json && !s->options.field)
        out_page(&s->out);
    if (!err)
        shut_in_before_reading(s, &t);
    if (!err)
        err = select_reports(s, &t, -1, false, &x);
    bool empty = err == -ENODATA && select_may_be_empty(&s->options);
    if (!err || (empty && s->options.json))
        err = put_all(s, &t, &x);
    if (empty && err == -ENODATA) {
        session_note(s, "No reports.");
        if (!s->options.quiet)
            unadopted_tell(stderr, t.n_unadopted);
    }
    selection_done(&x);
    store_close(&t);
    return empty && err == -ENODATA ? EXIT_OK : session_exit_code(err);
}
