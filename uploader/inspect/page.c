#include "uploader/inspect/page.h"

#include "uploader/inspect/html.h"
#include "uploader/inspect/row.h"
#include "uploader/inspect/source.h"
#include "uploader/inspect/when.h"
#include "uploader/report/frames.h"

#include <inttypes.h>
#include <string.h>

static void put_source(struct page *p, const struct group *g, const struct crash_frame *f)
{
    CLEANUP(source_done) struct source source = {0};
    source_read(f, p->s->options.sysroot, g->newest->name.time_ms, &source);
    if (!source.n)
        return;
    (void)fputs("<div class=\"box\"><pre>", p->f);
    for (unsigned i = 0; i < source.n; i++) {
        (void)fprintf(p->f, "<span%s>%5" PRIu32 "  ",
            i == source.n_before ? " class=\"here\"" : "", source.first_line + i);
        for (const char *s = source_line(&source, i); *s;) {
            size_t n = strcspn(s, "\t");
            CLEANUP(safe_done) struct safe b = {0};
            safe_raw(&b, s, n);
            html_text(p->f, safe_text(&b));
            s += n;
            if (*s == '\t') {
                (void)fputs("    ", p->f);
                s++;
            }
        }
        (void)fputs("</span>", p->f);
    }
    (void)fputs("</pre></div>\n", p->f);
}

static void put_frame(
    struct page *p, const struct crash *c, const struct crash_frame *f, unsigned number)
{
    (void)fprintf(p->f, "<tr%s><td class=\"n\">", f->in_app ? "" : " class=\"lib\"");
    if (!f->inlined)
        (void)fprintf(p->f, "%u", number);
    (void)fputs("</td><td><code>", p->f);
    (void)fputs(f->in_app ? "<b>" : "", p->f);
    if (f->function)
        html_text(p->f, f->function);
    else
        (void)fprintf(p->f, "0x%" PRIx64, f->pc);
    (void)fputs(f->in_app ? "</b>" : "", p->f);
    (void)fputs(f->inlined ? " <span class=\"dim\">inlined</span>" : "", p->f);
    (void)fputs("</code></td><td><code>", p->f);
    html_text(p->f, f->file);
    if (f->file && f->line)
        (void)fprintf(p->f, ":%" PRIu32, f->line);
    (void)fputs("</code></td><td class=\"wide dim\"><code>", p->f);
    if (f->module >= 0) {
        html_text(p->f, path_base(c->modules[f->module].path));
        (void)fprintf(p->f, "+0x%" PRIx64, f->pc - c->modules[f->module].base);
    }
    (void)fputs("</code></td></tr>\n", p->f);
}

static void put_stack(struct page *p, const struct crash *c)
{
    if (c->crashed_thread < 0)
        return;
    const struct crash_thread *t = &c->threads[c->crashed_thread];
    if (!t->n_frames)
        return;
    (void)fprintf(p->f, "<h3>Stack of thread %" PRIu32 " ", t->tid);
    html_text(p->f, t->name);
    (void)fputs("</h3>\n<div class=\"box\"><table "
                "class=\"stack\">\n<thead><tr><th></th><th>Function</th>"
                "<th>Source</th><th class=\"wide\">Module</th></tr></thead>\n<tbody>\n",
        p->f);
    unsigned number = 0;
    for (uint32_t i = 0; i < t->n_frames && i < PAGE_FRAMES; i++) {
        put_frame(p, c, &t->frames[i], number);
        number += !t->frames[i].inlined;
    }
    (void)fputs("</tbody></table></div>\n", p->f);
    if (t->n_frames > PAGE_FRAMES)
        (void)fprintf(p->f, "<p class=\"dim\">and %" PRIu32 " more frames</p>\n",
            t->n_frames - PAGE_FRAMES);
}

static void put_crumbs(struct page *p, const struct group *g, const struct journal *j)
{
    char age[WHEN_BYTES];
    if (!j || !j->n_crumbs)
        return;
    uint32_t first = j->n_crumbs > PAGE_CRUMBS ? j->n_crumbs - PAGE_CRUMBS : 0;
    (void)fputs(
        "<h3>Breadcrumbs</h3>\n<div class=\"box\"><table>\n<thead><tr><th>Before</th>"
        "<th>Category</th><th>Message</th></tr></thead>\n<tbody>\n",
        p->f);
    for (uint32_t i = first; i < j->n_crumbs; i++) {
        const struct journal_crumb *c = &j->crumbs[i];
        int64_t before =
            (int64_t)g->newest->name.time_ms - (int64_t)(c->time_ns / 1000000);
        (void)fprintf(p->f, "<tr><td class=\"t\">%s</td><td>", when_span(age, before));
        html_text(p->f, c->category);
        (void)fputs("</td><td>", p->f);
        html_text(p->f, c->message);
        (void)fputs("</td></tr>\n", p->f);
    }
    (void)fputs("</tbody></table></div>\n", p->f);
}

