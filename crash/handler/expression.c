#include "crash/handler/expression.h"

#include "crash/handler/bytes.h"
#include "crash/handler/regs.h"

#include "crash/handler/poison.h"

enum {
    MAX_STACK = 16,
    MAX_OPERATIONS = 256,
};

struct machine {
    struct kn_bytes b;
    const uint64_t *r;
    uint64_t stack[MAX_STACK];
    unsigned n;
};

static void push(struct machine *m, uint64_t v)
{
    if (m->n < MAX_STACK)
        m->stack[m->n++] = v;
    else
        m->b.bad = true;
}

static uint64_t pop(struct machine *m)
{
    if (m->n)
        return m->stack[--m->n];
    m->b.bad = true;
    return 0;
}

static void push_register(struct machine *m, uint64_t i)
{
    uint64_t by = kn_bytes_leb(&m->b, true);
    if (i < KN_N_REGISTERS)
        push(m, m->r[i] + by);
    else
        m->b.bad = true;
}

/* DW_OP_lit0…, DW_OP_breg0…, and the constants. */
static bool push_constant(struct machine *m, uint64_t op)
{
    static const uint8_t sizes[4] = {1, 2, 4, 8};
    if (op >= 0x30 && op <= 0x4f)
        push(m, op - 0x30);
    else if (op >= 0x70 && op <= 0x8f)
        push_register(m, op - 0x70);
    else if (op == 0x92) /* bregx */
        push_register(m, kn_bytes_leb(&m->b, false));
    else if (op == 0x03) /* addr */
        push(m, kn_bytes_fixed(&m->b, 8));
    else if (op >= 0x08 && op <= 0x0f) /* const1u, const1s, const2u, … */
        push(m, op & 1 ? kn_bytes_signed(&m->b, sizes[(op - 0x08) / 2])
                       : kn_bytes_fixed(&m->b, sizes[(op - 0x08) / 2]));
    else if (op == 0x10 || op == 0x11) /* constu, consts */
        push(m, kn_bytes_leb(&m->b, op == 0x11));
    else
        return false;
    return true;
}

static void combine(struct machine *m, uint64_t op)
{
    uint64_t b = pop(m), a = pop(m);
    int64_t sa = (int64_t)a, sb = (int64_t)b;
    switch (op) {
    case 0x1a: /* and */
        push(m, a & b);
        break;
    case 0x1c: /* minus */
        push(m, a - b);
        break;
    case 0x1e: /* mul */
        push(m, a * b);
        break;
    case 0x21: /* or */
        push(m, a | b);
        break;
    case 0x22: /* plus */
        push(m, a + b);
        break;
    case 0x24: /* shl */
        push(m, b < 64 ? a << b : 0);
        break;
    case 0x25: /* shr */
        push(m, b < 64 ? a >> b : 0);
        break;
    case 0x26: /* shra */
        push(m, (uint64_t)(sa >> (b < 63 ? b : 63)));
        break;
    case 0x27: /* xor */
        push(m, a ^ b);
        break;
    case 0x29: /* eq */
        push(m, a == b);
        break;
    case 0x2a: /* ge */
        push(m, sa >= sb);
        break;
    case 0x2b: /* gt */
        push(m, sa > sb);
        break;
    case 0x2c: /* le */
        push(m, sa <= sb);
        break;
    case 0x2d: /* lt */
        push(m, sa < sb);
        break;
    case 0x2e: /* ne */
        push(m, a != b);
        break;
    default:
        m->b.bad = true;
        break;
    }
}

static void run_other(struct machine *m, uint64_t op)
{
    uint64_t v = 0, i;
    switch (op) {
    case 0x06: /* deref */
        if (!kn_memory_word(pop(m), &v))
            m->b.bad = true;
        push(m, v);
        break;
    case 0x12: /* dup */
        v = pop(m);
        push(m, v);
        push(m, v);
        break;
    case 0x13: /* drop */
        (void)pop(m);
        break;
    case 0x14: /* over */
    case 0x15: /* pick */
        i = op == 0x14 ? 1 : kn_bytes_fixed(&m->b, 1);
        if (i < m->n)
            push(m, m->stack[m->n - 1 - i]);
        else
            m->b.bad = true;
        break;
    case 0x16: /* swap */
        v = pop(m);
        i = pop(m);
        push(m, v);
        push(m, i);
        break;
    case 0x19: /* abs */
        v = pop(m);
        push(m, (int64_t)v < 0 ? -v : v);
        break;
    case 0x1f: /* neg */
        push(m, -pop(m));
        break;
    case 0x20: /* not */
        push(m, ~pop(m));
        break;
    case 0x23: /* plus_uconst */
        v = pop(m);
        push(m, v + kn_bytes_leb(&m->b, false));
        break;
    case 0x28: /* bra */
    case 0x2f: /* skip */
        v = kn_bytes_signed(&m->b, 2);
        if (op == 0x2f || pop(m))
            m->b.at += v;
        break;
    case 0x96: /* nop */
        break;
    default:
        combine(m, op);
        break;
    }
}

bool kn_expression(
    uint64_t at, uint32_t n, const uint64_t *r, const uint64_t *first, uint64_t *ret)
{
    struct machine m = {.b = {.at = at, .end = at + n}, .r = r};
    unsigned n_run = 0;
    if (first)
        push(&m, *first);
    while (m.b.at < m.b.end && m.b.at >= at && !m.b.bad) {
        if (n_run++ >= MAX_OPERATIONS)
            return false;
        uint64_t op = kn_bytes_fixed(&m.b, 1);
        if (!push_constant(&m, op))
            run_other(&m, op);
    }
    if (m.b.bad || !m.n || m.b.at != m.b.end)
        return false;
    *ret = m.stack[m.n - 1];
    return true;
}
