/**
 * Read or skip one attribute value of any form of DWARF 2 to 5.
 */
#pragma once
#include "symbolize/bytes.h"
#include "symbolize/dwarf_abbrev.h"

/* What kind of thing a value is, once its form has been read. Offsets and indexes are
 * not yet resolved: that takes the unit's bases. */
enum dwarf_class {
    DWARF_NONE = 0,
    DWARF_ADDRESS,
    DWARF_ADDRESS_INDEX, /* into .debug_addr */
    DWARF_CONSTANT,
    DWARF_OFFSET,     /* of a section: line program, ranges, bases */
    DWARF_LIST_INDEX, /* rnglistx */
    DWARF_TEXT,       /* in place */
    DWARF_TEXT_OFFSET,
    DWARF_TEXT_LINE_OFFSET, /* .debug_line_str */
    DWARF_TEXT_ALT_OFFSET,  /* the alternate file's .debug_str */
    DWARF_TEXT_INDEX,       /* through .debug_str_offsets */
    DWARF_REF_UNIT,         /* from the start of the unit */
    DWARF_REF_INFO,         /* from the start of .debug_info */
    DWARF_REF_ALT,          /* the alternate file's .debug_info */
    DWARF_REF_TYPE,         /* signature of a type unit */
    DWARF_BLOCK,
};

struct dwarf_value {
    enum dwarf_class class;
    uint64_t u;
    const char *text; /* DWARF_TEXT; borrowed from the section */
};

/* How many bytes a value of @form takes, or -1 when that depends on the value. */
int dwarf_form_fixed_size(uint16_t form, struct dwarf_sizes sizes);

/* Skip one value; an unknown form fails the reader. */
void dwarf_form_skip(struct bytes *r, struct dwarf_sizes sizes, uint16_t form);

/* Read one value; an unknown form fails the reader. */
struct dwarf_value dwarf_form_read(
    struct bytes *r, struct dwarf_sizes sizes, uint16_t form, int64_t implicit);

/* What a value of @form is, when its size is fixed. */
enum dwarf_class dwarf_form_class(uint16_t form);

/* Read one attribute's value, quickly when its size is fixed. */
static inline struct dwarf_value dwarf_attr_read(
    struct bytes *r, struct dwarf_sizes sizes, const struct abbrev_attr *a)
{
    if (a->n_fixed > 0 && a->n_fixed <= 8)
        return (struct dwarf_value){.class = (enum dwarf_class)a->class,
            .u = bytes_uint(r, (unsigned)a->n_fixed, "attribute")};
    return dwarf_form_read(r, sizes, a->form, a->implicit);
}

static inline void dwarf_attr_skip(
    struct bytes *r, struct dwarf_sizes sizes, const struct abbrev_attr *a)
{
    if (a->n_fixed >= 0)
        bytes_skip(r, (uint64_t)a->n_fixed, "attribute");
    else
        dwarf_form_skip(r, sizes, a->form);
}

/* Skip all attributes of a DIE. */
static inline void dwarf_skip_die(struct bytes *r, struct dwarf_sizes sizes,
    const struct abbrev_table *t, const struct abbrev *a)
{
    for (uint32_t i = 0; i < a->n_skips; i++) {
        const struct abbrev_skip *s = &t->skips[a->first_skip + i];
        if (s->n_fixed > r->n - r->at) {
            bytes_fail(r, -EBADMSG, "attributes");
            return;
        }
        r->at += s->n_fixed;
        if (s->form)
            dwarf_form_skip(r, sizes, s->form);
    }
}
