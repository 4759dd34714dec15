/**
 * .debug_abbrev: what a DIE's code stands for, prepared for skipping quickly.
 */
#pragma once
#include "symbolize/bytes.h"
#include "symbolize/cleanup.h"

#include <stdbool.h>
#include <stdint.h>

/* What the walk does with a DIE. */
enum abbrev_kind {
    ABBREV_OTHER,
    ABBREV_TYPE,  /* may hold member functions */
    ABBREV_SCOPE, /* namespace, module */
    ABBREV_FUNCTION,
    ABBREV_INLINED,
};

struct abbrev_attr {
    uint16_t at, form;
    int8_t n_fixed;   /* bytes that the value takes; -1: that varies */
    uint8_t class;    /* enum dwarf_class, when n_fixed is above 0 */
    int64_t implicit; /* DW_FORM_implicit_const */
};

/* One step of skipping: @n_fixed bytes, then one value of @form (0: none). */
struct abbrev_skip {
    uint32_t n_fixed;
    uint16_t form;
};

struct abbrev {
    uint64_t code;
    uint32_t first_attr, n_attrs;
    uint32_t first_skip, n_skips;
    uint16_t tag;
    uint8_t kind; /* enum abbrev_kind */
    bool has_children, has_sibling;
};

struct abbrev_table {
    struct abbrev *abbrevs; /* by code */
    uint32_t n_abbrevs;
    bool dense; /* abbrevs[i].code == i + 1 */
    struct abbrev_attr *attrs;
    struct abbrev_skip *skips;
    uint32_t n_attrs, n_skips;
    uint64_t n_packed; /* bytes of the section that the table took */
};

/* Sizes on which the fixed part of a DIE depends. */
struct dwarf_sizes {
    uint8_t version, address, offset;
};

/**
 * Parse the table at the reader's place; of it only the abbreviation @only, when that is
 * not 0.
 * Errors: -EBADMSG, -E2BIG, -ENOMEM; -EAGAIN when the reader's bytes ended first (there
 * may be more in the section).
 */
int abbrev_table_parse(struct bytes *r, struct dwarf_sizes sizes, uint64_t only,
    struct abbrev_table *ret) MUST_CHECK;
void abbrev_table_done(struct abbrev_table *t);

/* The abbreviation with this code, or NULL. */
const struct abbrev *abbrev_find_sparse(const struct abbrev_table *t, uint64_t code);

static inline const struct abbrev *abbrev_find(
    const struct abbrev_table *t, uint64_t code)
{
    if (t->dense)
        return code - 1 < t->n_abbrevs ? &t->abbrevs[code - 1] : NULL;
    return abbrev_find_sparse(t, code);
}
