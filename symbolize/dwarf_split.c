#include "symbolize/budget.h"
#include "symbolize/dwarf_const.h"
#include "symbolize/dwarf_package.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

static void close_file(struct dwarf_split_file *f)
{
    dwarf_file_done(&f->dwarf);
    if (f->path)
        elf_file_done(&f->elf);
    free(f->path);
    *f = (struct dwarf_split_file){.elf = {.fd = -1}};
}

void dwarf_splits_done(struct dwarf_splits *s)
{
    close_file(&s->package);
    close_file(&s->last);
}

/* Open a split file into @f, in place: the DWARF refers to the ELF file beside it. */
static int open_file(struct dwarf_splits *s, const char *path, struct dwarf_split_file *f)
{
    close_file(f);
    int err = elf_file_open(path, &f->elf);
    if (err < 0)
        return err;
    f->path = strdup(path);
    if (!f->path) {
        elf_file_done(&f->elf);
        return -ENOMEM;
    }
    int has = dwarf_file_open(&f->elf, true, s->budget, &f->dwarf);
    if (has > 0)
        return 0;
    close_file(f);
    return has < 0 ? has : -ENODATA;
}

/* Open the unit at @offset and see whether it is the one: 0, -ESTALE when not. */
static int open_unit(struct dwarf_file *f, uint64_t offset, const struct package_row *row,
    const struct dwarf_unit *skeleton, struct dwarf_unit *u)
{
    int err = dwarf_unit_head(f, offset, u);
    if (err < 0)
        return err;
    if (row) {
        u->abbrev_offset += row->offsets[DW_SECT_ABBREV];
        u->str_offsets_base = row->offsets[DW_SECT_STR_OFFSETS];
        if (u->sizes.version >= 5)
            u->str_offsets_base += u->sizes.offset == 8 ? 16 : 8;
        u->rnglists_base = row->offsets[DW_SECT_RNGLISTS];
    }
    u->skeleton = skeleton;
    err = dwarf_unit_open(u);
    if (err < 0)
        return err;
    if (!u->has_dwo_id || u->dwo_id != skeleton->dwo_id || u->type == DW_UT_SPLIT_TYPE)
        return -ESTALE;
    return dwarf_unit_load(u);
}

static int find_in_package(
    struct dwarf_splits *s, const struct dwarf_unit *skeleton, struct dwarf_unit *ret)
{
    char path[PATH_MAX];
    if (!s->package_tried && s->base_path) {
        s->package_tried = true;
        int n = snprintf(path, sizeof path, "%s.dwp", s->base_path);
        int err =
            n > 0 && n < (int)sizeof path ? open_file(s, path, &s->package) : -ENODATA;
        if (err == -ENOMEM)
            return err;
        s->has_package = err == 0;
    }
    struct package_row row;
    if (!s->has_package)
        return -ENODATA;
    int err = dwarf_package_find(&s->package.dwarf, skeleton->dwo_id, &row);
    return err < 0 ? err
                   : open_unit(&s->package.dwarf, row.offsets[DW_SECT_INFO], &row,
                         skeleton, ret);
}

static int find_in_open_file(
    struct dwarf_split_file *f, const struct dwarf_unit *skeleton, struct dwarf_unit *ret)
{
    uint64_t end = f->dwarf.sections[DWARF_INFO].n;
    for (uint64_t at = 0; at < end;) {
        struct dwarf_unit u;
        int err = budget_time(f->dwarf.budget);
        if (err == 0)
            err = dwarf_unit_head(&f->dwarf, at, &u);
        if (err < 0)
            return err;
        at = u.end;
        err = open_unit(&f->dwarf, u.offset, NULL, skeleton, &u);
        if (err == 0) {
            *ret = u;
            return 0;
        }
        dwarf_unit_done(&u);
        if (err != -ESTALE)
            return err;
    }
    return -ENODATA;
}

/* The name as it is when absolute, else in the compilation directory, else beside the
 * file that has the skeleton. */
static bool dwo_path(const struct dwarf_splits *s, const struct dwarf_unit *skeleton,
    int attempt, char *path)
{
    const char *name, *dir = "", *root = s->sysroot ? s->sysroot : "";
    if (dwarf_unit_text(skeleton, &skeleton->dwo_name, &name) < 0 || !*name)
        return false;
    int n = -1;
    if (attempt == 0) {
        if (*name != '/' && dwarf_unit_text(skeleton, &skeleton->comp_dir, &dir) < 0)
            dir = "";
        n = snprintf(path, PATH_MAX, "%s%s%s%s", *name == '/' || *dir == '/' ? root : "",
            dir, *dir ? "/" : "", name);
    } else if (s->base_path) {
        const char *slash = strrchr(s->base_path, '/');
        const char *last = strrchr(name, '/');
        n = snprintf(path, PATH_MAX, "%.*s%s",
            slash ? (int)(slash - s->base_path) + 1 : 0, s->base_path,
            last ? last + 1 : name);
    }
    return n > 0 && n < PATH_MAX;
}

int dwarf_split_find(
    struct dwarf_splits *s, const struct dwarf_unit *skeleton, struct dwarf_unit *ret)
{
    char path[PATH_MAX];
    int err = find_in_package(s, skeleton, ret);
    if (err == 0 || err == -ENOMEM || err == -ETIME || err == -E2BIG)
        return err;
    for (int attempt = 0; attempt < 2; attempt++) {
        if (!dwo_path(s, skeleton, attempt, path))
            continue;
        err = open_file(s, path, &s->last);
        if (err == 0)
            err = find_in_open_file(&s->last, skeleton, ret);
        if (err == 0 || err == -ENOMEM || err == -ETIME || err == -E2BIG)
            return err;
    }
    s->missing = true;
    return -ENODATA;
}
