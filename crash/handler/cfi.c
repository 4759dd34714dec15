#include "crash/handler/cfi.h"

#include "crash/handler/bytes.h"
#include "crash/handler/expression.h"
#include <string.h>

#include "crash/handler/poison.h"

enum {
    MAX_AUGMENTATION_BYTES = 8,
    MAX_REMEMBERED = 4,
    MAX_INSTRUCTIONS = 4096,
    N_KEPT = 16,
    /* Encodings of pointers: LSB 5.0, 10.5.1 */
    ENCODED_ABSOLUTE = 0x00,
    ENCODED_ULEB = 0x01,
    ENCODED_SLEB = 0x09,
    ENCODED_SIGNED = 0x08,
    ENCODED_RELATIVE_TO_PC = 0x10,
    ENCODED_APPLICATION = 0x70,
    ENCODED_OMIT = 0xff,
};

/* How to find the caller's value of a register. */
enum rule_how {
    RULE_SAME = 0, /* also where nothing is said: it is then not asked for */
    RULE_UNDEFINED,
    RULE_AT,         /* at CFA + value */
    RULE_IS,         /* CFA + value */
    RULE_REGISTER,   /* in register value */
    RULE_EXPRESSION, /* at what the expression at value says */
    RULE_VALUE,      /* what the expression at value says */
};
struct rule {
    uint64_t value;
    uint32_t n_expression; /* bytes */
    uint32_t how;          /* enum rule_how */
};

/* The rules at one pc. */
struct row {
    struct rule cfa; /* RULE_IS: register n_expression plus value, or RULE_VALUE */
    struct rule registers[KN_N_REGISTERS];
};

struct cie {
    uint64_t code_align, data_align;
    uint64_t program, end;
    uint32_t return_register;
    uint8_t pointers;  /* encoding of those in its FDEs */
    bool has_data;     /* FDEs have an augmentation of their own */
    bool signal_frame; /* a return to it is no call's */
};

/* Rows found lately: a recursion asks for the same ones again and again. */
static struct kept {
    uint64_t pc; /* 0: free */
    uint32_t return_register;
    bool signal_frame;
    struct row row;
} kept[N_KEPT];

/* One walk at a time; rows are too large for the handler's stack. */
static struct row initial, remembered[MAX_REMEMBERED];

void kn_cfi_forget(void)
{
    for (unsigned i = 0; i < N_KEPT; i++)
        kept[i].pc = 0;
}

static uint64_t read_pointer(struct kn_bytes *b, uint8_t encoding)
{
    uint64_t from = b->at, v;
    unsigned format = encoding & 0x0f, relative = encoding & ENCODED_APPLICATION;
    static const uint8_t sizes[8] = {8, 0, 2, 4, 8, 0, 0, 0};
    if (format == ENCODED_ULEB || format == ENCODED_SLEB)
        v = kn_bytes_leb(b, format == ENCODED_SLEB);
    else if (sizes[format & 7])
        v = format & ENCODED_SIGNED ? kn_bytes_signed(b, sizes[format & 7])
                                    : kn_bytes_fixed(b, sizes[format & 7]);
    else
        v = 0, b->bad = true;
    if (relative == ENCODED_RELATIVE_TO_PC)
        v += from;
    else if (relative != ENCODED_ABSOLUTE)
        b->bad = true;
    return v;
}

/* The FDE for @pc by the sorted table behind .eh_frame_hdr's head; 0: none. */
static uint64_t find_fde(const struct kn_module *m, uint64_t pc)
{
    uint64_t low = 0, high = m->n_unwind;
    if (high > m->size / 8)
        return 0;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        int32_t start;
        if (!kn_memory_copy(&start, m->unwind_table + middle * 8, sizeof start))
            return 0;
        if (m->unwind_base + (uint64_t)(int64_t)start <= pc)
            low = middle + 1;
        else
            high = middle;
    }
    int32_t fde;
    if (!low || !kn_memory_copy(&fde, m->unwind_table + (low - 1) * 8 + 4, sizeof fde))
        return 0;
    return m->unwind_base + (uint64_t)(int64_t)fde;
}

static bool in_module(const struct kn_module *m, const struct kn_bytes *b)
{
    return b->at >= m->base && b->end >= b->at && b->end - m->base <= m->size;
}

