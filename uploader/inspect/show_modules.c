/* The loaded objects of a report, and which of them keep their names to themselves. */
#include "uploader/inspect/grid.h"
#include "uploader/inspect/show.h"
#include "uploader/report/frames.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_MISSING = 6 };

static void put_symbols(struct grid *table, const struct crash_module *m)
{
    bool lacks = m->asked && m->debug_status != KNELL_SYMBOL_OK;
    if (!m->asked)
        grid_cell(table, STYLE_PLAIN, NULL);
    else
        grid_cell_format(table, STYLE_PLAIN, "%s%s%s%s%s",
            knell_symbol_status_name(m->status), lacks ? ", debug file: " : "",
            lacks ? knell_symbol_status_name(m->debug_status) : "",
            m->fetched ? ", debuginfod: " : "",
            m->fetched ? wish_answer_name(m->fetched) : "");
}

void show_modules(const struct show *x)
{
    static const struct grid_column columns[] = {{"BASE", false, 0, 0},
        {"SIZE", true, 3, 0}, {"BUILD-ID", false, 2, 12}, {"SYMBOLS", false, 1, 0},
        {"PATH", false, 0, 16}};
    const struct crash *c = x->l->crash;
    struct grid table;
    show_head(x, "Modules");
    grid_init(&table, x->out, columns, sizeof columns / sizeof *columns,
        !x->s->options.no_legend);
    for (uint32_t i = 0; i < c->n_modules; i++) {
        const struct crash_module *m = &c->modules[i];
        char id[LOADER_BUILD_ID_BYTES];
        grid_cell_format(&table, STYLE_PLAIN, "%016" PRIx64, m->base);
        grid_cell_format(&table, STYLE_PLAIN, "%" PRIu64, m->size);
        grid_cell(&table, STYLE_DIM, loader_build_id(m, id));
        put_symbols(&table, m);
        grid_cell(&table, STYLE_PLAIN, m->path);
    }
    grid_done(&table);
}

/* What to tell of a module whose frames lack lines, by what its file was. */
static const char *what_is_missing(const struct crash_module *m)
{
    bool has_file =
        m->status == KNELL_SYMBOL_SYMTAB_ONLY || m->status == KNELL_SYMBOL_NOT_FOUND;
    if (has_file && m->debug_status == KNELL_SYMBOL_MISMATCH)
        return "the debug file that is there belongs to another build";
    if (has_file && m->debug_status == KNELL_SYMBOL_MALFORMED)
        return "its debug file is damaged";
    switch (m->status) {
    case KNELL_SYMBOL_MISSING:
        return "its file is not on this machine";
    case KNELL_SYMBOL_MISMATCH:
        return "another build lies at its path now";
    case KNELL_SYMBOL_MALFORMED:
        return "its file is damaged";
    case KNELL_SYMBOL_TOO_LARGE:
        return "its debug information is over the limit of size";
    case KNELL_SYMBOL_TIMEOUT:
        return "its symbols took longer than the deadline";
    default:
        return "no debug information was found";
    }
}

/* Files and lines come from debug information alone. */
static bool lacks_lines(const struct crash_frame *f)
{
    return f->module >= 0 && !f->file && f->in_app;
}

void show_missing_symbols(const struct show *x)
{
    const struct crash *c = x->l->crash;
    const struct out *o = x->out;
    if (c->crashed_thread < 0)
        return;
    const struct crash_thread *t = &c->threads[c->crashed_thread];
    bool *told = calloc(c->n_modules + 1u, sizeof *told);
    unsigned n = 0;
    for (uint32_t i = 0; told && i < t->n_frames && n < MAX_MISSING; i++) {
        const struct crash_frame *f = &t->frames[i];
        if (!lacks_lines(f) || told[f->module])
            continue;
        const struct crash_module *m = &c->modules[f->module];
        char id[LOADER_BUILD_ID_BYTES];
        told[f->module] = true;
        if (!n++)
            show_head(x, "Without lines of source");
        (void)fputs("  ", o->f);
        out_text(o, STYLE_CYAN, path_base(m->path));
        (void)fprintf(o->f, ": %s", what_is_missing(m));
        if (*loader_build_id(m, id))
            (void)fprintf(o->f, " for build-id %s", id);
        if (m->fetched)
            (void)fprintf(o->f, "; debuginfod: %s", wish_answer_name(m->fetched));
        (void)fputc('\n', o->f);
    }
    if (n)
        (void)fputs(
            "  Debug packages (-dbgsym, -dbg), --debug-dir and --store bring them.\n",
            o->f);
    free(told);
}
