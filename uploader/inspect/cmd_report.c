/* report: one self-contained HTML page about a spool. */
#include "uploader/inspect/commands.h"
#include "uploader/inspect/groups.h"
#include "uploader/inspect/html.h"
#include "uploader/inspect/output.h"
#include "uploader/inspect/page.h"
#include "uploader/inspect/progress.h"
#include "uploader/inspect/row.h"
#include "uploader/inspect/shut_in.h"
#include "uploader/inspect/when.h"

#include <errno.h>
#include <inttypes.h>
#include <knell/knell.h>
#include <stdlib.h>
#include <string.h>

static void set_time(struct page *p)
{
    int64_t first = INT64_MAX, last = INT64_MIN;
    for (size_t i = 0; i < p->x->n; i++) {
        int64_t t = (int64_t)p->x->reports[i]->name.time_ms;
        first = t < first ? t : first;
        last = t > last ? t : last;
    }
    int64_t span = last - first + 1;
    p->bucket_ms = span / PAGE_BUCKETS + 1;
    if (p->bucket_ms < 1000)
        p->bucket_ms = 1000;
    p->from_ms = last - p->bucket_ms * PAGE_BUCKETS + 1;
}

/* Reports of one signature, or of all when @g is NULL, by bucket. */
static void count(const struct page *p, const struct group *g, uint32_t *row)
{
    for (size_t i = 0; i < p->x->n; i++) {
        const struct spool_name *name = &p->x->reports[i]->name;
        int64_t bucket = ((int64_t)name->time_ms - p->from_ms) / p->bucket_ms;
        bool wanted = !g || name->signature == g->signature;
        if (wanted && bucket >= 0 && bucket < PAGE_BUCKETS)
            row[bucket]++;
    }
}

/* What the rows before the last leave of all. */
static void count_others(const struct page *p, uint32_t *counts)
{
    uint32_t *others = counts + PAGE_SERIES * PAGE_BUCKETS;
    count(p, NULL, others);
    for (size_t i = 0; i < PAGE_SERIES * PAGE_BUCKETS; i++)
        others[i % PAGE_BUCKETS] -= counts[i];
}

static void put_timeline(struct page *p)
{
    size_t n = p->g->n <= PAGE_SERIES ? p->g->n : PAGE_SERIES + 1;
    char names[PAGE_SERIES + 1][32];
    const char *list[PAGE_SERIES + 1];
    uint32_t *counts = calloc(n * PAGE_BUCKETS + 1, sizeof *counts);
    if (!counts)
        return;
    for (size_t i = 0; i < n && i < PAGE_SERIES; i++) {
        count(p, &p->g->list[i], counts + i * PAGE_BUCKETS);
        (void)snprintf(names[i], sizeof names[i], "%012" PRIx64, p->g->list[i].signature);
    }
    if (n > PAGE_SERIES)
        count_others(p, counts);
    (void)strcpy(names[PAGE_SERIES], "all others");
    for (size_t i = 0; i < n; i++)
        list[i] = names[i];
    (void)fputs("<h2>When</h2>\n", p->f);
    struct html_chart chart = {.counts = counts,
        .n_series = n,
        .n_buckets = PAGE_BUCKETS,
        .from_ms = p->from_ms,
        .bucket_ms = p->bucket_ms,
        .utc = p->s->options.utc,
        .names = list,
        .label = "Reports over time by signature",
        .height = 140};
    html_chart(p->f, &chart);
    (void)fputs("<ul class=\"key\">\n", p->f);
    for (size_t i = 0; i < n; i++) {
        (void)fprintf(p->f, "<li><i class=\"s%zu\"></i>", i < 6 ? i : 6);
        if (i < PAGE_SERIES)
            page_title(p, &p->g->list[i]);
        else
            (void)fputs("all others", p->f);
        (void)fputs("</li>\n", p->f);
    }
    (void)fputs("</ul>\n", p->f);
    free(counts);
}

static void put_row(struct page *p, const struct group *g, bool link)
{
    char last[WHEN_BYTES], first[WHEN_BYTES];
    struct index_entry e;
    (void)fprintf(p->f, "<tr><td class=\"n\">%zu</td><td>", g->n);
    if (link)
        (void)fprintf(p->f, "<a href=\"#s%012" PRIx64 "\">", g->signature);
    page_title(p, g);
    (void)fputs(link ? "</a>" : "", p->f);
    loader_facts(p->s, p->t, g->newest, &e);
    (void)fputs("<span class=\"sub\">", p->f);
    html_text(p->f, e.app);
    (void)fputs(" ", p->f);
    html_text(p->f, g->releases);
    (void)when_format(last, (int64_t)g->last_ms, p->s->options.utc, false);
    (void)when_format(first, (int64_t)g->first_ms, p->s->options.utc, false);
    (void)fprintf(p->f,
        "</span></td><td class=\"t\">%.16s</td><td class=\"t wide\">%.16s</td></tr>\n",
        last, first);
}

