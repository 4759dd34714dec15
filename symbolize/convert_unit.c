#include "symbolize/budget.h"
#include "symbolize/convert.h"
#include "symbolize/convert_name.h"
#include "symbolize/dwarf_function.h"
#include "symbolize/dwarf_line.h"

#include <stdlib.h>

enum { MAX_PATH_BYTES = 4096 };

/* One unit on its way into the table. */
struct unit_work {
    struct converter *c;
    const struct dwarf_unit *u;
    const struct wanted *wanted;
    struct functions functions;
    struct range_list areas; /* what is converted: sorted, not overlapping */
    struct line_table lines;
    bool has_lines;
    bool *used;               /* of each node: whether a piece leads to it */
    uint32_t *node_functions; /* table function of each node that is used */
    uint32_t *node_callers;   /* place of the call that the node was inlined by */
    uint32_t *files;          /* table file of each of the line table's */
};

static void work_done(struct unit_work *w)
{
    functions_done(&w->functions);
    free(w->areas.ranges);
    line_table_done(&w->lines);
    free(w->used);
    free(w->node_functions);
    free(w->node_callers);
    free(w->files);
}

static int by_low(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    return x->low < y->low ? -1 : x->low > y->low;
}

static void merge_areas(struct range_list *l)
{
    size_t n = 0;
    if (l->n)
        qsort(l->ranges, l->n, sizeof *l->ranges, by_low);
    for (size_t i = 0; i < l->n; i++) {
        if (n && l->ranges[i].low <= l->ranges[n - 1].high) {
            if (l->ranges[i].high > l->ranges[n - 1].high)
                l->ranges[n - 1].high = l->ranges[i].high;
        } else {
            l->ranges[n++] = l->ranges[i];
        }
    }
    l->n = n;
}

/* @l is sorted and does not overlap. */
static bool in_list(const struct range_list *l, uint64_t pc)
{
    size_t low = 0, high = l->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (l->ranges[middle].high <= pc)
            low = middle + 1;
        else
            high = middle;
    }
    return low < l->n && l->ranges[low].low <= pc;
}

/* Add the wanted addresses of the unit that no function was found for. */
static int add_leftovers(
    struct unit_work *w, const struct range_list *unit, struct range_list *into)
{
    size_t n_known = into->n;
    struct range_list known = {.ranges = into->ranges, .n = n_known};
    for (size_t i = 0; i < unit->n; i++) {
        if (w->wanted->all) {
            int err = range_list_add(into, unit->ranges[i].low, unit->ranges[i].high);
            if (err < 0)
                return err;
            continue;
        }
        size_t k = wanted_from(w->wanted, unit->ranges[i].low);
        for (; k < w->wanted->n && w->wanted->pcs[k] < unit->ranges[i].high; k++) {
            uint64_t pc = w->wanted->pcs[k];
            known.ranges = into->ranges;
            int err = in_list(&known, pc) ? 0 : range_list_add(into, pc, pc + 1);
            if (err < 0)
                return err;
        }
    }
    return 0;
}

/* Find the functions: first the quick way, then the complete one for what is left. */
static int find_functions(struct unit_work *w, const struct range_list *unit)
{
    int err = dwarf_functions(w->u, w->wanted, false, &w->functions);
    if (err < 0)
        return err;
    size_t n = w->functions.areas.n;
    for (size_t i = 0; i < n; i++) {
        const struct range *r = &w->functions.areas.ranges[i];
        err = range_list_add(&w->areas, r->low, r->high);
        if (err < 0)
            return err;
    }
    merge_areas(&w->areas);
    n = w->areas.n;
    err = add_leftovers(w, unit, &w->areas);
    if (err < 0 || w->areas.n == n || w->wanted->all) {
        merge_areas(&w->areas);
        return err;
    }
    functions_done(&w->functions);
    err = dwarf_functions(w->u, w->wanted, true, &w->functions);
    for (size_t i = 0; err == 0 && i < w->functions.areas.n; i++) {
        const struct range *r = &w->functions.areas.ranges[i];
        err = range_list_add(&w->areas, r->low, r->high);
    }
    merge_areas(&w->areas);
    return err;
}