/* An entry's bytes behind its length. */
static bool open_entry(const struct kn_module *m, uint64_t at, struct kn_bytes *ret)
{
    uint32_t n;
    if (!kn_memory_copy(&n, at, sizeof n) || !n || n >= 0xfffffff0u)
        return false;
    *ret = (struct kn_bytes){.at = at + sizeof n, .end = at + sizeof n + n};
    return in_module(m, ret);
}

static bool read_cie(const struct kn_module *m, uint64_t at, struct cie *ret)
{
    struct kn_bytes b;
    char augmentation[MAX_AUGMENTATION_BYTES] = {0};
    unsigned n = 0;
    if (!open_entry(m, at, &b))
        return false;
    uint64_t id = kn_bytes_fixed(&b, 4), version = kn_bytes_fixed(&b, 1);
    if (id || (version != 1 && version != 3))
        return false;
    while ((augmentation[n] = (char)kn_bytes_fixed(&b, 1))) {
        if (++n == MAX_AUGMENTATION_BYTES)
            return false;
    }
    *ret = (struct cie){.end = b.end, .pointers = ENCODED_ABSOLUTE};
    ret->code_align = kn_bytes_leb(&b, false);
    ret->data_align = kn_bytes_leb(&b, true);
    ret->return_register =
        (uint32_t)(version == 1 ? kn_bytes_fixed(&b, 1) : kn_bytes_leb(&b, false));
    if (n && augmentation[0] != 'z')
        return false;
    ret->has_data = n != 0;
    uint64_t n_data = n ? kn_bytes_leb(&b, false) : 0;
    ret->program = b.at + n_data;
    for (unsigned i = 1; i < n; i++) {
        uint8_t encoding;
        switch (augmentation[i]) {
        case 'R':
            ret->pointers = (uint8_t)kn_bytes_fixed(&b, 1);
            break;
        case 'P':
            encoding = (uint8_t)kn_bytes_fixed(&b, 1);
            (void)read_pointer(&b, encoding & 0x0f);
            break;
        case 'L':
            (void)kn_bytes_fixed(&b, 1);
            break;
        case 'S':
            ret->signal_frame = true;
            break;
        case 'B': /* which key signs return addresses: they are stripped, not checked */
            break;
        default: /* 'z' says how long it is */
            i = n;
            break;
        }
    }
    return !b.bad && ret->program <= ret->end && ret->return_register < KN_N_REGISTERS;
}

/* A program of call frame instructions. */
struct program {
    const struct cie *cie;
    struct row *row;
    uint64_t pc, target; /* run while pc <= target */
    unsigned n_remembered, n_run;
};

static void set(struct program *p, uint64_t i, enum rule_how how, uint64_t value)
{
    if (i < KN_N_REGISTERS)
        p->row->registers[i] = (struct rule){.how = how, .value = value};
}

static struct rule take_expression(struct kn_bytes *b, enum rule_how how)
{
    struct rule r = {.how = how};
    r.n_expression = (uint32_t)kn_bytes_leb(b, false);
    r.value = b->at;
    kn_bytes_skip(b, r.n_expression);
    return r;
}

static void restore(struct program *p, uint64_t i)
{
    if (i < KN_N_REGISTERS)
        p->row->registers[i] = initial.registers[i];
}

