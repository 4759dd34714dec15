#include "symbolize/dwarf_function.h"

#include "symbolize/budget.h"
#include "symbolize/dwarf_const.h"

#include <stdlib.h>

enum {
    MAX_DEPTH = 1 << 16, /* DIEs inside each other */
    MAX_NODES = 1 << 24,
    MAX_PAINTS = 1 << 24, /* ranges of a unit's functions; many may refer to one list */
    DIES_BETWEEN_CLOCKS = 1 << 14,
};

struct walk {
    const struct dwarf_unit *u;
    const struct wanted *wanted;
    bool complete;
    struct functions *out;
    struct bytes r;
    uint32_t *open; /* innermost taken function at each depth */
    uint32_t depth, max_depth;
    struct range_list scratch;
};

/* What the walk reads of a function's DIE. */
struct function_die {
    struct dwarf_value low_pc, high_pc, ranges;
    uint64_t sibling, origin; /* places in .debug_info; 0: none */
    bool has_name;
    uint32_t call_file, call_line, call_column;
};

static uint32_t clamp(uint64_t v)
{
    return v > UINT32_MAX ? 0 : (uint32_t)v;
}

static bool is_of_use(uint16_t at)
{
    switch (at) {
    case DW_AT_SIBLING:
    case DW_AT_ABSTRACT_ORIGIN:
    case DW_AT_NAME:
    case DW_AT_LINKAGE_NAME:
    case DW_AT_MIPS_LINKAGE_NAME:
    case DW_AT_LOW_PC:
    case DW_AT_HIGH_PC:
    case DW_AT_RANGES:
    case DW_AT_CALL_FILE:
    case DW_AT_CALL_LINE:
    case DW_AT_CALL_COLUMN:
        return true;
    default:
        return false;
    }
}

static void read_function(struct walk *w, const struct abbrev *a, struct function_die *d)
{
    const struct abbrev_table *t = &w->u->abbrevs;
    for (uint32_t i = 0; i < a->n_attrs && !w->r.err; i++) {
        const struct abbrev_attr *attr = &t->attrs[a->first_attr + i];
        if (!is_of_use(attr->at)) {
            dwarf_attr_skip(&w->r, w->u->sizes, attr);
            continue;
        }
        struct dwarf_value v = dwarf_attr_read(&w->r, w->u->sizes, attr);
        switch (attr->at) {
        case DW_AT_SIBLING:
            d->sibling = v.class == DWARF_REF_UNIT   ? w->u->offset + v.u
                         : v.class == DWARF_REF_INFO ? v.u
                                                     : 0;
            break;
        case DW_AT_ABSTRACT_ORIGIN:
            d->origin = v.class == DWARF_REF_UNIT ? w->u->offset + v.u : 0;
            break;
        case DW_AT_NAME:
        case DW_AT_LINKAGE_NAME:
        case DW_AT_MIPS_LINKAGE_NAME:
            d->has_name = true;
            break;
        case DW_AT_LOW_PC:
            d->low_pc = v;
            break;
        case DW_AT_HIGH_PC:
            d->high_pc = v;
            break;
        case DW_AT_RANGES:
            d->ranges = v;
            break;
        case DW_AT_CALL_FILE:
            d->call_file = clamp(v.u);
            break;
        case DW_AT_CALL_LINE:
            d->call_line = clamp(v.u);
            break;
        case DW_AT_CALL_COLUMN:
            d->call_column = clamp(v.u);
            break;
        default:
            break;
        }
    }
}

/* Jump behind the DIE's children. Only forward, so that no chain of siblings is a loop.
 */
static bool skip_to(struct walk *w, uint64_t sibling)
{
    if (w->complete || sibling <= w->r.at || sibling > w->u->end)
        return false;
    w->r.at = (size_t)sibling;
    return true;
}

static int add_node(struct walk *w, struct function_node node, uint32_t *ret)
{
    struct functions *f = w->out;
    if (f->n_nodes == f->max_nodes) {
        uint32_t max = f->max_nodes ? 2 * f->max_nodes : 64;
        if (max > MAX_NODES)
            return -E2BIG;
        struct function_node *more = realloc(f->nodes, max * sizeof *more);
        if (!more)
            return -ENOMEM;
        f->nodes = more;
        f->max_nodes = max;
    }
    *ret = f->n_nodes;
    f->nodes[f->n_nodes++] = node;
    return 0;
}