/* Of what was found, leave the wanted addresses alone. */
static int narrow(struct unit_work *w)
{
    const struct wanted *wanted = w->wanted;
    struct range_list points = {0};
    int err = 0;
    for (size_t i = 0; err == 0 && i < w->areas.n; i++) {
        const struct range *r = &w->areas.ranges[i];
        size_t k = wanted_from(wanted, r->low);
        for (; err == 0 && k < wanted->n && wanted->pcs[k] < r->high; k++)
            err = range_list_add(&points, wanted->pcs[k], wanted->pcs[k] + 1);
    }
    free(w->areas.ranges);
    w->areas = points;
    return err;
}

static int find_lines(struct unit_work *w)
{
    const struct dwarf_unit *u = w->u->skeleton ? w->u->skeleton : w->u;
    if (!u->has_line || !w->areas.n)
        return 0;
    int err = dwarf_line_open(u, &w->lines);
    if (err < 0)
        return budget_fatal(err);
    w->has_lines = true;
    w->files = calloc(w->lines.n_files ? w->lines.n_files : 1, sizeof *w->files);
    if (!w->files)
        return -ENOMEM;
    return dwarf_line_run(&w->lines, w->wanted->all ? NULL : &w->areas);
}

/* a/b, or b alone when it is absolute; cut parts are left out. */
static size_t join(char *out, size_t n, const char *part)
{
    size_t n_part = strlen(part);
    if (*part == '/')
        n = 0;
    if (n_part == 0 || n + n_part + 2 > MAX_PATH_BYTES)
        return n;
    if (n && out[n - 1] != '/')
        out[n++] = '/';
    memcpy(out + n, part, n_part);
    return n + n_part;
}

static int make_file(struct unit_work *w, uint32_t number, uint32_t *ret)
{
    const char *comp_dir, *directory, *name;
    char path[MAX_PATH_BYTES];
    *ret = TABLE_NONE;
    int err = dwarf_line_path(&w->lines, number, &comp_dir, &directory, &name);
    if (err < 0 || !*name)
        return budget_fatal(err);
    err = budget_time(w->u->file->budget);
    if (err < 0)
        return err;
    struct table_file file = {.directory = TABLE_NONE};
    size_t n = 0;
    if (*name != '/') {
        n = comp_dir ? join(path, n, comp_dir) : n;
        n = directory ? join(path, n, directory) : n;
    }
    if (n)
        err = table_string(w->c->table, path, n, &file.directory);
    if (err == 0)
        err = table_string(w->c->table, name, strlen(name), &file.name);
    if (err == 0)
        err = table_file(w->c->table, &file, ret);
    return err;
}

/* The table's file for a number of the line table; TABLE_NONE when there is none. */
static int file_of(struct unit_work *w, uint32_t number, uint32_t *ret)
{
    if (!w->has_lines || number >= w->lines.n_files) {
        *ret = TABLE_NONE;
        return 0;
    }
    if (w->files[number] == 0) {
        uint32_t file;
        int err = make_file(w, number, &file);
        if (err < 0)
            return err;
        w->files[number] = file == TABLE_NONE ? TABLE_NONE : file + 1;
    }
    *ret = w->files[number] == TABLE_NONE ? TABLE_NONE : w->files[number] - 1;
    return 0;
}

/* Mark what shows of the functions, and what it was inlined into. */
static int find_used(struct unit_work *w)
{
    const struct functions *f = &w->functions;
    w->used = calloc(f->n_nodes ? f->n_nodes : 1, sizeof *w->used);
    if (!w->used)
        return -ENOMEM;
    for (size_t i = 0; i < f->paints.n; i++) {
        uint32_t node = f->paints.p[i].id;
        for (; node != FUNCTION_NONE && !w->used[node]; node = f->nodes[node].parent)
            w->used[node] = true;
    }
    return 0;
}

/* The places of the calls by which nodes were inlined; parents come before children. */
static int place_calls(struct unit_work *w)
{
    uint32_t n = w->functions.n_nodes;
    w->node_callers = malloc((n ? n : 1) * sizeof *w->node_callers);
    if (!w->node_callers)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        const struct function_node *node = &w->functions.nodes[i];
        w->node_callers[i] = TABLE_NONE;
        if (node->parent == FUNCTION_NONE || !w->used[i])
            continue;
        struct table_place p = {.function = w->node_functions[node->parent],
            .line = node->call_line,
            .column = node->call_column,
            .caller = w->node_callers[node->parent]};
        int err = file_of(w, node->call_file, &p.file);
        if (p.file == TABLE_NONE)
            p.line = p.column = 0; /* of no use without its file */
        if (err == 0)
            err = table_place(w->c->table, &p, &w->node_callers[i]);
        if (err < 0)
            return err;
    }
    return 0;
}

