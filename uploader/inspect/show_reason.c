#include "uploader/inspect/show.h"
#include "uploader/inspect/source.h"
#include "uploader/inspect/when.h"
#include "uploader/report/frames.h"
#include "uploader/report/signal_words.h"

#include <inttypes.h>
#include <string.h>

void show_head(const struct show *x, const char *text)
{
    (void)fprintf(
        x->out->f, "\n%s%s%s\n", out_style(x->out, STYLE_BOLD), text, out_plain(x->out));
}

/* " at src/conn.c:212", " at libfoo.so+0x1f40". */
static void put_place(const struct show *x, const struct crash_frame *f)
{
    const struct out *o = x->out;
    if (f->file) {
        (void)fputs(" at ", o->f);
        out_text(o, STYLE_CYAN, f->file);
        if (f->line)
            (void)fprintf(o->f, "%s:%" PRIu32 "%s", out_style(o, STYLE_CYAN), f->line,
                out_plain(o));
    } else if (f->module >= 0) {
        const struct crash_module *m = &x->l->crash->modules[f->module];
        (void)fputs(" at ", o->f);
        out_text(o, STYLE_CYAN, path_base(m->path));
        (void)fprintf(o->f, "+0x%" PRIx64, f->pc - m->base);
    }
}

/* Where it died; when that is a library's function, also who of the application went
 * there. A signal that the program sent itself is known by who sent it alone. */
static void put_where(const struct show *x, const struct crash_frame *top)
{
    const struct out *o = x->out;
    const struct crash *c = x->l->crash;
    const struct crash_frame *first = &c->threads[c->crashed_thread].frames[0];
    bool own = c->has_signal && signal_words_sent(c->signal.code) &&
               c->signal.sender_pid && c->signal.sender_pid == c->pid;
    (void)fputs("  in ", o->f);
    if (c->has_signal && !own && first != top && first->function) {
        out_text(o, STYLE_BOLD, first->function);
        (void)fputs(", reached from ", o->f);
    }
    out_text(o, STYLE_BOLD, top->function ? top->function : "an unnamed function");
    put_place(x, top);
    (void)fputc('\n', o->f);
}

/* Tabs are the one control character that source is full of. */
static void put_code(const struct out *o, const char *line)
{
    while (*line) {
        size_t n = strcspn(line, "\t");
        CLEANUP(safe_done) struct safe b = {0};
        safe_put_n(&b, line, n);
        (void)fputs(safe_text(&b), o->f);
        line += n;
        if (*line == '\t') {
            (void)fputs("    ", o->f);
            line++;
        }
    }
}

static void put_source(const struct show *x, const struct crash_frame *f)
{
    const struct out *o = x->out;
    CLEANUP(source_done) struct source source = {0};
    if (x->s->options.no_source)
        return;
    source_read(f, x->s->options.sysroot, x->r->name.time_ms, &source);
    if (source.changed)
        (void)fputs("  (the source file changed since and is not shown)\n", o->f);
    for (unsigned i = 0; i < source.n; i++) {
        bool here = i == source.n_before;
        (void)fprintf(o->f, "%s%s  %c %5" PRIu32 " | ", i ? "" : "\n",
            here ? out_style(o, STYLE_BOLD) : out_style(o, STYLE_DIM), here ? '>' : ' ',
            source.first_line + i);
        put_code(o, source_line(&source, i));
        (void)fprintf(o->f, "%s\n", out_plain(o));
    }
}

void show_reason(const struct show *x)
{
    const struct out *o = x->out;
    const struct explain *why = &x->l->explain;
    const struct crash *c = x->l->crash;
    out_text(o, STYLE_RED, why->what);
    (void)fputc('\n', o->f);
    if (why->cause[0]) {
        (void)fputs("  ", o->f);
        out_text(o, STYLE_BOLD, why->cause);
        (void)fputc('\n', o->f);
    }
    const struct crash_frame *top = crash_top_frame(c);
    if (top) {
        put_where(x, top);
        put_source(x, top);
    }
    for (unsigned i = 0; i < why->n_notes; i++) {
        (void)fputs(i ? "  " : "\n  ", o->f);
        out_text(o, STYLE_PLAIN, why->notes[i]);
        (void)fputc('\n', o->f);
    }
    (void)fputc('\n', o->f);
}

static void put_label(const struct show *x, const char *label)
{
    (void)fprintf(
        x->out->f, "%s%12s%s  ", out_style(x->out, STYLE_DIM), label, out_plain(x->out));
}

static void put_fact(const struct show *x, const char *label, const char *text)
{
    if (!text || !*text)
        return;
    put_label(x, label);
    out_text(x->out, STYLE_PLAIN, text);
    (void)fputc('\n', x->out->f);
}

static void put_state(const struct show *x)
{
    char text[ROW_TEXT_BYTES], time[WHEN_BYTES];
    const struct report *r = x->r;
    put_label(x, "State");
    (void)fprintf(x->out->f, "%s%s%s", out_style(x->out, row_state_style(r->state)),
        row_state(r, x->s->now_ms, text), out_plain(x->out));
    if (r->state == SPOOL_WAIT && r->name.not_before_s)
        (void)fprintf(x->out->f, ", next try %s",
            when_format(
                time, (int64_t)r->name.not_before_s * 1000, x->s->options.utc, false));
    const struct config *config = session_config(x->s);
    bool open = r->state == SPOOL_NEW || r->state == SPOOL_WAIT;
    if (open && config && (!config->dsn || !*config->dsn) &&
        (!config->otlp_endpoint || !*config->otlp_endpoint))
        (void)fputs(", no destination is configured here", x->out->f);
    (void)fputc('\n', x->out->f);
}

