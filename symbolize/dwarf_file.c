#include "symbolize/budget.h"
#include "symbolize/dwarf_const.h"
#include "symbolize/dwarf_unit.h"
#include "symbolize/elf_file.h"

#include <elf.h>
#include <stdlib.h>

static const char *const names[DWARF_N_SECTIONS] = {
    [DWARF_INFO] = "info",
    [DWARF_ABBREV] = "abbrev",
    [DWARF_LINE] = "line",
    [DWARF_STR] = "str",
    [DWARF_LINE_STR] = "line_str",
    [DWARF_STR_OFFSETS] = "str_offsets",
    [DWARF_ADDR] = "addr",
    [DWARF_RANGES] = "ranges",
    [DWARF_RNGLISTS] = "rnglists",
    [DWARF_CU_INDEX] = "cu_index",
};

/* Which of ours a section is, or -1. .zdebug_ is the old name of a packed one. */
static int which(const char *name, bool split)
{
    if (!strncmp(name, ".debug_", 7))
        name += 7;
    else if (!strncmp(name, ".zdebug_", 8))
        name += 8;
    else
        return -1;
    for (int i = 0; i < DWARF_N_SECTIONS; i++) {
        size_t n = strlen(names[i]);
        if (strncmp(name, names[i], n) != 0)
            continue;
        /* The index of a package has no suffix; all else of a split file has. */
        const char *suffix = split && i != DWARF_CU_INDEX ? ".dwo" : "";
        if (!strcmp(name + n, suffix))
            return i;
    }
    return -1;
}

int dwarf_file_open(
    const struct elf_file *elf, bool split, struct budget *budget, struct dwarf_file *ret)
{
    struct dwarf_file f = {.elf = elf, .budget = budget, .split = split};
    for (size_t i = 0; i < elf->n_sections; i++) {
        const struct elf_section *s = &elf->sections[i];
        int k = which(s->name, split);
        if (k < 0 || s->type == SHT_NOBITS || f.sections[k].bytes)
            continue;
        int err = section_open(elf, s, budget, &f.sections[k]);
        if (err < 0) {
            dwarf_file_done(&f);
            return err;
        }
    }
    *ret = f;
    return f.sections[DWARF_INFO].n > 0;
}

void dwarf_file_done(struct dwarf_file *f)
{
    for (int i = 0; i < DWARF_N_SECTIONS; i++)
        section_done(&f->sections[i]);
    free(f->places);
    *f = (struct dwarf_file){0};
}

enum { MAX_PLACES = 1 << 22 }; /* units; real programs have some thousand */

static int add_place(struct dwarf_file *f, struct unit_place place)
{
    if (f->n_places == f->max_places) {
        size_t max = f->max_places ? 2 * f->max_places : 256;
        if (max > MAX_PLACES)
            return -E2BIG;
        struct unit_place *more = realloc(f->places, max * sizeof *more);
        if (!more)
            return -ENOMEM;
        f->places = more;
        f->max_places = max;
    }
    f->places[f->n_places++] = place;
    return 0;
}

static int list_places(struct dwarf_file *f)
{
    uint64_t at = f->n_places ? f->places[f->n_places - 1].end : 0;
    while (at < f->sections[DWARF_INFO].n) {
        struct dwarf_unit u;
        int err = dwarf_unit_head(f, at, &u);
        if (err < 0 && err != -EPROTONOSUPPORT)
            return err == -EBADMSG ? 0 : err; /* what came before still counts */
        err = add_place(f, (struct unit_place){at, u.end});
        if (err == 0)
            err = budget_time(f->budget);
        if (err < 0)
            return err;
        at = u.end;
    }
    return 0;
}

/* From the first reference into another unit on (LTO), a packed .debug_info is kept as a
 * whole where the budget has room: unpacking it over and over would cost more. */
static void keep_info(struct dwarf_file *f)
{
    struct section *info = &f->sections[DWARF_INFO];
    if (f->keep_info || !info->unpacker ||
        (f->budget->max_bytes && info->n > f->budget->max_bytes / 2))
        return;
    f->keep_info = true;
    info->streamed = false;
}

int dwarf_unit_containing(struct dwarf_file *f, uint64_t offset, struct dwarf_unit *ret)
{
    keep_info(f);
    if (!f->places_complete) {
        int err = list_places(f);
        if (err < 0)
            return err;
        f->places_complete = true;
    }
    size_t low = 0, high = f->n_places;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (f->places[middle].end <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == f->n_places || offset < f->places[low].offset)
        return -ENODATA;
    struct dwarf_unit u;
    int err = dwarf_unit_head(f, f->places[low].offset, &u);
    if (err == 0)
        err = dwarf_unit_open(&u);
    if (err < 0)
        return err;
    err = dwarf_unit_load(&u);
    if (err < 0) {
        dwarf_unit_done(&u);
        return err;
    }
    *ret = u;
    return 0;
}