static int add_piece(struct unit_work *w, uint64_t low, uint64_t high, uint32_t node,
    const struct line_row *row)
{
    struct table_place p = {
        .function = TABLE_NONE, .file = TABLE_NONE, .caller = TABLE_NONE};
    uint32_t place = TABLE_NONE;
    int err = 0;
    if (low >= high || (node == FUNCTION_NONE && !row))
        return 0;
    if (node != FUNCTION_NONE) {
        p.function = w->node_functions[node];
        p.caller = w->node_callers[node];
    }
    if (row) {
        p.line = row->line;
        p.column = row->column;
        err = file_of(w, row->file, &p.file);
    }
    if (p.file == TABLE_NONE)
        p.line = p.column = 0;
    if (err == 0)
        err = table_place(w->c->table, &p, &place);
    return err < 0 ? err : table_add_range(w->c->table, low, high, place);
}

/* The parts of a piece that lie in what is converted: a line's segment may reach beyond
 * the unit, where other units speak. Pieces come in order, so @area only moves on. */
static int add_clipped(struct unit_work *w, size_t *area, struct range piece,
    uint32_t node, const struct line_row *row)
{
    const struct range_list *a = &w->areas;
    while (*area < a->n && a->ranges[*area].high <= piece.low)
        ++*area;
    int err = 0;
    for (size_t i = *area; err == 0 && i < a->n && a->ranges[i].low < piece.high; i++) {
        uint64_t low = a->ranges[i].low, high = a->ranges[i].high;
        err = add_piece(w, low > piece.low ? low : piece.low,
            high < piece.high ? high : piece.high, node, row);
    }
    return err;
}

/* Cut the functions' ranges and the lines' segments against each other. */
static int cut(struct unit_work *w)
{
    const struct paints *f = &w->functions.paints, *l = &w->lines.segments;
    size_t i = 0, k = 0, area = 0;
    uint64_t at = 0;
    while (i < f->n || k < l->n) {
        bool in_f = i < f->n && f->p[i].low <= at, in_l = k < l->n && l->p[k].low <= at;
        uint64_t next = UINT64_MAX;
        if (i < f->n)
            next = in_f ? f->p[i].high : f->p[i].low;
        if (k < l->n) {
            uint64_t edge = in_l ? l->p[k].high : l->p[k].low;
            next = edge < next ? edge : next;
        }
        int err = 0;
        if (in_f || in_l)
            err = add_clipped(w, &area, (struct range){at, next},
                in_f ? f->p[i].id : FUNCTION_NONE,
                in_l ? &w->lines.rows[l->p[k].id] : NULL);
        if (err < 0)
            return err;
        at = next;
        while (i < f->n && f->p[i].high <= at)
            i++;
        while (k < l->n && l->p[k].high <= at)
            k++;
    }
    return 0;
}

static int cover(struct unit_work *w)
{
    int err = 0;
    for (size_t i = 0; err == 0 && i < w->areas.n; i++)
        err = table_add_covered(
            w->c->table, w->areas.ranges[i].low, w->areas.ranges[i].high);
    return err;
}

/* Count the wanted addresses for which a function was found. */
static void note_found(
    struct converter *c, const struct wanted *wanted, const struct range_list *areas)
{
    for (size_t i = 0; c->found && i < areas->n; i++) {
        size_t k = wanted_from(wanted, areas->ranges[i].low);
        for (; k < wanted->n && wanted->pcs[k] < areas->ranges[i].high; k++) {
            c->n_found += !c->found[k];
            c->found[k] = true;
        }
    }
}

int convert_unit(struct converter *c, const struct dwarf_unit *u,
    const struct wanted *wanted, const struct range_list *unit_ranges)
{
    struct unit_work w = {.c = c, .u = u, .wanted = wanted};
    int err = find_functions(&w, unit_ranges);
    if (err == 0 && wanted->narrow)
        err = narrow(&w);
    if (err == 0)
        err = find_lines(&w);
    if (err == 0)
        err = paints_flatten(&w.functions.paints);
    if (err == 0)
        err = find_used(&w);
    if (err == 0)
        err = convert_names(c, u, &w.functions, w.used, &w.node_functions);
    if (err == 0)
        err = place_calls(&w);
    if (err == 0)
        err = cut(&w);
    if (err == 0)
        err = cover(&w);
    if (err == 0)
        note_found(c, wanted, &w.functions.areas);
    work_done(&w);
    return err;
}
