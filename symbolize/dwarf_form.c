#include "symbolize/dwarf_form.h"

#include "symbolize/dwarf_const.h"

/* Indirections of DW_FORM_indirect that a value may have: producers use one at most. */
enum { MAX_INDIRECT = 4 };

int dwarf_form_fixed_size(uint16_t form, struct dwarf_sizes sizes)
{
    switch (form) {
    case DW_FORM_FLAG_PRESENT:
    case DW_FORM_IMPLICIT_CONST:
        return 0;
    case DW_FORM_DATA1:
    case DW_FORM_FLAG:
    case DW_FORM_REF1:
    case DW_FORM_STRX1:
    case DW_FORM_ADDRX1:
        return 1;
    case DW_FORM_DATA2:
    case DW_FORM_REF2:
    case DW_FORM_STRX2:
    case DW_FORM_ADDRX2:
        return 2;
    case DW_FORM_STRX3:
    case DW_FORM_ADDRX3:
        return 3;
    case DW_FORM_DATA4:
    case DW_FORM_REF4:
    case DW_FORM_STRX4:
    case DW_FORM_ADDRX4:
    case DW_FORM_REF_SUP4:
        return 4;
    case DW_FORM_DATA8:
    case DW_FORM_REF8:
    case DW_FORM_REF_SIG8:
    case DW_FORM_REF_SUP8:
        return 8;
    case DW_FORM_DATA16:
        return 16;
    case DW_FORM_ADDR:
        return sizes.address;
    case DW_FORM_REF_ADDR: /* an address in DWARF 2, an offset since */
        return sizes.version <= 2 ? sizes.address : sizes.offset;
    case DW_FORM_STRP:
    case DW_FORM_SEC_OFFSET:
    case DW_FORM_STRP_SUP:
    case DW_FORM_LINE_STRP:
    case DW_FORM_GNU_REF_ALT:
    case DW_FORM_GNU_STRP_ALT:
        return sizes.offset;
    default:
        return -1;
    }
}

void dwarf_form_skip(struct bytes *r, struct dwarf_sizes sizes, uint16_t form)
{
    int n;
    switch (form) {
    case DW_FORM_EXPRLOC:
    case DW_FORM_BLOCK:
        bytes_skip(r, bytes_uleb(r, "block size"), "block");
        break;
    case DW_FORM_SDATA:
    case DW_FORM_UDATA:
    case DW_FORM_REF_UDATA:
    case DW_FORM_STRX:
    case DW_FORM_ADDRX:
    case DW_FORM_LOCLISTX:
    case DW_FORM_RNGLISTX:
    case DW_FORM_GNU_ADDR_INDEX:
    case DW_FORM_GNU_STR_INDEX:
        (void)bytes_uleb(r, "attribute");
        break;
    default:
        n = dwarf_form_fixed_size(form, sizes);
        if (n >= 0)
            bytes_skip(r, (uint64_t)n, "attribute");
        else
            (void)dwarf_form_read(r, sizes, form, 0);
    }
}

static struct dwarf_value read_block(struct bytes *r, uint64_t n)
{
    bytes_skip(r, n, "block");
    return (struct dwarf_value){.class = DWARF_BLOCK, .u = n};
}

