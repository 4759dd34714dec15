/**
 * The name of a function's DIE, which may be written at the DIE it was made from: in the
 * same unit, in another one (LTO) or in the alternate file (dwz).
 */
#pragma once
#include "symbolize/dwarf_unit.h"

struct dwarf_place {
    const struct dwarf_unit *unit; /* loaded */
    uint64_t die;
};

struct dwarf_name {
    const char *linkage;         /* mangled; NULL: the compiler gave none */
    const char *name;            /* NULL: none */
    struct dwarf_place declared; /* where the name was; its parents are its scope */
};

/* Units that references led to, kept open: the next reference is likely to the same. */
enum { UNIT_KEEPER_SLOTS = 64 };
struct unit_keeper {
    struct dwarf_unit *slots[UNIT_KEEPER_SLOTS];
    unsigned next;
};
void unit_keeper_done(struct unit_keeper *k);
/* Release the units of one file, before another is opened in its place; NULL: all. */
void unit_keeper_forget(struct unit_keeper *k, const struct dwarf_file *f);

/**
 * @place   the DIE; its unit must be loaded
 * @keeper  owns units that were opened on the way; one keeper for one set of files
 * @ret     its strings live as long as their sections' bytes
 * Returns 0, or -ENODATA when there is no name, or an error as from section_need().
 */
int dwarf_name_of(struct dwarf_place place, struct unit_keeper *keeper,
    struct dwarf_name *ret) MUST_CHECK;

/**
 * Namespaces and classes around DIEs, as "a::b".
 *
 * @u        loaded
 * @targets  @n offsets of .debug_info, sorted
 * @found    called for each target that has a scope, with the index of the target
 * Returns 0 or what @found returned, -ENOMEM, -ETIME.
 */
int dwarf_scopes(const struct dwarf_unit *u, const uint64_t *targets, size_t n,
    int (*found)(void *ctx, size_t index, const char *scope), void *ctx) MUST_CHECK;

/* Whether functions of this language have scopes worth saying (C++, D, Rust). */
bool dwarf_language_has_scopes(uint16_t language);
