/**
 * The DWARF sections of one file, and the units of its .debug_info.
 */
#pragma once
#include "symbolize/dwarf_form.h"
#include "symbolize/section.h"

struct budget;
struct elf_file;

enum dwarf_section {
    DWARF_INFO,
    DWARF_ABBREV,
    DWARF_LINE,
    DWARF_STR,
    DWARF_LINE_STR,
    DWARF_STR_OFFSETS,
    DWARF_ADDR,
    DWARF_RANGES,
    DWARF_RNGLISTS,
    DWARF_CU_INDEX,
    DWARF_N_SECTIONS,
};

/* Where a header lies, so that a reference into .debug_info finds its unit. */
struct unit_place {
    uint64_t offset, end;
};

struct dwarf_file {
    const struct elf_file *elf;
    const struct elf_file *code; /* borrowed; whose segments tell where code is, of the
                                  * module, not of a .dwo. NULL: nobody knows */
    struct budget *budget;
    struct section sections[DWARF_N_SECTIONS];
    bool split;             /* a .dwo or .dwp: sections are called .debug_*.dwo */
    struct dwarf_file *alt; /* dwz alternate file; borrowed, NULL: none */
    struct unit_place *places;
    size_t n_places, max_places;
    bool places_complete;
    bool keep_info; /* units refer to each other: what was unpacked is not dropped */
};

/**
 * Find the DWARF sections; nothing is read yet.
 *
 * @elf, @budget  must outlive @ret
 * Returns 1 when there is .debug_info, 0 when not, or a negative errno as from
 * section_open(). Release with dwarf_file_done(), which accepts a zeroed one.
 */
int dwarf_file_open(const struct elf_file *elf, bool split, struct budget *budget,
    struct dwarf_file *ret) MUST_CHECK;
void dwarf_file_done(struct dwarf_file *f);

struct dwarf_unit {
    struct dwarf_file *file;
    uint64_t offset, end, first_die; /* in .debug_info */
    struct dwarf_sizes sizes;
    uint8_t type; /* enum dwarf_unit_type */
    uint16_t tag; /* of the unit's DIE */
    uint16_t language;
    uint64_t abbrev_offset;
    struct abbrev_table abbrevs;
    bool loaded; /* abbrevs complete and all bytes present */

    /* Where the unit's tables begin in their sections. */
    uint64_t str_offsets_base, addr_base, rnglists_base, ranges_base, line_base;
    bool has_rnglists_base;

    bool has_low_pc, has_line;
    uint64_t low_pc, line_offset;
    struct dwarf_value name, comp_dir, high_pc, ranges, dwo_name;
    uint64_t dwo_id;
    bool has_dwo_id;
    const struct dwarf_unit *skeleton; /* of a split unit: has .debug_addr and lines */
};

/**
 * Read the header at @offset. The next unit begins at ret->end.
 * Errors: -EBADMSG, or what section_need() said; -EPROTONOSUPPORT for a version not in
 * 2..5, with ret->end set.
 */
int dwarf_unit_head(
    struct dwarf_file *f, uint64_t offset, struct dwarf_unit *ret) MUST_CHECK;

/* Read the unit's own DIE. Errors as above, and -ENOMEM. */
int dwarf_unit_open(struct dwarf_unit *u) MUST_CHECK;

/* Make the whole unit readable and its abbreviations complete. */
int dwarf_unit_load(struct dwarf_unit *u) MUST_CHECK;
void dwarf_unit_done(struct dwarf_unit *u);

/* The unit that @offset of .debug_info lies in, opened and loaded. -ENODATA: none. */
int dwarf_unit_containing(
    struct dwarf_file *f, uint64_t offset, struct dwarf_unit *ret) MUST_CHECK;

/* A reader whose places are offsets of .debug_info, ending with the (loaded) unit. */
struct bytes dwarf_unit_reader(const struct dwarf_unit *u, uint64_t at);

/* The string of a value: 0, -ENODATA when it is none, or an error. @ret lives as long as
 * the bytes of its section. */
int dwarf_unit_text(
    const struct dwarf_unit *u, const struct dwarf_value *v, const char **ret) MUST_CHECK;

/* The address of a value: 0, -ENODATA when it is none, or an error. */
int dwarf_unit_address(
    const struct dwarf_unit *u, const struct dwarf_value *v, uint64_t *ret) MUST_CHECK;

/* The .debug_addr entry with this index. */
int dwarf_unit_address_at(
    const struct dwarf_unit *u, uint64_t index, uint64_t *ret) MUST_CHECK;
