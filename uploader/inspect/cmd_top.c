/* top: what dies most, by signature. */
#include "uploader/inspect/commands.h"
#include "uploader/inspect/grid.h"
#include "uploader/inspect/groups.h"
#include "uploader/inspect/row.h"
#include "uploader/inspect/select.h"
#include "uploader/inspect/shut_in.h"
#include "uploader/inspect/when.h"

#include <errno.h>
#include <inttypes.h>

static const struct grid_column columns[] = {
    {"COUNT", true, 0, 0},
    {"SIGNATURE", false, 4, 0},
    {"FIRST SEEN", false, 3, 0},
    {"LAST SEEN", false, 1, 0},
    {"SIGNAL", false, 0, 0},
    {"APP", false, 5, 6},
    {"RELEASES", false, 2, 8},
    {"TOP FRAME", false, 0, 12},
};

static void put_row(
    struct session *s, struct grid *table, struct store *t, const struct group *g)
{
    char time[WHEN_BYTES], text[ROW_TEXT_BYTES];
    CLEANUP(safe_done) struct safe place = {0};
    struct index_entry e;
    loader_facts(s, t, g->newest, &e);
    grid_cell_format(table, STYLE_BOLD, "%zu", g->n);
    grid_cell_format(table, STYLE_DIM, "%012" PRIx64, g->signature);
    grid_cell(table, STYLE_PLAIN,
        when_format(time, (int64_t)g->first_ms, s->options.utc, false));
    grid_cell(table, STYLE_PLAIN,
        when_format(time, (int64_t)g->last_ms, s->options.utc, false));
    grid_cell(table, STYLE_PLAIN, row_signal(g->newest, &e, text));
    grid_cell(table, STYLE_PLAIN, e.app);
    grid_cell(table, STYLE_PLAIN, g->releases);
    row_place(&e, &place);
    grid_cell(table, STYLE_PLAIN, safe_text(&place));
}

static void put_json(
    struct json *j, struct session *s, struct store *t, const struct group *g)
{
    char time[WHEN_BYTES], sig[16], id[33];
    struct index_entry e;
    loader_facts(s, t, g->newest, &e);
    (void)snprintf(sig, sizeof sig, "%012" PRIx64, g->signature);
    spool_event_id_format(g->newest->name.event_id, id);
    json_text(j, "signature", sig);
    json_uint(j, "count", g->n);
    json_text(j, "first_seen", when_iso(time, (int64_t)g->first_ms));
    json_text(j, "last_seen", when_iso(time, (int64_t)g->last_ms));
    json_array(j, "releases");
    for (unsigned i = 0; i < g->n_releases; i++)
        json_text(j, NULL, g->release[i]);
    json_end_array(j);
    json_object(j, "states");
    for (int i = SPOOL_NEW; i < SPOOL_N_STATES; i++)
        if (g->states[i])
            json_uint(j, spool_state_name((enum spool_state)i), g->states[i]);
    json_end_object(j);
    json_text(j, "newest", id);
    json_text(j, "app", e.app);
    json_text(j, "cause", e.cause);
    json_text(j, "function", e.function);
    json_text(j, "file", e.file);
    json_uint(j, "line", e.line);
}

static void put_all(struct session *s, struct store *t, const struct groups *g)
{
    const bool lines = s->options.json == JSON_FORM_LINES;
    struct grid table = {0};
    struct json j = {0};
    if (s->options.json == JSON_FORM_PRETTY) {
        j = session_json(s);
        json_array(&j, "signatures");
    } else if (!lines) {
        grid_init(&table, &s->out, columns, sizeof columns / sizeof *columns,
            !s->options.no_legend);
    }
    for (size_t i = 0; i < g->n && !ferror(s->out.f); i++) {
        const struct group *one = &g->list[s->options.reverse ? g->n - 1 - i : i];
        if (!s->options.json) {
            put_row(s, &table, t, one);
            continue;
        }
        if (lines)
            j = session_json_line(s);
        else
            json_object(&j, NULL);
        put_json(&j, s, t, one);
        json_end_object(&j);
    }
    if (s->options.json == JSON_FORM_PRETTY) {
        json_end_array(&j);
        json_end_object(&j);
    } else if (!lines) {
        grid_done(&table);
    }
}

int command_top(struct session *s)
{
    struct store t;
    struct selection x = {0};
    struct groups g = {0};
    int err = store_open(s, &t);
    if (!err && t.n_reports && !s->options.json)
        out_page(&s->out);
    if (!err)
        shut_in_before_reading(s, &t);
    if (!err)
        err = select_reports(s, &t, -1, false, &x);
    if (!err)
        err = groups_make(s, &t, &x, &g);
    bool empty = err == -ENODATA && !s->options.n_arguments;
    if (!err || (empty && s->options.json))
        put_all(s, &t, &g);
    groups_done(&g);
    selection_done(&x);
    store_close(&t);
    return empty ? EXIT_OK : session_exit_code(err);
}
