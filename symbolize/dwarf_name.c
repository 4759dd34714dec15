#include "symbolize/dwarf_name.h"

#include "symbolize/budget.h"
#include "symbolize/dwarf_const.h"

#include <stdlib.h>

/* References from one DIE to the next: concrete -> abstract -> declaration is three.
 * A bound, so that DIEs that refer to each other are no loop. */
enum { MAX_REFERENCES = 16 };

void unit_keeper_forget(struct unit_keeper *k, const struct dwarf_file *f)
{
    for (unsigned i = 0; i < UNIT_KEEPER_SLOTS; i++) {
        struct dwarf_unit *u = k->slots[i];
        if (!u || (f && u->file != f))
            continue;
        dwarf_unit_done(u);
        free(u);
        k->slots[i] = NULL;
    }
}

void unit_keeper_done(struct unit_keeper *k)
{
    unit_keeper_forget(k, NULL);
}

/* The loaded unit around @offset of @f, kept in @k. A unit in use now may not be thrown
 * out by the next reference: the ring is longer than any chain of references. */
static int kept_unit(struct unit_keeper *k, struct dwarf_file *f, uint64_t offset,
    const struct dwarf_unit **ret)
{
    for (unsigned i = 0; i < UNIT_KEEPER_SLOTS; i++) {
        struct dwarf_unit *u = k->slots[i];
        if (u && u->file == f && offset >= u->offset && offset < u->end) {
            int err = dwarf_unit_load(u); /* its bytes may have been dropped */
            if (err == 0)
                *ret = u;
            return err;
        }
    }
    struct dwarf_unit *u = malloc(sizeof *u);
    if (!u)
        return -ENOMEM;
    int err = budget_time(f->budget);
    if (err == 0)
        err = dwarf_unit_containing(f, offset, u);
    if (err < 0) {
        free(u);
        return err;
    }
    struct dwarf_unit **slot = &k->slots[k->next++ % UNIT_KEEPER_SLOTS];
    if (*slot)
        dwarf_unit_done(*slot);
    free(*slot);
    *slot = u;
    *ret = u;
    return 0;
}

/* What a reference means. */
static int follow(struct dwarf_place from, const struct dwarf_value *v,
    struct unit_keeper *k, struct dwarf_place *ret)
{
    const struct dwarf_unit *u = from.unit;
    struct dwarf_file *f = u->file;
    uint64_t die = v->u;
    switch (v->class) {
    case DWARF_REF_UNIT:
        die += u->offset;
        if (v->u >= u->end - u->offset)
            return -EBADMSG;
        *ret = (struct dwarf_place){u, die};
        return 0;
    case DWARF_REF_INFO:
        if (die >= u->offset && die < u->end) {
            *ret = (struct dwarf_place){u, die};
            return 0;
        }
        break;
    case DWARF_REF_ALT:
        f = f->alt;
        break;
    default:
        return -ENODATA;
    }
    if (!f)
        return -ENODATA;
    int err = kept_unit(k, f, die, &ret->unit);
    if (err == 0)
        ret->die = die;
    return err;
}

struct name_die {
    struct dwarf_value linkage, name, origin, specification;
};

static int read_name_die(struct dwarf_place place, struct name_die *d)
{
    const struct dwarf_unit *u = place.unit;
    struct bytes r = dwarf_unit_reader(u, place.die);
    uint64_t code = bytes_uleb(&r, "DIE");
    const struct abbrev *a = r.err ? NULL : abbrev_find(&u->abbrevs, code);
    if (!a)
        return -EBADMSG;
    for (uint32_t i = 0; i < a->n_attrs && !r.err; i++) {
        const struct abbrev_attr *attr = &u->abbrevs.attrs[a->first_attr + i];
        struct dwarf_value v = dwarf_attr_read(&r, u->sizes, attr);
        switch (attr->at) {
        case DW_AT_LINKAGE_NAME:
        case DW_AT_MIPS_LINKAGE_NAME:
            d->linkage = v;
            break;
        case DW_AT_NAME:
            d->name = v;
            break;
        case DW_AT_ABSTRACT_ORIGIN:
            d->origin = v;
            break;
        case DW_AT_SPECIFICATION:
            d->specification = v;
            break;
        default:
            break;
        }
    }
    return r.err;
}

/* The text of an attribute, unless it is known; NULL where it is not sound. */
static int text_of(
    const struct dwarf_unit *u, const struct dwarf_value *v, const char **text)
{
    if (*text || v->class == DWARF_NONE)
        return 0;
    int err = dwarf_unit_text(u, v, text);
    if (err < 0)
        *text = NULL;
    return budget_fatal(err);
}

int dwarf_name_of(
    struct dwarf_place place, struct unit_keeper *keeper, struct dwarf_name *ret)
{
    struct dwarf_name n = {.declared = place};
    for (int i = 0; i < MAX_REFERENCES; i++) {
        struct name_die d = {0};
        int err = read_name_die(place, &d);
        if (err < 0)
            return err;
        n.declared = place;
        err = text_of(place.unit, &d.linkage, &n.linkage);
        if (err == 0)
            err = text_of(place.unit, &d.name, &n.name);
        if (err < 0)
            return err;
        const struct dwarf_value *next =
            d.specification.class != DWARF_NONE ? &d.specification : &d.origin;
        if (n.linkage || next->class == DWARF_NONE)
            break;
        err = follow(place, next, keeper, &place);
        if (budget_fatal(err))
            return err;
        if (err < 0)
            break;
    }
    if (!n.linkage && !n.name)
        return -ENODATA;
    *ret = n;
    return 0;
}

bool dwarf_language_has_scopes(uint16_t language)
{
    switch (language) {
    case DW_LANG_C_PLUS_PLUS:
    case DW_LANG_C_PLUS_PLUS_03:
    case DW_LANG_C_PLUS_PLUS_11:
    case DW_LANG_C_PLUS_PLUS_14:
    case DW_LANG_C_PLUS_PLUS_17:
    case DW_LANG_C_PLUS_PLUS_20:
    case DW_LANG_C_PLUS_PLUS_23:
    case DW_LANG_OBJC_PLUS_PLUS:
    case DW_LANG_D:
    case DW_LANG_RUST:
        return true;
    default:
        return false;
    }
}
