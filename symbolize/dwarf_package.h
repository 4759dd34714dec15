/**
 * Split DWARF: the units that skeleton units stand for, from .dwp packages and .dwo
 * files. A unit is taken by its 64-bit id only.
 */
#pragma once
#include "symbolize/dwarf_unit.h"
#include "symbolize/elf_file.h"

/* One opened .dwo; several skeletons seldom name the same. */
struct dwarf_split_file {
    struct elf_file elf;
    struct dwarf_file dwarf;
    char *path;
};

struct dwarf_splits {
    struct budget *budget;
    const char *sysroot;   /* may be NULL */
    const char *base_path; /* of the file with the skeletons; BASE.dwp is looked for */
    bool package_tried, has_package;
    struct dwarf_split_file package;
    struct dwarf_split_file last; /* the .dwo that answered last; path NULL: none */
    bool missing;                 /* some unit could not be had */
};

/**
 * The unit for a skeleton, loaded.
 *
 * @s    its files stay open, for @ret, until the next call or dwarf_splits_done()
 * Returns 0, -ENODATA when there is no file with a unit of this id, or an error.
 */
int dwarf_split_find(struct dwarf_splits *s, const struct dwarf_unit *skeleton,
    struct dwarf_unit *ret) MUST_CHECK;
void dwarf_splits_done(struct dwarf_splits *s);

/* Where the parts of the unit with this id lie in a package. */
struct package_row {
    uint64_t offsets[9]; /* by enum dwarf_sect; 0: none */
};
/* Look into .debug_cu_index, version 2 or 5. 0, -ENODATA or an error. */
int dwarf_package_find(
    struct dwarf_file *f, uint64_t dwo_id, struct package_row *ret) MUST_CHECK;