/* DW_CFA_*, those with nothing in the two high bits: DWARF 5 section 7.24 and the LSB. */
static void run_extended(struct program *p, struct kn_bytes *b, uint64_t op)
{
    const uint64_t code = p->cie->code_align, data = p->cie->data_align;
    struct rule *cfa = &p->row->cfa;
    uint64_t i;
    switch (op) {
    case 0x00: /* nop */
    case 0x2d: /* aarch64: the return address is signed from here on */
        break;
    case 0x01: /* set_loc */
        p->pc = read_pointer(b, p->cie->pointers);
        break;
    case 0x02: /* advance_loc1 */
        p->pc += kn_bytes_fixed(b, 1) * code;
        break;
    case 0x03: /* advance_loc2 */
        p->pc += kn_bytes_fixed(b, 2) * code;
        break;
    case 0x04: /* advance_loc4 */
        p->pc += kn_bytes_fixed(b, 4) * code;
        break;
    case 0x05: /* offset_extended */
        i = kn_bytes_leb(b, false);
        set(p, i, RULE_AT, kn_bytes_leb(b, false) * data);
        break;
    case 0x06: /* restore_extended */
        restore(p, kn_bytes_leb(b, false));
        break;
    case 0x07: /* undefined */
        set(p, kn_bytes_leb(b, false), RULE_UNDEFINED, 0);
        break;
    case 0x08: /* same_value */
        set(p, kn_bytes_leb(b, false), RULE_SAME, 0);
        break;
    case 0x09: /* register */
        i = kn_bytes_leb(b, false);
        set(p, i, RULE_REGISTER, kn_bytes_leb(b, false));
        break;
    case 0x0a: /* remember_state */
        if (p->n_remembered < MAX_REMEMBERED)
            remembered[p->n_remembered++] = *p->row;
        else
            b->bad = true;
        break;
    case 0x0b: /* restore_state */
        if (p->n_remembered)
            *p->row = remembered[--p->n_remembered];
        else
            b->bad = true;
        break;
    case 0x0c: /* def_cfa */
        cfa->how = RULE_IS;
        cfa->n_expression = (uint32_t)kn_bytes_leb(b, false);
        cfa->value = kn_bytes_leb(b, false);
        break;
    case 0x0d: /* def_cfa_register */
        cfa->how = RULE_IS;
        cfa->n_expression = (uint32_t)kn_bytes_leb(b, false);
        break;
    case 0x0e: /* def_cfa_offset */
        cfa->value = kn_bytes_leb(b, false);
        break;
    case 0x0f: /* def_cfa_expression */
        *cfa = take_expression(b, RULE_VALUE);
        break;
    case 0x10: /* expression */
    case 0x16: /* val_expression */
        i = kn_bytes_leb(b, false);
        if (i < KN_N_REGISTERS)
            p->row->registers[i] =
                take_expression(b, op == 0x10 ? RULE_EXPRESSION : RULE_VALUE);
        else
            (void)take_expression(b, RULE_SAME);
        break;
    case 0x11: /* offset_extended_sf */
        i = kn_bytes_leb(b, false);
        set(p, i, RULE_AT, kn_bytes_leb(b, true) * data);
        break;
    case 0x12: /* def_cfa_sf */
        cfa->how = RULE_IS;
        cfa->n_expression = (uint32_t)kn_bytes_leb(b, false);
        cfa->value = kn_bytes_leb(b, true) * data;
        break;
    case 0x13: /* def_cfa_offset_sf */
        cfa->value = kn_bytes_leb(b, true) * data;
        break;
    case 0x14: /* val_offset */
        i = kn_bytes_leb(b, false);
        set(p, i, RULE_IS, kn_bytes_leb(b, false) * data);
        break;
    case 0x15: /* val_offset_sf */
        i = kn_bytes_leb(b, false);
        set(p, i, RULE_IS, kn_bytes_leb(b, true) * data);
        break;
    case 0x2e: /* GNU_args_size */
        (void)kn_bytes_leb(b, false);
        break;
    case 0x2f: /* GNU_negative_offset_extended */
        i = kn_bytes_leb(b, false);
        set(p, i, RULE_AT, -(kn_bytes_leb(b, false) * data));
        break;
    default:
        b->bad = true;
        break;
    }
}

static bool run(struct program *p, uint64_t at, uint64_t end)
{
    struct kn_bytes b = {.at = at, .end = end};
    while (b.at < b.end && !b.bad && p->pc <= p->target) {
        if (p->n_run++ >= MAX_INSTRUCTIONS)
            return false;
        uint64_t op = kn_bytes_fixed(&b, 1), low = op & 0x3f;
        switch (op >> 6) {
        case 1: /* advance_loc */
            p->pc += low * p->cie->code_align;
            break;
        case 2: /* offset */
            set(p, low, RULE_AT, kn_bytes_leb(&b, false) * p->cie->data_align);
            break;
        case 3: /* restore */
            restore(p, low);
            break;
        default:
            run_extended(p, &b, op);
            break;
        }
    }
    return !b.bad;
}

