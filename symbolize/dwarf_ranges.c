#include "symbolize/dwarf_ranges.h"

#include "symbolize/budget.h"
#include "symbolize/dwarf_const.h"
#include "symbolize/elf_file.h"

#include <stdlib.h>

enum {
    ENTRIES_BETWEEN_CLOCKS = 1 << 12,
    RNGLISTS_HEAD_32 = 12,
    RNGLISTS_HEAD_64 = 20,
    ENTRY_BYTES = 24, /* most that one entry takes: a code and two LEB128 or addresses */
};

int range_list_add(struct range_list *l, uint64_t low, uint64_t high)
{
    if (low >= high)
        return 0;
    if (l->n == l->max) {
        size_t max = l->max ? 2 * l->max : 16;
        if (max > RANGES_MAX)
            return -E2BIG;
        struct range *more = realloc(l->ranges, max * sizeof *more);
        if (!more)
            return -ENOMEM;
        l->ranges = more;
        l->max = max;
    }
    l->ranges[l->n++] = (struct range){low, high};
    return 0;
}

static uint64_t highest_address(const struct dwarf_unit *u)
{
    return u->sizes.address == 4 ? UINT32_MAX : UINT64_MAX;
}

static uint64_t base_of(const struct dwarf_unit *u)
{
    const struct dwarf_unit *from = u->skeleton ? u->skeleton : u;
    return from->low_pc;
}

/* .debug_ranges: pairs of addresses; a pair of zeros ends, all ones sets the base. */
static int read_ranges(const struct dwarf_unit *u, uint64_t at, struct range_list *l)
{
    const struct dwarf_unit *from = u->skeleton ? u->skeleton : u;
    struct section *s = &from->file->sections[DWARF_RANGES];
    uint64_t base = base_of(u);
    uint8_t size = u->sizes.address;
    for (uint32_t n = 1;; n++) {
        struct bytes r = section_reader(s, at, 2 * (uint64_t)size);
        uint64_t low = bytes_uint(&r, size, "range"),
                 high = bytes_uint(&r, size, "range");
        if (r.err)
            return r.err;
        if (low == 0 && high == 0)
            return 0;
        if (low == highest_address(u)) {
            base = high;
        } else {
            int err = range_list_add(l, base + low, base + high);
            if (err < 0)
                return err;
        }
        at += 2 * (uint64_t)size;
        int late = n % ENTRIES_BETWEEN_CLOCKS == 0 ? budget_time(u->file->budget) : 0;
        if (late < 0)
            return late;
    }
}

static uint64_t indexed(const struct dwarf_unit *u, struct bytes *r)
{
    uint64_t address = 0, index = bytes_uleb(r, "address index");
    int err = r->err ? r->err : dwarf_unit_address_at(u, index, &address);
    if (err < 0)
        bytes_fail(r, err, "address index");
    return address;
}

/* One entry of .debug_rnglists: 1 to go on, 0 at the end, or an error. */
static int read_rle(
    const struct dwarf_unit *u, struct bytes *r, uint64_t *base, struct range_list *l)
{
    uint64_t low = 0, high = 0;
    switch (bytes_u8(r, "range list entry")) {
    case DW_RLE_END_OF_LIST:
        return r->err;
    case DW_RLE_BASE_ADDRESSX:
        *base = indexed(u, r);
        break;
    case DW_RLE_STARTX_ENDX:
        low = indexed(u, r);
        high = indexed(u, r);
        break;
    case DW_RLE_STARTX_LENGTH:
        low = indexed(u, r);
        high = low + bytes_uleb(r, "range length");
        break;
    case DW_RLE_OFFSET_PAIR:
        low = *base + bytes_uleb(r, "range start");
        high = *base + bytes_uleb(r, "range end");
        break;
    case DW_RLE_BASE_ADDRESS:
        *base = bytes_uint(r, u->sizes.address, "base address");
        break;
    case DW_RLE_START_END:
        low = bytes_uint(r, u->sizes.address, "range start");
        high = bytes_uint(r, u->sizes.address, "range end");
        break;
    case DW_RLE_START_LENGTH:
        low = bytes_uint(r, u->sizes.address, "range start");
        high = low + bytes_uleb(r, "range length");
        break;
    default:
        bytes_fail(r, -EBADMSG, "range list entry");
    }
    if (r->err)
        return r->err;
    int err = range_list_add(l, low, high);
    return err < 0 ? err : 1;
}

