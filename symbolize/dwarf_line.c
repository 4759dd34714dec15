#include "symbolize/dwarf_line.h"

#include "symbolize/budget.h"
#include "symbolize/dwarf_const.h"

#include <stdlib.h>

enum { OPCODES_BETWEEN_CLOCKS = 1 << 16 };

/* A run of rows with rising addresses, closed by an end. */
struct sequence {
    uint64_t low, high;
    size_t first, n; /* segments */
};

struct machine {
    struct line_table *t;
    const struct range_list *areas;
    size_t area; /* the first that ends above the last address looked at */
    uint64_t quiet_low, quiet_high; /* no area touches what lies between */
    uint8_t address_steps[256];     /* of special opcodes, before min_instruction */
    int16_t line_steps[256];
    struct bytes r;
    uint64_t address;
    struct line_row row;
    bool has_last;
    uint64_t last_address, sequence_low;
    struct line_row last;
    struct sequence *sequences;
    size_t n_sequences, max_sequences, first_segment;
};

/* Whether [low, high) touches an area. Addresses mostly rise, so the search goes on from
 * where it was. */
static bool touches(struct machine *m, uint64_t low, uint64_t high)
{
    const struct range_list *a = m->areas;
    if (!a)
        return true;
    if (m->area > 0 && a->ranges[m->area - 1].high > low)
        m->area = 0;
    while (m->area < a->n && a->ranges[m->area].high <= low)
        m->area++;
    m->quiet_low = m->area ? a->ranges[m->area - 1].high : 0;
    m->quiet_high = m->area < a->n ? a->ranges[m->area].low : UINT64_MAX;
    return m->quiet_high < high;
}

static int keep(struct machine *m, uint64_t high)
{
    struct line_table *t = m->t;
    if (m->last_address >= high || !touches(m, m->last_address, high))
        return 0;
    if (t->n_rows == t->max_rows) {
        uint32_t max = t->max_rows ? 2 * t->max_rows : 256;
        struct line_row *more = realloc(t->rows, max * sizeof *more);
        if (!more)
            return -ENOMEM;
        t->rows = more;
        t->max_rows = max;
    }
    t->rows[t->n_rows++] = m->last;
    return paints_add(&t->segments, m->last_address, high, t->n_rows - 1);
}

/* A row holds from its address to that of the next one. */
static int emit(struct machine *m)
{
    int err = 0;
    if (m->has_last && m->address > m->last_address &&
        (m->last_address < m->quiet_low || m->address > m->quiet_high))
        err = keep(m, m->address);
    if (!m->has_last)
        m->sequence_low = m->address;
    m->has_last = true;
    m->last_address = m->address;
    m->last = m->row;
    return err;
}

static void reset(struct machine *m)
{
    m->address = 0;
    m->row = (struct line_row){.file = 1, .line = 1};
    m->has_last = false;
}

static int end_sequence(struct machine *m)
{
    bool dead = !dwarf_may_be_code(m->t->u, m->sequence_low);
    int err = m->has_last && !dead ? keep(m, m->address) : 0;
    if (dead)
        m->t->segments.n = m->first_segment;
    size_t n = m->t->segments.n - m->first_segment;
    if (err == 0 && n) {
        if (m->n_sequences == m->max_sequences) {
            size_t max = m->max_sequences ? 2 * m->max_sequences : 16;
            struct sequence *more = realloc(m->sequences, max * sizeof *more);
            if (!more)
                return -ENOMEM;
            m->sequences = more;
            m->max_sequences = max;
        }
        m->sequences[m->n_sequences++] =
            (struct sequence){m->sequence_low, m->address, m->first_segment, n};
        m->first_segment = m->t->segments.n;
    }
    reset(m);
    return err;
}

static int extended(struct machine *m)
{
    uint64_t n = bytes_uleb(&m->r, "extended opcode length");
    if (m->r.err || n == 0 || n > m->r.n - m->r.at)
        return -EBADMSG;
    size_t next = m->r.at + (size_t)n;
    int err = 0;
    switch (bytes_u8(&m->r, "extended opcode")) {
    case DW_LNE_END_SEQUENCE:
        err = end_sequence(m);
        break;
    case DW_LNE_SET_ADDRESS:
        m->address = n > 9 ? 0 : bytes_uint(&m->r, (unsigned)n - 1, "address");
        break;
    default: /* DW_LNE_define_file has not been written since DWARF 2 */
        break;
    }
    m->r.at = next;
    return err;
}

static void advance(struct machine *m, uint64_t n)
{
    m->address += n * m->t->min_instruction;
}

static int special(struct machine *m, uint8_t opcode)
{
    if (m->t->line_range == 0)
        return -EBADMSG;
    advance(m, m->address_steps[opcode]);
    m->row.line = (uint32_t)((int64_t)m->row.line + m->line_steps[opcode]);
    return emit(m);
}

static void set_steps(struct machine *m)
{
    const struct line_table *t = m->t;
    for (unsigned i = t->opcode_base; i < 256 && t->line_range; i++) {
        unsigned adjusted = i - t->opcode_base;
        m->address_steps[i] = (uint8_t)(adjusted / t->line_range);
        m->line_steps[i] = (int16_t)(t->line_base + (int)(adjusted % t->line_range));
    }
}