static void put_table(struct page *p)
{
    (void)fputs("<h2>What</h2>\n<div class=\"box\"><table>\n<thead><tr><th>Count</th>"
                "<th>What</th><th>Last seen</th><th class=\"wide\">First "
                "seen</th></tr></thead>\n<tbody>\n",
        p->f);
    for (size_t i = 0; i < p->g->n && i < PAGE_ROWS; i++)
        put_row(p, &p->g->list[i], i < PAGE_SECTIONS);
    (void)fputs("</tbody></table></div>\n", p->f);
    if (p->g->n > PAGE_ROWS)
        (void)fprintf(
            p->f, "<p class=\"dim\">and %zu rarer signatures</p>\n", p->g->n - PAGE_ROWS);
}

static void put_tile(struct page *p, size_t n, const char *what, bool bad)
{
    (void)fprintf(
        p->f, "<li%s><b>%zu</b> %s</li>\n", bad ? " class=\"bad\"" : "", n, what);
}

/* The figures that one wants first. */
static void put_tiles(struct page *p)
{
    enum { DAY_MS = 86400000 };
    size_t states[SPOOL_N_STATES] = {0}, n_day = 0;
    for (size_t i = 0; i < p->x->n; i++) {
        const struct report *r = p->x->reports[i];
        states[r->state]++;
        n_day += p->s->now_ms - (int64_t)r->name.time_ms < DAY_MS;
    }
    (void)fputs("<ul class=\"tiles\">\n", p->f);
    put_tile(p, p->x->n, p->x->n == 1 ? "report" : "reports", false);
    put_tile(p, p->g->n, p->g->n == 1 ? "signature" : "signatures", false);
    put_tile(p, n_day, "in the last 24 hours", false);
    put_tile(p, states[SPOOL_SENT], "sent", false);
    if (states[SPOOL_BAD])
        put_tile(p, states[SPOOL_BAD], "quarantined", true);
    (void)fputs("</ul>\n", p->f);
}

static void put_head(struct page *p)
{
    char a[WHEN_BYTES], b[WHEN_BYTES];
    const char *title = p->s->options.title ? p->s->options.title : "Crash reports";
    const struct selection *x = p->x;
    html_begin(p->f, title);
    (void)fputs("<header><h1>", p->f);
    html_text(p->f, title);
    (void)fputs("</h1>\n", p->f);
    if (x->n)
        (void)fprintf(p->f, "<p class=\"dim\">%s to %s</p>\n",
            when_format(
                a, (int64_t)x->reports[x->n - 1]->name.time_ms, p->s->options.utc, false),
            when_format(
                b, (int64_t)x->reports[0]->name.time_ms, p->s->options.utc, false));
    (void)fputs("</header>\n<main>\n", p->f);
    if (x->n)
        put_tiles(p);
    else
        (void)fputs("<p>No reports.</p>\n", p->f);
}

static int write_page(struct session *s, struct store *t, const struct selection *x,
    const struct groups *g, struct output *o)
{
    char *text = NULL;
    size_t n = 0;
    struct page p = {.s = s, .t = t, .x = x, .g = g, .f = open_memstream(&text, &n)};
    struct progress bar;
    if (!p.f)
        return -ENOMEM;
    put_head(&p);
    if (x->n) {
        set_time(&p);
        put_timeline(&p);
        put_table(&p);
    }
    progress_begin(&bar, "Reading", g->n, session_is_watched(s));
    for (size_t i = 0; i < g->n && i < PAGE_SECTIONS; i++) {
        uint32_t counts[PAGE_BUCKETS] = {0};
        count(&p, &g->list[i], counts);
        page_section(&p, &g->list[i], i, counts);
        progress_at(&bar, i);
    }
    progress_end(&bar);
    if (g->n > PAGE_SECTIONS)
        (void)fprintf(p.f,
            "<p class=\"dim\">%zu more signatures have no part here.</p>\n",
            g->n - PAGE_SECTIONS);
    char made[WHEN_BYTES];
    (void)fprintf(p.f,
        "</main>\n<footer>Made by knell " KNELL_VERSION " on %s.</footer>\n",
        when_format(made, s->now_ms, s->options.utc, true));
    html_end(p.f);
    int err = fclose(p.f) ? -ENOMEM : output_write(o, text, n);
    free(text);
    return err;
}

int command_report(struct session *s)
{
    struct store t;
    struct selection x = {0};
    struct groups g = {0};
    struct output o;
    int err = store_open(s, &t);
    if (!err)
        err = output_open(s, &o);
    if (!err) {
        shut_in(s, &t);
        err = select_reports(s, &t, -1, true, &x);
        if (err == -ENODATA && select_may_be_empty(&s->options))
            err = 0;
        if (err)
            output_drop(&o);
    }
    if (!err) {
        err = groups_make(s, &t, &x, &g);
        if (!err)
            err = write_page(s, &t, &x, &g, &o);
        err = output_close(s, &o, err);
    }
    const bool to_file = s->options.output && strcmp(s->options.output, "-") != 0;
    if (!err && s->options.json && to_file) {
        struct json j = session_json(s);
        json_text(&j, "file", s->options.output);
        json_uint(&j, "reports", x.n);
        json_uint(&j, "signatures", g.n);
        json_end_object(&j);
    } else if (!err && to_file) {
        session_note(s, "%zu report%s of %zu signature%s in %s.", x.n,
            x.n == 1 ? "" : "s", g.n, g.n == 1 ? "" : "s", s->options.output);
    }
    groups_done(&g);
    selection_done(&x);
    store_close(&t);
    return session_exit_code(err);
}