/* How often this signature is in the spool: the names alone know. */
static void put_signature(const struct show *x)
{
    size_t n = 0;
    uint64_t first = UINT64_MAX, last = 0;
    for (size_t i = 0; i < x->t->n_reports; i++) {
        const struct spool_name *name = &x->t->reports[i].name;
        if (name->signature != x->r->name.signature)
            continue;
        n++;
        first = name->time_ms < first ? name->time_ms : first;
        last = name->time_ms > last ? name->time_ms : last;
    }
    char a[WHEN_BYTES], b[WHEN_BYTES];
    put_label(x, "Signature");
    (void)fprintf(x->out->f, "%012" PRIx64, x->r->name.signature);
    if (n > 1)
        (void)fprintf(x->out->f, ", seen %zu times from %s to %s", n,
            when_format(a, (int64_t)first, x->s->options.utc, false),
            when_format(b, (int64_t)last, x->s->options.utc, false));
    (void)fputc('\n', x->out->f);
}

static void put_app(const struct show *x)
{
    const struct index_entry *e = &x->e;
    put_label(x, "Application");
    char release[ROW_RELEASE_BYTES];
    out_text(x->out, STYLE_PLAIN, e->app ? e->app : "unknown");
    if (row_release(e, release)) {
        (void)fputc(' ', x->out->f);
        out_text(x->out, STYLE_PLAIN, release);
    }
    if (e->environment) {
        (void)fputs(" (", x->out->f);
        out_text(x->out, STYLE_PLAIN, e->environment);
        (void)fputc(')', x->out->f);
    }
    (void)fputc('\n', x->out->f);
}

static void put_time(const struct show *x)
{
    char time[WHEN_BYTES], age[WHEN_BYTES];
    put_label(x, "Time");
    const bool silent = x->e.kind == INDEX_KIND_OBITUARY;
    (void)fprintf(x->out->f, "%s, %s ago",
        when_format(time, (int64_t)x->r->name.time_ms, x->s->options.utc, true),
        when_span(age, x->s->now_ms - (int64_t)x->r->name.time_ms));
    if (x->e.uptime_ms)
        (void)fprintf(
            x->out->f, ", after %s of life", when_span(age, (int64_t)x->e.uptime_ms));
    if (silent)
        (void)fputs(" (the last sign of it; it died then or later)", x->out->f);
    (void)fputc('\n', x->out->f);
}

static void put_process(const struct show *x)
{
    const struct index_entry *e = &x->e;
    put_label(x, "Process");
    (void)fprintf(x->out->f, "PID %" PRIu32, e->pid);
    if (e->n_threads)
        (void)fprintf(x->out->f, ", %" PRIu32 " thread%s", e->n_threads,
            e->n_threads == 1 ? "" : "s");
    if (e->server) {
        (void)fputs(", on ", x->out->f);
        out_text(x->out, STYLE_PLAIN, e->server);
    }
    (void)fputc('\n', x->out->f);
}

static void put_system(const struct show *x)
{
    const struct crash *c = x->l->crash;
    char name[128];
    put_label(x, "System");
    if (!crash_text_value(&c->os_release, "PRETTY_NAME", '=', name, sizeof name))
        (void)snprintf(name, sizeof name, "Linux");
    out_text(x->out, STYLE_PLAIN, name);
    if (c->journal && c->journal->kernel[0]) {
        (void)fputs(", kernel ", x->out->f);
        out_text(x->out, STYLE_PLAIN, c->journal->kernel);
    }
    if (c->journal && c->journal->libc[0]) {
        (void)fputs(", ", x->out->f);
        out_text(x->out, STYLE_PLAIN, c->journal->libc);
    }
    (void)fprintf(
        x->out->f, ", %s\n", c->arch == KNELL_MINIDUMP_ARCH_ARM64 ? "aarch64" : "x86_64");
}

void show_facts(const struct show *x)
{
    char id[33], file[KNELL_SPOOL_NAME_BYTES + 1];
    const struct crash *c = x->l->crash;
    spool_event_id_format(x->r->name.event_id, id);
    put_fact(x, "Report", id);
    put_state(x);
    put_app(x);
    put_fact(x, "Dist", x->e.dist);
    put_time(x);
    put_process(x);
    put_fact(x, "Executable", x->e.executable);
    if (c->journal)
        put_fact(x, "Cgroup", c->journal->cgroup);
    put_system(x);
    put_signature(x);
    put_label(x, "File");
    out_text(x->out, STYLE_PLAIN, x->t->spools[x->r->spool].spool->path);
    (void)fprintf(x->out->f, "/%s/%s, %zu bytes\n",
        spool_state_name((enum spool_state)x->r->state), report_file(x->r, file),
        x->l->n_bytes);
}
