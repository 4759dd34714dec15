#include "symbolize/dwarf_abbrev.h"

#include "symbolize/dwarf_const.h"
#include "symbolize/dwarf_form.h"

#include <stdlib.h>

enum {
    MAX_ABBREVS = 1 << 20,
    MAX_ATTRS = 1 << 22,
};

static uint8_t kind_of(uint64_t tag)
{
    switch (tag) {
    case DW_TAG_SUBPROGRAM:
        return ABBREV_FUNCTION;
    case DW_TAG_INLINED_SUBROUTINE:
        return ABBREV_INLINED;
    case DW_TAG_NAMESPACE:
    case DW_TAG_MODULE:
        return ABBREV_SCOPE;
    case DW_TAG_STRUCTURE_TYPE:
    case DW_TAG_CLASS_TYPE:
    case DW_TAG_UNION_TYPE:
    case DW_TAG_ENUMERATION_TYPE:
    case DW_TAG_INTERFACE_TYPE:
        return ABBREV_TYPE;
    default:
        return ABBREV_OTHER;
    }
}

/* Room for one more element; doubles. */
static int grow(void **array, uint32_t n, uint32_t *max, size_t size, uint32_t limit)
{
    if (n < *max)
        return 0;
    if (n >= limit)
        return -E2BIG;
    uint32_t more = *max ? 2 * *max : 64;
    void *p = realloc(*array, more * size);
    if (!p)
        return -ENOMEM;
    *array = p;
    *max = more;
    return 0;
}

struct parse {
    struct abbrev_table t;
    struct dwarf_sizes sizes;
    uint32_t max_abbrevs, max_attrs, max_skips;
    uint64_t only;
};

/* Add one attribute to the steps that skip @a. */
static int add_skip(struct parse *p, struct abbrev *a, uint16_t form, int n)
{
    struct abbrev_skip *last = a->n_skips ? &p->t.skips[p->t.n_skips - 1] : NULL;
    if (n == 0)
        return 0;
    if (!last || last->form) {
        int err = grow((void **)&p->t.skips, p->t.n_skips, &p->max_skips,
            sizeof *p->t.skips, MAX_ATTRS);
        if (err < 0)
            return err;
        last = &p->t.skips[p->t.n_skips++];
        *last = (struct abbrev_skip){0};
        a->n_skips++;
    }
    if (n > 0)
        last->n_fixed += (uint32_t)n;
    else
        last->form = form;
    return 0;
}

/* The attributes of one abbreviation, up to the pair of zeros. */
static int parse_attrs(struct parse *p, struct bytes *r, struct abbrev *a)
{
    for (;;) {
        uint64_t at = bytes_uleb(r, "attribute"), form = bytes_uleb(r, "form");
        if (r->err)
            return -EAGAIN;
        if (!at && !form)
            return 0;
        if (form > UINT16_MAX)
            return -EBADMSG;
        int64_t implicit =
            form == DW_FORM_IMPLICIT_CONST ? bytes_sleb(r, "implicit constant") : 0;
        int err = grow((void **)&p->t.attrs, p->t.n_attrs, &p->max_attrs,
            sizeof *p->t.attrs, MAX_ATTRS);
        int n_fixed = dwarf_form_fixed_size((uint16_t)form, p->sizes);
        if (err == 0)
            err = add_skip(p, a, (uint16_t)form, n_fixed);
        if (err < 0)
            return err;
        p->t.attrs[p->t.n_attrs++] =
            (struct abbrev_attr){.at = at > UINT16_MAX ? 0 : (uint16_t)at,
                .form = (uint16_t)form,
                .n_fixed = (int8_t)n_fixed,
                .class = (uint8_t)dwarf_form_class((uint16_t)form),
                .implicit = implicit};
        a->n_attrs++;
        a->has_sibling |= at == DW_AT_SIBLING;
    }
}

/* Go to the end of an abbreviation that is not asked for: false without one. */
static bool pass_attrs(struct bytes *r)
{
    for (;;) {
        const uint8_t *p = r->base + r->at;
        if (r->n - r->at >= 2 && !((p[0] | p[1]) & 0x80) &&
            p[1] != DW_FORM_IMPLICIT_CONST) {
            r->at += 2; /* nearly all are of one byte */
            if (!p[0] && !p[1])
                return true;
            continue;
        }
        uint64_t at = bytes_uleb(r, "attribute"), form = bytes_uleb(r, "form");
        if (form == DW_FORM_IMPLICIT_CONST)
            (void)bytes_sleb(r, "implicit constant");
        if (r->err || (!at && !form))
            return !r->err;
    }
}

static int parse_all(struct parse *p, struct bytes *r)
{
    for (;;) {
        uint64_t code = bytes_uleb(r, "abbreviation code");
        if (r->err)
            return -EAGAIN;
        if (!code)
            return 0;
        uint64_t tag = bytes_uleb(r, "tag");
        uint8_t children = bytes_u8(r, "children flag");
        if (r->err)
            return -EAGAIN;
        if (p->only && code != p->only) {
            if (!pass_attrs(r))
                return -EAGAIN;
            continue;
        }
        struct abbrev a = {.code = code,
            .tag = tag > UINT16_MAX ? 0 : (uint16_t)tag,
            .kind = kind_of(tag),
            .has_children = children != 0,
            .first_attr = p->t.n_attrs,
            .first_skip = p->t.n_skips};
        int err = parse_attrs(p, r, &a);
        if (err == 0)
            err = grow((void **)&p->t.abbrevs, p->t.n_abbrevs, &p->max_abbrevs,
                sizeof *p->t.abbrevs, MAX_ABBREVS);
        if (err < 0)
            return err;
        p->t.abbrevs[p->t.n_abbrevs++] = a;
        if (p->only)
            return 0;
    }
}

static int by_code(const void *a, const void *b)
{
    const struct abbrev *x = a, *y = b;
    return x->code < y->code ? -1 : x->code > y->code;
}

int abbrev_table_parse(
    struct bytes *r, struct dwarf_sizes sizes, uint64_t only, struct abbrev_table *ret)
{
    struct parse p = {.sizes = sizes, .only = only};
    size_t start = r->at;
    int err = parse_all(&p, r);
    if (err < 0) {
        abbrev_table_done(&p.t);
        return err;
    }
    p.t.n_packed = r->at - start;
    p.t.dense = true;
    for (uint32_t i = 0; i < p.t.n_abbrevs; i++)
        p.t.dense &= p.t.abbrevs[i].code == i + 1;
    if (!p.t.dense)
        qsort(p.t.abbrevs, p.t.n_abbrevs, sizeof *p.t.abbrevs, by_code);
    *ret = p.t;
    return 0;
}

void abbrev_table_done(struct abbrev_table *t)
{
    free(t->abbrevs);
    free(t->attrs);
    free(t->skips);
    *t = (struct abbrev_table){0};
}

const struct abbrev *abbrev_find_sparse(const struct abbrev_table *t, uint64_t code)
{
    uint32_t low = 0, high = t->n_abbrevs;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t->abbrevs[middle].code < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < t->n_abbrevs && t->abbrevs[low].code == code ? &t->abbrevs[low] : NULL;
}
