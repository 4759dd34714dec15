#include "symbolize/convert.h"

#include "symbolize/budget.h"
#include "symbolize/dwarf_const.h"
#include "symbolize/prefetch.h"

#include <stdlib.h>

/* Whether the unit may hold code that is asked for. */
static bool is_hit(
    const struct dwarf_unit *u, const struct wanted *wanted, struct range_list *ranges)
{
    /* Without ranges on the unit only its functions tell. */
    if (ranges->n == 0)
        return true;
    dwarf_ranges_leave_out_dead(u, ranges);
    for (size_t i = 0; i < ranges->n; i++) {
        if (wanted_any(wanted, ranges->ranges[i].low, ranges->ranges[i].high))
            return true;
    }
    return false;
}

static bool holds_code(const struct dwarf_unit *u)
{
    return u->type != DW_UT_TYPE && u->type != DW_UT_SPLIT_TYPE &&
           u->tag != DW_TAG_PARTIAL_UNIT && u->tag != DW_TAG_TYPE_UNIT;
}

static bool is_skeleton(const struct dwarf_unit *u)
{
    return u->has_dwo_id && u->dwo_name.class != DWARF_NONE && !u->file->split;
}

static int convert_hit(struct converter *c, struct dwarf_unit *u,
    const struct wanted *wanted, const struct range_list *ranges)
{
    if (is_skeleton(u) && c->split) {
        struct dwarf_unit split;
        int err = c->split(c->ctx, u, &split);
        if (err == 0) {
            split.skeleton = u;
            err = convert_unit(c, &split, wanted, ranges);
            unit_keeper_forget(&c->keeper, split.file);
            dwarf_unit_done(&split);
            return err;
        }
        if (budget_fatal(err))
            return err;
    }
    int err = dwarf_unit_load(u);
    return err < 0 ? err : convert_unit(c, u, wanted, ranges);
}

/* One unit by its header: converted when it is asked for. */
static int consider(
    struct converter *c, struct dwarf_unit *u, const struct wanted *wanted)
{
    struct range_list ranges = {0};
    int err = dwarf_unit_open(u);
    if (err == 0 && holds_code(u)) {
        err = budget_fatal(dwarf_unit_ranges(u, &ranges));
        if (err == 0 && is_hit(u, wanted, &ranges))
            err = convert_hit(c, u, wanted, &ranges);
    }
    free(ranges.ranges);
    dwarf_unit_done(u);
    return budget_fatal(err);
}

/* Of units that tell of one address the first counts, so the others need no look. */
static bool found_all(const struct converter *c, const struct wanted *wanted)
{
    return !wanted->all && c->n_found == wanted->n;
}

static int convert_units(struct converter *c, const struct wanted *wanted)
{
    struct section *info = &c->file->sections[DWARF_INFO];
    int err = 0;
    uint64_t dropped = 0;
    for (uint64_t at = 0; err == 0 && at < info->n && !found_all(c, wanted);) {
        struct dwarf_unit u;
        err = budget_time(c->file->budget);
        if (err < 0)
            break;
        err = dwarf_unit_head(c->file, at, &u);
        if (err == -EPROTONOSUPPORT)
            err = 0;
        else if (err < 0) /* what came before still counts */
            return at == 0 || budget_fatal(err) ? err : 0;
        else
            err = consider(c, &u, wanted);
        /* What is asked for again is unpacked again; most units are not. */
        if (info->unpacker && !c->file->keep_info && u.end > dropped) {
            section_drop(info, dropped, u.end);
            dropped = u.end;
        }
        at = u.end;
    }
    return err;
}

int convert(struct converter *c, const struct wanted *wanted)
{
    static const enum dwarf_section soon[] = {DWARF_ABBREV, DWARF_ADDR, DWARF_RANGES,
        DWARF_RNGLISTS, DWARF_STR_OFFSETS, DWARF_LINE_STR, DWARF_LINE, DWARF_STR};
    struct section *sections = c->file->sections;
    struct prefetch p = {0};
    for (size_t i = 0; sections[DWARF_INFO].unpacker && i < sizeof soon / sizeof *soon;
         i++)
        prefetch_add(&p, &sections[soon[i]]);
    sections[DWARF_INFO].streamed = true;
    prefetch_start(&p);
    c->n_found = 0;
    c->found = wanted->all || !wanted->n ? NULL : calloc(wanted->n, sizeof *c->found);
    int err = convert_units(c, wanted);
    prefetch_stop(&p);
    int settled = table_settle(c->table);
    return err < 0 ? err : settled;
}

void converter_done(struct converter *c)
{
    unit_keeper_done(&c->keeper);
    free(c->found);
    c->found = NULL;
}
