#include "symbolize/build.h"

#include "symbolize/budget.h"
#include "symbolize/cache.h"
#include "symbolize/module.h"

#include <string.h>

static int cover_all(const struct module *m, struct table *t)
{
    const struct elf_file *f = m->has_main ? &m->main : &m->separate;
    int err = 0;
    for (size_t i = 0; err == 0 && i < f->n_loads; i++)
        err = table_add_covered(
            t, f->loads[i].vaddr, f->loads[i].vaddr + f->loads[i].n_memory);
    return err < 0 ? err : table_settle(t);
}

static int convert_all(struct module *m, const struct knell_symbol_module *from,
    const char *dir, uint64_t max_bytes, struct build_result *ret)
{
    struct table t = {0};
    struct wanted wanted = {.all = true};
    int err = module_fill(m, &wanted, &t);
    ret->status = m->status;
    if (err == 0 && !module_is_whole(m))
        err = -ENODATA;
    if (err == 0)
        err = cover_all(m, &t);
    ret->n_ranges = t.ranges.n;
    ret->n_functions = t.functions.n;
    ret->n_places = t.places.n;
    struct cache_entry e = {.build_id = from->build_id,
        .n_build_id = from->n_build_id,
        .first_vaddr = m->first_vaddr,
        .debug_path = module_answer_path(m),
        .complete = true,
        .table = &t};
    if (err == 0)
        err = cache_write(dir, &e, max_bytes);
    table_done(&t);
    return err;
}

int build_cache(const char *path, const struct debug_places *places, const char *dir,
    uint64_t max_bytes, struct budget *budget, struct build_result *ret)
{
    struct elf_file f;
    struct module m;
    *ret = (struct build_result){0};
    int err = elf_file_open(path, &f);
    if (err < 0)
        return err;
    struct knell_symbol_module from = {
        .path = path, .build_id = f.build_id, .n_build_id = f.n_build_id};
    err = f.n_build_id ? module_open(&from, places, budget, &m) : -ENODATA;
    if (err == 0) {
        ret->status = m.has_dwarf || m.status ? m.status : KNELL_SYMBOL_SYMTAB_ONLY;
        err = m.has_dwarf ? convert_all(&m, &from, dir, max_bytes, ret) : -ENODATA;
        module_done(&m);
    }
    elf_file_done(&f);
    return err;
}

static bool is_text(const struct table *t, uint32_t at)
{
    return at == TABLE_NONE || at < t->n_text;
}

static size_t steps_of(size_t n)
{
    return (n + TABLE_STEP - 1) / TABLE_STEP;
}

static bool check_symbol_steps(const struct table *t)
{
    const uint64_t *step = t->symbol_steps.items;
    const struct table_symbol *s = t->symbols.items;
    bool good = t->symbol_steps.n == steps_of(t->symbols.n);
    for (size_t i = 0; good && i < t->symbol_steps.n; i++)
        good = s[i * TABLE_STEP].low == step[i];
    return good;
}

static const char *check_edges(const struct table *t)
{
    const uint64_t *first = t->edge_steps.items;
    uint64_t last = 0;
    if (t->edge_steps.n != steps_of(t->edges.n))
        return "an index";
    for (size_t i = 0; i < t->edges.n; i++) {
        uint32_t far = packed_number(&t->edges, i, 0),
                 place = packed_number(&t->edges, i, 1);
        uint64_t low = first[i / TABLE_STEP] + far;
        if (low < last || far == UINT32_MAX || (i % TABLE_STEP == 0 && far))
            return "ranges out of order";
        if (place != TABLE_NONE && place >= t->packed_places.n)
            return "a range's place";
        last = low;
    }
    return NULL;
}

static const char *check_lists(const struct table *t)
{
    const struct table_covered *c = t->covered.items;
    for (size_t i = 1; i < t->covered.n; i++) {
        if (c[i].low < c[i - 1].high)
            return "coverage out of order";
    }
    const struct table_symbol *s = t->symbols.items;
    for (size_t i = 0; i < t->symbols.n; i++) {
        if (s[i].high < s[i].low || (i && s[i].low < s[i - 1].low))
            return "symbols out of order";
        if (!is_text(t, s[i].name) || !is_text(t, s[i].file))
            return "a symbol's name";
    }
    return check_symbol_steps(t) ? NULL : "an index";
}

static const char *check_places(const struct table *t)
{
    struct table_place p;
    for (uint32_t i = 0; table_place_at(t, i, &p); i++) {
        if (p.function != TABLE_NONE && p.function >= t->functions.n)
            return "a place's function";
        if (p.file != TABLE_NONE && p.file >= t->files.n)
            return "a place's file";
        /* Callers are written first, so no chain is a loop. */
        if (p.caller != TABLE_NONE && p.caller >= i)
            return "a place's caller";
    }
    const struct table_function *f = t->functions.items;
    for (uint32_t i = 0; i < t->functions.n; i++) {
        if (!is_text(t, f[i].name) || !is_text(t, table_readable_at(t, i)))
            return "a function's name";
    }
    const struct table_file *file = t->files.items;
    for (uint32_t i = 0; i < t->files.n; i++) {
        if (!is_text(t, file[i].name) || !is_text(t, file[i].directory))
            return "a file's name";
    }
    return NULL;
}

int build_verify(struct cache *c, const char **ret_what)
{
    *ret_what = "a page's checksum";
    if (!cache_need(c, c->bytes, (size_t)c->head.n_bytes))
        return -EBADMSG;
    const struct table *t = &c->table;
    const char *what = t->n_text && t->text[t->n_text - 1] ? "an open string" : NULL;
    if (!what)
        what = check_edges(t);
    if (!what)
        what = check_lists(t);
    if (!what)
        what = check_places(t);
    *ret_what = what;
    return what ? -EBADMSG : 0;
}
