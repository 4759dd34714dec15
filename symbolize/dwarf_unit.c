#include "symbolize/dwarf_unit.h"

#include "symbolize/budget.h"
#include "symbolize/dwarf_const.h"

#include <stdlib.h>

enum {
    MAX_HEAD_BYTES = 48, /* of any unit header */
    FIRST_ABBREV_BYTES = 4096,
};

/* Read an offset of the unit's size. */
static uint64_t read_offset(struct bytes *r, uint8_t n, const char *what)
{
    return bytes_uint(r, n, what);
}

static void read_head(struct bytes *r, struct dwarf_unit *u)
{
    uint16_t version = bytes_u16(r, "version");
    if (r->err || version < 2 || version > 5) {
        bytes_fail(r, -EPROTONOSUPPORT, "version");
        return;
    }
    u->sizes.version = (uint8_t)version;
    if (u->sizes.version < 5) {
        u->type = DW_UT_COMPILE;
        u->abbrev_offset = read_offset(r, u->sizes.offset, "abbreviations");
        u->sizes.address = bytes_u8(r, "address size");
        return;
    }
    u->type = bytes_u8(r, "unit type");
    u->sizes.address = bytes_u8(r, "address size");
    u->abbrev_offset = read_offset(r, u->sizes.offset, "abbreviations");
    if (u->type == DW_UT_SKELETON || u->type == DW_UT_SPLIT_COMPILE) {
        u->dwo_id = bytes_u64(r, "unit id");
        u->has_dwo_id = true;
    } else if (u->type == DW_UT_TYPE || u->type == DW_UT_SPLIT_TYPE) {
        (void)bytes_u64(r, "type signature");
        (void)read_offset(r, u->sizes.offset, "type offset");
    }
}

int dwarf_unit_head(struct dwarf_file *f, uint64_t offset, struct dwarf_unit *ret)
{
    struct section *info = &f->sections[DWARF_INFO];
    if (offset >= info->n)
        return -EBADMSG;
    uint64_t left = info->n - offset;
    struct bytes r =
        section_reader(info, offset, left < MAX_HEAD_BYTES ? left : MAX_HEAD_BYTES);
    struct dwarf_unit u = {.file = f, .offset = offset};
    uint64_t n = bytes_u32(&r, "unit length");
    u.sizes.offset = 4;
    if (n == 0xffffffffu) {
        u.sizes.offset = 8;
        n = bytes_u64(&r, "unit length");
    } else if (n >= 0xfffffff0u) {
        bytes_fail(&r, -EBADMSG, "unit length");
    }
    if (r.err)
        return r.err;
    if (n > left - r.at)
        return -EBADMSG;
    u.end = offset + r.at + n;
    read_head(&r, &u);
    u.first_die = offset + r.at;
    if (r.err == 0 && u.sizes.address != 4 && u.sizes.address != 8)
        bytes_fail(&r, -EBADMSG, "address size");
    if (r.err == 0 && u.first_die > u.end)
        bytes_fail(&r, -EBADMSG, "unit length");
    *ret = u;
    return r.err;
}

/* Parse the abbreviations at @u's place, or @only one, in growing windows: where the
 * table ends shows only when it has been read. */
static int read_abbrevs(struct dwarf_unit *u, uint64_t only, struct abbrev_table *ret)
{
    struct section *s = &u->file->sections[DWARF_ABBREV];
    if (u->abbrev_offset >= s->n)
        return -EBADMSG;
    uint64_t left = s->n - u->abbrev_offset;
    for (uint64_t n = FIRST_ABBREV_BYTES;; n *= 4) {
        n = n < left ? n : left;
        struct bytes r = section_reader(s, u->abbrev_offset, n);
        if (r.err)
            return r.err;
        int err = abbrev_table_parse(&r, u->sizes, only, ret);
        if (err != -EAGAIN)
            return err;
        if (n == left)
            return -EBADMSG;
    }
}

static void take_attr(
    struct dwarf_unit *u, uint16_t at, struct dwarf_value v, struct dwarf_value *low_pc)
{
    switch (at) {
    case DW_AT_NAME:
        u->name = v;
        break;
    case DW_AT_COMP_DIR:
        u->comp_dir = v;
        break;
    case DW_AT_LANGUAGE:
        u->language = (uint16_t)v.u;
        break;
    case DW_AT_LOW_PC:
        *low_pc = v;
        break;
    case DW_AT_HIGH_PC:
        u->high_pc = v;
        break;
    case DW_AT_RANGES:
        u->ranges = v;
        break;
    case DW_AT_STMT_LIST:
        u->has_line = true;
        u->line_offset = v.u;
        break;
    case DW_AT_STR_OFFSETS_BASE:
        u->str_offsets_base = v.u;
        break;
    case DW_AT_ADDR_BASE:
    case DW_AT_GNU_ADDR_BASE:
        u->addr_base = v.u;
        break;
    case DW_AT_RNGLISTS_BASE:
        u->rnglists_base = v.u;
        u->has_rnglists_base = true;
        break;
    case DW_AT_GNU_RANGES_BASE:
        u->ranges_base = v.u;
        break;
    case DW_AT_DWO_NAME:
    case DW_AT_GNU_DWO_NAME:
        u->dwo_name = v;
        break;
    case DW_AT_GNU_DWO_ID:
        u->dwo_id = v.u;
        u->has_dwo_id = true;
        break;
    default:
        break;
    }
}