static int standard(struct machine *m, uint8_t opcode)
{
    switch (opcode) {
    case DW_LNS_EXTENDED:
        return extended(m);
    case DW_LNS_COPY:
        return emit(m);
    case DW_LNS_ADVANCE_PC:
        advance(m, bytes_uleb(&m->r, "address advance"));
        return 0;
    case DW_LNS_ADVANCE_LINE:
        m->row.line += (uint32_t)bytes_sleb(&m->r, "line advance");
        return 0;
    case DW_LNS_SET_FILE:
        m->row.file = (uint32_t)bytes_uleb(&m->r, "file");
        return 0;
    case DW_LNS_SET_COLUMN:
        m->row.column = (uint32_t)bytes_uleb(&m->r, "column");
        return 0;
    case DW_LNS_CONST_ADD_PC:
        if (m->t->line_range)
            advance(m, (255u - m->t->opcode_base) / m->t->line_range);
        return 0;
    case DW_LNS_FIXED_ADVANCE_PC:
        m->address += bytes_u16(&m->r, "address advance");
        return 0;
    default:
        for (unsigned i = 0; i < m->t->opcode_lengths[opcode]; i++)
            (void)bytes_uleb(&m->r, "operand");
        return 0;
    }
}

static int by_low(const void *a, const void *b)
{
    const struct sequence *x = a, *y = b;
    if (x->low != y->low)
        return x->low < y->low ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

static int by_high_falling(const void *a, const void *b)
{
    const struct sequence *x = a, *y = b;
    if (x->high != y->high)
        return x->high > y->high ? -1 : 1;
    return x->first > y->first ? -1 : x->first < y->first;
}

/* The opcodes that make up nearly all of a program, as far as their operands have one
 * byte. The reader is left at the first other one. */
static int run_usual(struct machine *m)
{
    const uint8_t *base = m->r.base;
    const struct line_table *t = m->t;
    size_t at = m->r.at, end = m->r.n;
    int err = 0;
    for (unsigned n = 0; err == 0 && end - at >= 2 && n < OPCODES_BETWEEN_CLOCKS; n++) {
        uint8_t opcode = base[at], operand = base[at + 1];
        if (opcode >= t->opcode_base) {
            at++;
            err = special(m, opcode);
        } else if (opcode == DW_LNS_NEGATE_STMT && !t->opcode_lengths[opcode]) {
            at++;
        } else if (opcode == DW_LNS_COPY) {
            at++;
            err = emit(m);
        } else if (operand & 0x80) {
            break;
        } else if (opcode == DW_LNS_SET_COLUMN) {
            m->row.column = operand;
            at += 2;
        } else if (opcode == DW_LNS_SET_FILE) {
            m->row.file = operand;
            at += 2;
        } else if (opcode == DW_LNS_ADVANCE_PC) {
            advance(m, operand);
            at += 2;
        } else if (opcode == DW_LNS_ADVANCE_LINE) {
            int step = operand & 0x40 ? operand - 0x80 : operand;
            m->row.line = (uint32_t)((int64_t)m->row.line + step);
            at += 2;
        } else {
            break;
        }
    }
    m->r.at = at;
    return err;
}

/* Sort the segments; where sequences overlap, the one that ends first shows. */
static int arrange(struct machine *m)
{
    struct paints *all = &m->t->segments, sorted = {0};
    bool overlap = false;
    if (!m->n_sequences) {
        all->n = 0; /* rows of a sequence that never ended */
        return 0;
    }
    qsort(m->sequences, m->n_sequences, sizeof *m->sequences, by_low);
    for (size_t i = 1; i < m->n_sequences; i++)
        overlap |= m->sequences[i].low < m->sequences[i - 1].high;
    if (overlap)
        qsort(m->sequences, m->n_sequences, sizeof *m->sequences, by_high_falling);
    sorted.p = malloc((all->n ? all->n : 1) * sizeof *sorted.p);
    if (!sorted.p)
        return -ENOMEM;
    sorted.max = all->n;
    for (size_t i = 0; i < m->n_sequences; i++) {
        const struct sequence *s = &m->sequences[i];
        memcpy(sorted.p + sorted.n, all->p + s->first, s->n * sizeof *sorted.p);
        sorted.n += s->n;
    }
    free(all->p);
    *all = sorted;
    return paints_flatten(all);
}

int dwarf_line_run(struct line_table *t, const struct range_list *areas)
{
    struct machine m = {.t = t, .areas = areas};
    m.r = bytes_of(t->u->file->sections[DWARF_LINE].bytes, (size_t)t->end);
    bytes_seek(&m.r, t->program, "line program");
    reset(&m);
    set_steps(&m);
    int err = 0;
    for (size_t clock = 0; err == 0 && !m.r.err && m.r.at < m.r.n;) {
        err = run_usual(&m);
        if (err == 0 && m.r.at < m.r.n) {
            uint8_t opcode = m.r.base[m.r.at++];
            err = opcode >= t->opcode_base ? special(&m, opcode) : standard(&m, opcode);
        }
        if (err == 0 && m.r.at >= clock) {
            clock = m.r.at + OPCODES_BETWEEN_CLOCKS;
            err = budget_time(t->u->file->budget);
        }
    }
    if (err == 0 || err == -EBADMSG)
        err = arrange(&m);
    free(m.sequences);
    return err;
}
