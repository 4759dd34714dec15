/* Units, DIEs, names and scopes, and what they become in a table; an address has the same
 * place whether it is asked for alone or with the rest of its function. */
#include "fuzz_dwarf.h"
#include "symbolize/convert.h"

#include <stdlib.h>

enum mode { ALL, WIDE, NARROW, N_MODES };

static const uint64_t pcs[] = {0, 1, 0x10, 0x1000, 0x1010, 0x1139, 0x401000};
enum { N_PCS = sizeof pcs / sizeof *pcs };

static bool is_same_text(
    const struct table *a, uint32_t x, const struct table *b, uint32_t y)
{
    const char *s = table_text(a, x), *t = table_text(b, y);
    return s == t || (s && t && !strcmp(s, t));
}

/* A scope is found on a walk that jumps from sibling to sibling: where those lie, the
 * scopes depend on what else is looked for, and only what the function itself is called
 * does not. */
static const char *without_scopes(const char *name)
{
    const char *last = name;
    for (const char *s = name; s && (s = strstr(s, "::")); s += 2)
        last = s + 2;
    return last;
}

static bool is_same_name(
    const struct table *a, uint32_t x, const struct table *b, uint32_t y)
{
    const char *s = without_scopes(table_text(a, x)),
               *t = without_scopes(table_text(b, y));
    return s == t || (s && t && !strcmp(s, t));
}

static bool is_same_place(
    const struct table *a, uint32_t x, const struct table *b, uint32_t y)
{
    for (;;) {
        struct table_place one, other, *p = &one, *q = &other;
        bool has = table_place_at(a, x, p), has_too = table_place_at(b, y, q);
        if (!has || !has_too)
            return !has && !has_too;
        const struct table_function *f = table_function_at(a, p->function),
                                    *g = table_function_at(b, q->function);
        const struct table_file *h = table_file_at(a, p->file),
                                *k = table_file_at(b, q->file);
        if (p->line != q->line || p->column != q->column || !f != !g || !h != !k)
            return false;
        if (f && (f->entry != g->entry || !is_same_name(a, f->name, b, g->name)))
            return false;
        if (h && (!is_same_text(a, h->name, b, k->name) ||
                     !is_same_text(a, h->directory, b, k->directory)))
            return false;
        x = p->caller;
        y = q->caller;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct budget budget = {0};
    struct table tables[N_MODES] = {{0}};
    int err[N_MODES];
    for (int mode = 0; mode < N_MODES; mode++) {
        struct dwarf_file f;
        struct fuzz_input in = {data, n};
        fuzz_sections(&in, &budget, &f);
        struct converter c = {.file = &f, .table = &tables[mode]};
        struct wanted wanted = {
            .pcs = pcs, .n = N_PCS, .all = mode == ALL, .narrow = mode == NARROW};
        err[mode] = convert(&c, &wanted);
        converter_done(&c);
        dwarf_file_done(&f);
    }
    for (int i = 0; i < N_PCS && err[WIDE] == 0 && err[NARROW] == 0; i++) {
        uint32_t x = table_find(&tables[WIDE], pcs[i]),
                 y = table_find(&tables[NARROW], pcs[i]);
        if (!is_same_place(&tables[WIDE], x, &tables[NARROW], y))
            abort();
    }
    for (int mode = 0; mode < N_MODES; mode++)
        table_done(&tables[mode]);
    return 0;
}