/* Forms whose value has no fixed size. */
static struct dwarf_value read_variable(
    struct bytes *r, struct dwarf_sizes sizes, uint16_t form)
{
    struct dwarf_value v = {0};
    for (int i = 0; form == DW_FORM_INDIRECT; i++) {
        uint64_t next = bytes_uleb(r, "indirect form");
        if (r->err || i == MAX_INDIRECT || next > UINT16_MAX ||
            next == DW_FORM_IMPLICIT_CONST) {
            bytes_fail(r, -EBADMSG, "indirect form");
            return v;
        }
        form = (uint16_t)next;
        if (form != DW_FORM_INDIRECT)
            return dwarf_form_read(r, sizes, form, 0);
    }
    switch (form) {
    case DW_FORM_BLOCK1:
        return read_block(r, bytes_u8(r, "block size"));
    case DW_FORM_BLOCK2:
        return read_block(r, bytes_u16(r, "block size"));
    case DW_FORM_BLOCK4:
        return read_block(r, bytes_u32(r, "block size"));
    case DW_FORM_BLOCK:
    case DW_FORM_EXPRLOC:
        return read_block(r, bytes_uleb(r, "block size"));
    case DW_FORM_STRING:
        v.class = DWARF_TEXT;
        v.text = bytes_string(r, "string");
        return v;
    case DW_FORM_SDATA:
        v.class = DWARF_CONSTANT;
        v.u = (uint64_t)bytes_sleb(r, "constant");
        return v;
    case DW_FORM_UDATA:
        v.class = DWARF_CONSTANT;
        break;
    case DW_FORM_REF_UDATA:
        v.class = DWARF_REF_UNIT;
        break;
    case DW_FORM_STRX:
    case DW_FORM_GNU_STR_INDEX:
        v.class = DWARF_TEXT_INDEX;
        break;
    case DW_FORM_ADDRX:
    case DW_FORM_GNU_ADDR_INDEX:
        v.class = DWARF_ADDRESS_INDEX;
        break;
    case DW_FORM_RNGLISTX:
        v.class = DWARF_LIST_INDEX;
        break;
    case DW_FORM_LOCLISTX:
        v.class = DWARF_BLOCK;
        break;
    default:
        bytes_fail(r, -EBADMSG, "unknown form");
        return v;
    }
    v.u = bytes_uleb(r, "attribute");
    return v;
}

enum dwarf_class dwarf_form_class(uint16_t form)
{
    switch (form) {
    case DW_FORM_ADDR:
        return DWARF_ADDRESS;
    case DW_FORM_ADDRX1:
    case DW_FORM_ADDRX2:
    case DW_FORM_ADDRX3:
    case DW_FORM_ADDRX4:
        return DWARF_ADDRESS_INDEX;
    case DW_FORM_STRX1:
    case DW_FORM_STRX2:
    case DW_FORM_STRX3:
    case DW_FORM_STRX4:
        return DWARF_TEXT_INDEX;
    case DW_FORM_STRP:
        return DWARF_TEXT_OFFSET;
    case DW_FORM_LINE_STRP:
        return DWARF_TEXT_LINE_OFFSET;
    case DW_FORM_STRP_SUP:
    case DW_FORM_GNU_STRP_ALT:
        return DWARF_TEXT_ALT_OFFSET;
    case DW_FORM_REF1:
    case DW_FORM_REF2:
    case DW_FORM_REF4:
    case DW_FORM_REF8:
        return DWARF_REF_UNIT;
    case DW_FORM_REF_ADDR:
        return DWARF_REF_INFO;
    case DW_FORM_REF_SUP4:
    case DW_FORM_REF_SUP8:
    case DW_FORM_GNU_REF_ALT:
        return DWARF_REF_ALT;
    case DW_FORM_REF_SIG8:
        return DWARF_REF_TYPE;
    case DW_FORM_SEC_OFFSET:
        return DWARF_OFFSET;
    default:
        return DWARF_CONSTANT;
    }
}

struct dwarf_value dwarf_form_read(
    struct bytes *r, struct dwarf_sizes sizes, uint16_t form, int64_t implicit)
{
    int n = dwarf_form_fixed_size(form, sizes);
    if (n < 0)
        return read_variable(r, sizes, form);
    if (form == DW_FORM_IMPLICIT_CONST)
        return (struct dwarf_value){.class = DWARF_CONSTANT, .u = (uint64_t)implicit};
    if (form == DW_FORM_FLAG_PRESENT)
        return (struct dwarf_value){.class = DWARF_CONSTANT, .u = 1};
    if (form == DW_FORM_DATA16)
        return read_block(r, 16);
    return (struct dwarf_value){
        .class = dwarf_form_class(form), .u = bytes_uint(r, (unsigned)n, "attribute")};
}