/* Read the attributes of the unit's DIE from @r, with @t holding its abbreviation. */
static int read_die(struct dwarf_unit *u, struct bytes *r, const struct abbrev_table *t)
{
    struct dwarf_value low_pc = {0};
    const struct abbrev *a = abbrev_find(t, bytes_uleb(r, "unit DIE"));
    if (!a)
        return -EBADMSG;
    u->tag = a->tag;
    for (uint32_t i = 0; i < a->n_attrs && !r->err; i++) {
        const struct abbrev_attr *attr = &t->attrs[a->first_attr + i];
        take_attr(u, attr->at, dwarf_form_read(r, u->sizes, attr->form, attr->implicit),
            &low_pc);
    }
    if (r->err)
        return r->err;
    int err = dwarf_unit_address(u, &low_pc, &u->low_pc);
    u->has_low_pc = err == 0;
    return err == -ENODATA ? 0 : err;
}

int dwarf_unit_open(struct dwarf_unit *u)
{
    struct section *info = &u->file->sections[DWARF_INFO];
    struct bytes r = {0};
    /* The unit's DIE is short; a long one (a string in place) is read again in full. */
    uint64_t n = u->end - u->first_die;
    int err = section_need(info, u->first_die, n < 512 ? n : 512);
    if (err < 0)
        return err;
    r = bytes_of(info->bytes, (size_t)(u->first_die + (n < 512 ? n : 512)));
    r.at = (size_t)u->first_die;
    uint64_t code = bytes_uleb(&r, "unit DIE");
    r.at = (size_t)u->first_die;
    struct abbrev_table t;
    if (r.err || code == 0)
        return -EBADMSG;
    /* The tables' headers come before their first entry. A split unit has no attribute
     * that says so; in others the attribute comes after its first use. */
    if (u->str_offsets_base == 0 && u->sizes.version >= 5)
        u->str_offsets_base = u->sizes.offset == 8 ? 16 : 8;
    if (u->addr_base == 0 && u->sizes.version >= 5)
        u->addr_base = u->sizes.offset == 8 ? 16 : 8;
    err = read_abbrevs(u, code, &t);
    if (err < 0)
        return err;
    err = read_die(u, &r, &t);
    if (err == -EBADMSG && n > 512) {
        err = section_need(info, u->first_die, n);
        r = dwarf_unit_reader(u, u->first_die);
        if (err == 0)
            err = read_die(u, &r, &t);
    }
    abbrev_table_done(&t);
    return err;
}

int dwarf_unit_load(struct dwarf_unit *u)
{
    struct section *info = &u->file->sections[DWARF_INFO];
    int err = section_need(info, u->offset, u->end - u->offset);
    if (err < 0 || u->loaded)
        return err;
    err = read_abbrevs(u, 0, &u->abbrevs);
    u->loaded = err == 0;
    return err;
}

void dwarf_unit_done(struct dwarf_unit *u)
{
    abbrev_table_done(&u->abbrevs);
    u->loaded = false;
}

struct bytes dwarf_unit_reader(const struct dwarf_unit *u, uint64_t at)
{
    struct bytes r = bytes_of(u->file->sections[DWARF_INFO].bytes, (size_t)u->end);
    if (at < u->offset)
        bytes_fail(&r, -EBADMSG, "reference outside its unit");
    else
        bytes_seek(&r, at, "reference outside its unit");
    return r;
}

/* Element @index of a table of @size-byte numbers that begins at @base. */
static int table_entry(
    struct section *s, uint64_t base, uint64_t index, uint8_t size, uint64_t *ret)
{
    if (index > s->n / size || base > s->n)
        return -EBADMSG;
    struct bytes r = section_reader(s, base + index * size, size);
    uint64_t v = bytes_uint(&r, size, "table entry");
    if (r.err)
        return r.err;
    *ret = v;
    return 0;
}

int dwarf_unit_text(
    const struct dwarf_unit *u, const struct dwarf_value *v, const char **ret)
{
    struct dwarf_file *f = u->file;
    uint64_t offset = v->u;
    switch (v->class) {
    case DWARF_TEXT:
        *ret = v->text;
        return 0;
    case DWARF_TEXT_LINE_OFFSET:
        return section_string(&f->sections[DWARF_LINE_STR], offset, ret);
    case DWARF_TEXT_ALT_OFFSET:
        if (!f->alt)
            return -ENODATA;
        return section_string(&f->alt->sections[DWARF_STR], offset, ret);
    case DWARF_TEXT_INDEX: {
        int err = table_entry(&f->sections[DWARF_STR_OFFSETS], u->str_offsets_base, v->u,
            u->sizes.offset, &offset);
        return err < 0 ? err : section_string(&f->sections[DWARF_STR], offset, ret);
    }
    case DWARF_TEXT_OFFSET:
        return section_string(&f->sections[DWARF_STR], offset, ret);
    default:
        return -ENODATA;
    }
}

int dwarf_unit_address_at(const struct dwarf_unit *u, uint64_t index, uint64_t *ret)
{
    const struct dwarf_unit *from = u->skeleton ? u->skeleton : u;
    return table_entry(
        &from->file->sections[DWARF_ADDR], from->addr_base, index, u->sizes.address, ret);
}

int dwarf_unit_address(
    const struct dwarf_unit *u, const struct dwarf_value *v, uint64_t *ret)
{
    if (v->class == DWARF_ADDRESS) {
        *ret = v->u;
        return 0;
    }
    if (v->class == DWARF_ADDRESS_INDEX)
        return dwarf_unit_address_at(u, v->u, ret);
    return -ENODATA;
}