static void put_reports(struct page *p, const struct group *g)
{
    size_t n = 0;
    (void)fputs("<h3>Reports</h3>\n<div "
                "class=\"box\"><table>\n<thead><tr><th>Id</th><th>Time</th>"
                "<th>State</th><th>Release</th><th class=\"wide\">Environment</th>"
                "<th class=\"wide\">Host</th></tr></thead>\n<tbody>\n",
        p->f);
    for (size_t i = 0; i < p->x->n && n < PAGE_REPORTS; i++) {
        const struct report *r = p->x->reports[i];
        char id[33], time[WHEN_BYTES], state[ROW_TEXT_BYTES];
        struct index_entry e;
        if (r->name.signature != g->signature)
            continue;
        n++;
        loader_facts(p->s, p->t, r, &e);
        spool_event_id_format(r->name.event_id, id);
        (void)fprintf(p->f,
            "<tr><td><code>%.8s</code></td><td class=\"t\">%s</td><td>%s</td><td>", id,
            when_format(time, (int64_t)r->name.time_ms, p->s->options.utc, false),
            row_state(r, p->s->now_ms, state));
        char release[ROW_RELEASE_BYTES];
        html_text(p->f, row_release(&e, release));
        (void)fputs("</td><td class=\"wide\">", p->f);
        html_text(p->f, e.environment);
        (void)fputs("</td><td class=\"wide\">", p->f);
        html_text(p->f, e.server);
        (void)fputs("</td></tr>\n", p->f);
    }
    (void)fputs("</tbody></table></div>\n", p->f);
    if (g->n > n)
        (void)fprintf(p->f, "<p class=\"dim\">and %zu older</p>\n", g->n - n);
}

static void put_trend(
    struct page *p, const struct group *g, size_t at, const uint32_t *counts)
{
    /* The colour of the timeline above: one row per series before it stays empty. */
    enum { ROWS = PAGE_SERIES + 1 };
    uint32_t rows[ROWS * PAGE_BUCKETS] = {0};
    const char *names[ROWS] = {"", "", "", "", "", "", ""};
    size_t row = at < PAGE_SERIES ? at : PAGE_SERIES;
    char label[64];
    memcpy(rows + row * PAGE_BUCKETS, counts, PAGE_BUCKETS * sizeof *counts);
    (void)snprintf(label, sizeof label, "%012" PRIx64, g->signature);
    names[row] = label;
    struct html_chart chart = {.counts = rows,
        .n_series = ROWS,
        .n_buckets = PAGE_BUCKETS,
        .from_ms = p->from_ms,
        .bucket_ms = p->bucket_ms,
        .utc = p->s->options.utc,
        .names = names,
        .label = "Trend of this signature",
        .height = 50};
    html_chart(p->f, &chart);
}

static void put_why(struct page *p, const struct loaded *l)
{
    if (l->explain.cause[0]) {
        (void)fputs("<p class=\"cause\">", p->f);
        html_text(p->f, l->explain.cause);
        (void)fputs("</p>\n", p->f);
    }
    for (unsigned i = 0; i < l->explain.n_notes; i++) {
        (void)fputs("<p>", p->f);
        html_text(p->f, l->explain.notes[i]);
        (void)fputs("</p>\n", p->f);
    }
}

void page_title(struct page *p, const struct group *g)
{
    char signal[ROW_TEXT_BYTES];
    struct index_entry e;
    loader_facts(p->s, p->t, g->newest, &e);
    (void)fputs("<span class=\"sig\">", p->f);
    html_text(p->f, row_signal(g->newest, &e, signal));
    (void)fputs("</span> ", p->f);
    if (e.function || e.file || e.module) {
        (void)fputs("<code>", p->f);
        html_text(p->f, e.function ? e.function : "??");
        (void)fputs("</code>", p->f);
    } else {
        html_text(p->f, e.cause);
    }
    (void)fputs(" <span class=\"at\">", p->f);
    html_text(p->f, e.file ? path_base(e.file) : e.module);
    if (e.file && e.line)
        (void)fprintf(p->f, ":%" PRIu32, e.line);
    (void)fputs("</span>", p->f);
}

static void put_heading(struct page *p, const struct group *g)
{
    char a[WHEN_BYTES], b[WHEN_BYTES];
    struct index_entry e;
    (void)fprintf(p->f, "<section id=\"s%012" PRIx64 "\">\n<h2>", g->signature);
    page_title(p, g);
    (void)fprintf(
        p->f, "</h2>\n<a class=\"up\" href=\"#top\">to the top</a>\n<p class=\"dim\">");
    loader_facts(p->s, p->t, g->newest, &e);
    html_text(p->f, e.app);
    (void)when_format(b, (int64_t)g->last_ms, p->s->options.utc, false);
    if (g->n == 1)
        (void)fprintf(p->f, " \u00b7 seen once, %s", b);
    else
        (void)fprintf(p->f, " \u00b7 seen %zu times, %s to %s", g->n,
            when_format(a, (int64_t)g->first_ms, p->s->options.utc, false), b);
    (void)fprintf(
        p->f, " \u00b7 signature <code>%012" PRIx64 "</code></p>\n", g->signature);
}

void page_section(
    struct page *p, const struct group *g, size_t at, const uint32_t *counts)
{
    struct loaded l;
    struct report_error why = {0};
    put_heading(p, g);
    int err = loader_open(p->s, p->t, g->newest, &l, &why);
    if (!err) {
        put_why(p, &l);
        put_trend(p, g, at, counts);
        const struct crash_frame *top = crash_top_frame(l.crash);
        if (top && !p->s->options.no_source)
            put_source(p, g, top);
        put_stack(p, l.crash);
        put_crumbs(p, g, l.journal);
    } else {
        (void)fprintf(p->f,
            "<p class=\"cause\">The newest report cannot be read: %s</p>\n",
            strerrordesc_np(-err));
    }
    put_reports(p, g);
    (void)fputs("</section>\n", p->f);
    loader_done(&l);
}
