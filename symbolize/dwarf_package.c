#include "symbolize/dwarf_package.h"

#include "symbolize/dwarf_const.h"

/* What the header of an index says. */
struct package_index {
    uint32_t version, n_columns, n_units, n_slots;
    uint64_t signatures, indexes, columns, offsets; /* places in the section */
};

enum { MAX_COLUMNS = 16, HEAD_BYTES = 16 };

static int read_index(struct section *s, struct package_index *x)
{
    struct bytes r = section_reader(s, 0, HEAD_BYTES);
    x->version = bytes_u32(&r, "index version");
    x->n_columns = bytes_u32(&r, "index columns");
    x->n_units = bytes_u32(&r, "index units");
    x->n_slots = bytes_u32(&r, "index slots");
    if (r.err)
        return r.err;
    /* Version 5 has two bytes of version and two of padding: the same on this order. */
    if (x->version != 2 && x->version != 5)
        return -EPROTONOSUPPORT;
    if (x->n_columns > MAX_COLUMNS || (x->n_slots & (x->n_slots - 1)) != 0 ||
        x->n_slots > s->n / 12)
        return -EBADMSG;
    x->signatures = HEAD_BYTES;
    x->indexes = x->signatures + (uint64_t)x->n_slots * 8;
    x->columns = x->indexes + (uint64_t)x->n_slots * 4;
    x->offsets = x->columns + (uint64_t)x->n_columns * 4;
    return 0;
}

static int read_row(struct section *s, const struct package_index *x, uint32_t row,
    struct package_row *ret)
{
    *ret = (struct package_row){0};
    if (row == 0 || row > x->n_units)
        return -EBADMSG;
    for (uint32_t i = 0; i < x->n_columns; i++) {
        struct bytes c = section_reader(s, x->columns + (uint64_t)i * 4, 4);
        uint32_t kind = bytes_u32(&c, "index column");
        struct bytes o = section_reader(
            s, x->offsets + ((uint64_t)(row - 1) * x->n_columns + i) * 4, 4);
        uint32_t offset = bytes_u32(&o, "index offset");
        if (c.err || o.err)
            return c.err ? c.err : o.err;
        if (kind < sizeof ret->offsets / sizeof *ret->offsets)
            ret->offsets[kind] = offset;
    }
    return 0;
}

int dwarf_package_find(struct dwarf_file *f, uint64_t dwo_id, struct package_row *ret)
{
    struct section *s = &f->sections[DWARF_CU_INDEX];
    struct package_index x;
    int err = s->n ? read_index(s, &x) : -ENODATA;
    if (err < 0)
        return err;
    if (x.n_slots == 0)
        return -ENODATA;
    uint64_t mask = x.n_slots - 1, slot = dwo_id & mask;
    uint64_t step = ((dwo_id >> 32) & mask) | 1;
    for (uint32_t n = 0; n < x.n_slots; n++, slot = (slot + step) & mask) {
        struct bytes i = section_reader(s, x.indexes + slot * 4, 4);
        uint32_t row = bytes_u32(&i, "index row");
        struct bytes g = section_reader(s, x.signatures + slot * 8, 8);
        uint64_t signature = bytes_u64(&g, "index signature");
        if (i.err || g.err)
            return i.err ? i.err : g.err;
        if (row == 0)
            return -ENODATA;
        if (signature == dwo_id)
            return read_row(s, &x, row, ret);
    }
    return -ENODATA;
}