/* Take a function whose ranges are in w->scratch. */
static int take(struct walk *w, uint64_t die, const struct function_die *d,
    uint32_t parent, uint32_t *ret)
{
    struct function_node node = {.die = die,
        .parent = parent,
        .origin = parent == FUNCTION_NONE || d->has_name ? 0 : d->origin,
        .entry = w->scratch.n ? w->scratch.ranges[0].low : 0,
        .call_file = d->call_file,
        .call_line = d->call_line,
        .call_column = d->call_column};
    int err = w->out->paints.n > MAX_PAINTS ? -E2BIG : add_node(w, node, ret);
    for (size_t i = 0; err == 0 && i < w->scratch.n; i++) {
        const struct range *r = &w->scratch.ranges[i];
        if (!w->wanted->narrow || wanted_any(w->wanted, r->low, r->high))
            err = paints_add(&w->out->paints, r->low, r->high, *ret);
        if (err == 0 && parent == FUNCTION_NONE)
            err = range_list_add(&w->out->areas, r->low, r->high);
    }
    return err;
}

static int subprogram(struct walk *w, uint64_t die, const struct abbrev *a, uint32_t *ret,
    bool *ret_skipped)
{
    struct function_die d = {0};
    read_function(w, a, &d);
    if (w->r.err)
        return 0;
    w->scratch.n = 0;
    int err =
        budget_fatal(dwarf_ranges(w->u, &d.low_pc, &d.high_pc, &d.ranges, &w->scratch));
    if (err < 0)
        return err;
    dwarf_ranges_leave_out_dead(w->u, &w->scratch);
    for (size_t i = 0; i < w->scratch.n; i++) {
        if (wanted_any(w->wanted, w->scratch.ranges[i].low, w->scratch.ranges[i].high))
            return take(w, die, &d, FUNCTION_NONE, ret);
    }
    *ret = FUNCTION_NONE;
    *ret_skipped = a->has_children && skip_to(w, d.sibling);
    return 0;
}

static int inlined(struct walk *w, uint64_t die, const struct abbrev *a, uint32_t *inout)
{
    if (*inout == FUNCTION_NONE) {
        dwarf_skip_die(&w->r, w->u->sizes, &w->u->abbrevs, a);
        return 0;
    }
    struct function_die d = {0};
    read_function(w, a, &d);
    if (w->r.err)
        return 0;
    w->scratch.n = 0;
    int err =
        budget_fatal(dwarf_ranges(w->u, &d.low_pc, &d.high_pc, &d.ranges, &w->scratch));
    return err < 0 ? err : take(w, die, &d, *inout, inout);
}

static int push(struct walk *w, uint32_t node)
{
    if (w->depth == w->max_depth) {
        uint32_t max = w->max_depth ? 2 * w->max_depth : 64;
        if (max > MAX_DEPTH)
            return -EBADMSG;
        uint32_t *more = realloc(w->open, max * sizeof *more);
        if (!more)
            return -ENOMEM;
        w->open = more;
        w->max_depth = max;
    }
    w->open[w->depth++] = node;
    return 0;
}

/* One DIE: 0 to go on, or an error. */
static int visit(struct walk *w, uint64_t die, const struct abbrev *a)
{
    uint32_t node = w->depth ? w->open[w->depth - 1] : FUNCTION_NONE;
    bool skipped = false;
    int err = 0;
    if (a->kind == ABBREV_FUNCTION) {
        err = subprogram(w, die, a, &node, &skipped);
    } else if (a->kind == ABBREV_INLINED) {
        err = inlined(w, die, a, &node);
    } else if (a->kind == ABBREV_TYPE && a->has_sibling && !w->complete) {
        struct function_die d = {0};
        read_function(w, a, &d);
        skipped = a->has_children && skip_to(w, d.sibling);
    } else {
        dwarf_skip_die(&w->r, w->u->sizes, &w->u->abbrevs, a);
    }
    if (err == 0 && a->has_children && !skipped)
        err = push(w, node);
    return err;
}

static int walk_dies(struct walk *w)
{
    for (uint32_t count = 1; w->r.at < w->r.n; count++) {
        uint64_t die = w->r.at;
        uint64_t code = bytes_uleb(&w->r, "DIE");
        if (code == 0) {
            if (w->depth == 0 || --w->depth == 0)
                return 0;
            continue;
        }
        const struct abbrev *a = abbrev_find(&w->u->abbrevs, code);
        if (!a)
            return 0;
        int err = visit(w, die, a);
        if (err == 0 && count % DIES_BETWEEN_CLOCKS == 0)
            err = budget_time(w->u->file->budget);
        if (err < 0)
            return err == -EBADMSG ? 0 : err;
        if (w->depth == 0)
            return 0; /* a unit DIE without children */
    }
    return 0;
}

int dwarf_functions(const struct dwarf_unit *u, const struct wanted *wanted,
    bool complete, struct functions *ret)
{
    struct walk w = {.u = u,
        .wanted = wanted,
        .complete = complete || wanted->all,
        .out = ret,
        .r = dwarf_unit_reader(u, u->first_die)};
    int err = w.r.err ? w.r.err : walk_dies(&w);
    free(w.open);
    free(w.scratch.ranges);
    return err;
}

void functions_done(struct functions *f)
{
    free(f->nodes);
    free(f->paints.p);
    free(f->areas.ranges);
    *f = (struct functions){0};
}