static bool find_row(const struct kn_module *m, uint64_t pc, struct kept *ret)
{
    struct kn_bytes b;
    struct cie cie;
    uint64_t fde = find_fde(m, pc);
    if (!fde || !open_entry(m, fde, &b))
        return false;
    uint64_t from = b.at, back = kn_bytes_fixed(&b, 4);
    if (!back || !read_cie(m, from - back, &cie))
        return false;
    uint64_t start = read_pointer(&b, cie.pointers);
    uint64_t n = read_pointer(&b, cie.pointers & 0x0f);
    if (cie.has_data)
        kn_bytes_skip(&b, kn_bytes_leb(&b, false));
    if (b.bad || pc - start >= n)
        return false;
    memset(&ret->row, 0, sizeof ret->row);
    memset(&initial, 0, sizeof initial);
    struct program p = {.cie = &cie, .row = &ret->row, .target = UINT64_MAX};
    if (!run(&p, cie.program, cie.end))
        return false;
    initial = ret->row;
    p.pc = start;
    p.target = pc;
    if (!run(&p, b.at, b.end))
        return false;
    ret->return_register = cie.return_register;
    ret->signal_frame = cie.signal_frame;
    ret->pc = pc;
    return true;
}

static const struct kept *row_for(const struct kn_module *m, uint64_t pc)
{
    struct kept *k = &kept[(pc ^ pc >> 6) % N_KEPT];
    if (k->pc == pc)
        return k;
    k->pc = 0;
    return find_row(m, pc, k) ? k : NULL;
}

static bool find_cfa(const struct row *row, const uint64_t *r, uint64_t *ret)
{
    const struct rule *cfa = &row->cfa;
    if (cfa->how == RULE_VALUE)
        return kn_expression(cfa->value, cfa->n_expression, r, NULL, ret);
    if (cfa->how != RULE_IS || cfa->n_expression >= KN_N_REGISTERS)
        return false;
    *ret = r[cfa->n_expression] + cfa->value;
    return true;
}

static bool find_register(
    const struct rule *rule, const uint64_t *r, uint64_t cfa, uint64_t *ret)
{
    uint64_t at;
    switch (rule->how) {
    case RULE_AT:
        return kn_memory_word(cfa + rule->value, ret);
    case RULE_IS:
        *ret = cfa + rule->value;
        return true;
    case RULE_REGISTER:
        if (rule->value >= KN_N_REGISTERS)
            return false;
        *ret = r[rule->value];
        return true;
    case RULE_EXPRESSION:
        return kn_expression(rule->value, rule->n_expression, r, &cfa, &at) &&
               kn_memory_word(at, ret);
    case RULE_VALUE:
        return kn_expression(rule->value, rule->n_expression, r, &cfa, ret);
    default:
        return true; /* as it is */
    }
}

enum kn_cfi kn_cfi_step(const struct kn_module *m, struct kn_cursor *cursor)
{
    const uint64_t *r = cursor->r;
    uint64_t next[KN_N_REGISTERS], cfa;
    const uint64_t pc = r[KN_REGISTER_PC] - !cursor->exact;
    const struct kept *k = m->n_unwind ? row_for(m, pc) : NULL;
    if (!k || !find_cfa(&k->row, r, &cfa))
        return KN_CFI_NONE;
    const struct rule *back = &k->row.registers[k->return_register];
    if (back->how == RULE_UNDEFINED)
        return KN_CFI_END;
    memcpy(next, r, sizeof next);
    next[KN_REGISTER_SP] = cfa;
    for (unsigned i = 0; i < KN_N_REGISTERS; i++) {
        if (!find_register(&k->row.registers[i], r, cfa, &next[i]))
            return KN_CFI_NONE;
    }
    next[KN_REGISTER_PC] = kn_regs_plain_pc(next[k->return_register]);
    if (!next[KN_REGISTER_PC])
        return KN_CFI_END;
    /* A signal may have come in on another stack; a call stays on its own, above. */
    bool same = next[KN_REGISTER_SP] == r[KN_REGISTER_SP];
    if (!k->signal_frame &&
        (next[KN_REGISTER_SP] < r[KN_REGISTER_SP] || (same && !cursor->exact)))
        return KN_CFI_NONE;
    memcpy(cursor->r, next, sizeof next);
    cursor->exact = k->signal_frame;
    return KN_CFI_STEP;
}