static int read_rnglist(const struct dwarf_unit *u, uint64_t at, struct range_list *l)
{
    struct section *s = &u->file->sections[DWARF_RNGLISTS];
    uint64_t base = base_of(u);
    for (uint32_t n = 1;; n++) {
        if (at >= s->n)
            return -EBADMSG;
        uint64_t left = s->n - at;
        struct bytes r = section_reader(s, at, left < ENTRY_BYTES ? left : ENTRY_BYTES);
        int more = read_rle(u, &r, &base, l);
        if (more > 0 && n % ENTRIES_BETWEEN_CLOCKS == 0 &&
            budget_time(u->file->budget) < 0)
            return -ETIME;
        if (more <= 0)
            return more;
        at += r.at;
    }
}

/* The place of list number @index, through the offsets after the table's header. */
static int list_place(const struct dwarf_unit *u, uint64_t index, uint64_t *ret)
{
    struct section *s = &u->file->sections[DWARF_RNGLISTS];
    uint64_t base = u->rnglists_base;
    if (!u->has_rnglists_base)
        base += u->sizes.offset == 8 ? RNGLISTS_HEAD_64 : RNGLISTS_HEAD_32;
    if (index > s->n)
        return -EBADMSG;
    struct bytes r = section_reader(s, base + index * u->sizes.offset, u->sizes.offset);
    uint64_t offset = bytes_uint(&r, u->sizes.offset, "range list offset");
    if (r.err)
        return r.err;
    *ret = base + offset;
    return 0;
}

int dwarf_ranges(const struct dwarf_unit *u, const struct dwarf_value *low_pc,
    const struct dwarf_value *high_pc, const struct dwarf_value *ranges,
    struct range_list *l)
{
    uint64_t low, high;
    if (ranges->class == DWARF_LIST_INDEX) {
        int err = list_place(u, ranges->u, &high);
        return err < 0 ? err : read_rnglist(u, high, l);
    }
    if (ranges->class == DWARF_OFFSET || ranges->class == DWARF_CONSTANT) {
        if (u->sizes.version >= 5)
            return read_rnglist(u, ranges->u, l);
        return read_ranges(
            u, ranges->u + (u->skeleton ? u->skeleton->ranges_base : 0), l);
    }
    int err = dwarf_unit_address(u, low_pc, &low);
    if (err < 0)
        return err == -ENODATA ? 0 : err;
    err = dwarf_unit_address(u, high_pc, &high);
    if (err == -ENODATA && high_pc->class == DWARF_CONSTANT)
        high = low + high_pc->u;
    else if (err < 0)
        return err == -ENODATA ? 0 : err;
    return range_list_add(l, low, high);
}

int dwarf_unit_ranges(const struct dwarf_unit *u, struct range_list *l)
{
    struct dwarf_value low = {
        .class = u->has_low_pc ? DWARF_ADDRESS : DWARF_NONE, .u = u->low_pc};
    return dwarf_ranges(u, &low, &u->high_pc, &u->ranges, l);
}

bool dwarf_may_be_code(const struct dwarf_unit *u, uint64_t at)
{
    const struct elf_file *f = (u->skeleton ? u->skeleton : u)->file->code;
    return !f || elf_file_may_be_code(f, at);
}

void dwarf_ranges_leave_out_dead(const struct dwarf_unit *u, struct range_list *l)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (dwarf_may_be_code(u, l->ranges[i].low))
            l->ranges[n++] = l->ranges[i];
    }
    l->n = n;
}
