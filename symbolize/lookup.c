#include "symbolize/lookup.h"

#include "symbolize/cache.h"
#include "symbolize/module.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One module's questions on the way to their answers. */
struct lookup {
    struct knell_symbolizer *s;
    const struct knell_symbol_module *from;
    const struct question *q;
    size_t n;
    struct knell_symbol_result *results;
    uint64_t *pcs; /* distinct addresses of the file */
    size_t n_pcs;
};

/* What the table came from, and what went wrong on the way to it. */
struct origin {
    const char *debug_path;
    enum knell_symbol_status status, debug_status;
};

/* Fill the results from a table. @names: the table itself, when it is to keep the names
 * that were made readable; or NULL. */
static int answer_all(struct lookup *l, const struct table *t, uint64_t bias,
    struct origin from, struct table *names)
{
    struct answers a = {.table = t,
        .out = &l->s->batch,
        .bias = bias,
        .max_frames = l->s->max_frames,
        .demangle = l->s->demangle,
        .texts_stay = t->pages != NULL,
        .sources = &l->s->sources};
    const char *path = from.debug_path;
    const char *kept = path ? store_text(a.out, path, strlen(path)) : NULL;
    int err = path && !kept ? -ENOMEM : answers_init(&a);
    for (size_t i = 0; err == 0 && i < l->n; i++) {
        struct knell_symbol_result *r = &l->results[l->q[i].query];
        if (i && l->q[i].vaddr == l->q[i - 1].vaddr)
            *r = l->results[l->q[i - 1].query];
        else
            err = answer(&a, l->q[i].vaddr - bias, r);
        r->debug_path = kept;
        r->debug_status = from.debug_status;
        /* What went wrong is told where it cost the answer. */
        if (from.status != KNELL_SYMBOL_OK && r->status != KNELL_SYMBOL_OK)
            r->status = from.status;
    }
    if (err == 0 && names)
        err = answers_keep_names(&a, names);
    answers_done(&a);
    return err;
}

/* The file's addresses that are asked for. The order is kept: the bias is the same for
 * all, and no question lies below the module's base. */
static void set_pcs(struct lookup *l, uint64_t bias)
{
    l->n_pcs = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (i == 0 || l->q[i].vaddr != l->q[i - 1].vaddr)
            l->pcs[l->n_pcs++] = l->q[i].vaddr - bias;
    }
}

/* Answer from the cache: 1 when it knew everything, 0 when not, or -ENOMEM. */
static int answer_cached(struct lookup *l, struct cache *c)
{
    uint64_t bias = l->from->base - c->head.first_vaddr;
    set_pcs(l, bias);
    cache_expect(c, l->n_pcs);
    for (size_t i = 0; i < l->n_pcs; i++) {
        if (!c->head.complete && !table_covers(&c->table, l->pcs[i]))
            return 0;
    }
    int err = answer_all(l, &c->table, bias,
        (struct origin){.debug_path = table_text(&c->table, c->head.debug_path)}, NULL);
    if (err == -ENOMEM)
        return err;
    return err == 0 && !c->bad;
}

/* Keep what was converted. A module without debug information, or without a part of it,
 * is not kept: it may be installed tomorrow; nor is what another process was changing
 * meanwhile. */
static void keep(struct lookup *l, const struct module *m, struct table *t)
{
    const struct knell_symbol_module *from = l->from;
    if (!l->s->cache_dir || !from->n_build_id || !m->has_dwarf || !module_is_whole(m) ||
        (m->has_main && !elf_file_unchanged(&m->main)) ||
        (m->has_separate && !elf_file_unchanged(&m->separate)))
        return;
    for (size_t i = 0; i < l->n_pcs; i++) {
        if (table_add_covered(t, l->pcs[i], l->pcs[i] + 1) < 0)
            return;
    }
    struct cache_entry e = {.build_id = from->build_id,
        .n_build_id = from->n_build_id,
        .first_vaddr = m->first_vaddr,
        .debug_path = module_answer_path(m),
        .table = t};
    if (table_settle(t) == 0)
        IGNORE(cache_write(l->s->cache_dir, &e, l->s->cache_max_bytes),
            "the answers do not depend on it");
}

/* Keep only what the table does not cover yet. */
static void leave_out_covered(struct lookup *l, const struct table *t)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n_pcs; i++) {
        if (!table_covers(t, l->pcs[i]))
            l->pcs[n++] = l->pcs[i];
    }
    l->n_pcs = n;
}

static int answer_module(struct lookup *l, struct module *m, struct cache *c)
{
    struct table t = {0};
    uint64_t bias = l->from->base - m->first_vaddr;
    int err =
        c && !c->bad && c->head.first_vaddr == m->first_vaddr ? cache_copy(c, &t) : 0;
    if (err == -ENOMEM)
        return err;
    set_pcs(l, bias);
    leave_out_covered(l, &t);
    /* A cache is better filled with whole functions: the next crash is near this one. */
    struct wanted wanted = {
        .pcs = l->pcs, .n = l->n_pcs, .narrow = !l->s->cache_dir || !l->from->n_build_id};
    err = module_fill(m, &wanted, &t);
    if (err == 0)
        err = answer_all(l, &t, bias,
            (struct origin){module_answer_path(m), m->status, m->debug_status},
            wanted.narrow ? NULL : &t);
    if (err == 0)
        keep(l, m, &t);
    table_done(&t);
    return err;
}

static void mark_no_file(struct lookup *l, enum knell_symbol_status why)
{
    for (size_t i = 0; i < l->n; i++)
        l->results[l->q[i].query] =
            (struct knell_symbol_result){.status = why, .debug_status = why};
}

static void mark_unverified(struct lookup *l)
{
    for (size_t i = 0; i < l->n; i++) {
        struct knell_symbol_result *r = &l->results[l->q[i].query];
        if (r->n_frames)
            r->status = KNELL_SYMBOL_UNVERIFIED;
    }
}

static int look_at_files(struct lookup *l, struct cache *c)
{
    struct module m;
    int err = module_open(l->from, &l->s->places, &l->s->budget, &m);
    if (err < 0)
        return err;
    if (!m.has_main && !m.has_separate)
        mark_no_file(l, m.status);
    else
        err = answer_module(l, &m, c);
    if (err == 0 && !l->from->n_build_id && !l->from->image)
        mark_unverified(l);
    module_done(&m);
    return err;
}

void lookup_forget(struct knell_symbolizer *s)
{
    while (s->caches) {
        struct cache *next = s->caches->next;
        cache_free(s->caches);
        s->caches = next;
    }
    store_done(&s->batch);
}

int lookup_module(struct knell_symbolizer *s, const struct knell_symbol_module *module,
    const struct question *q, size_t n, struct knell_symbol_result *results)
{
    CLEANUP(free_p) uint64_t *pcs = malloc(n * sizeof *pcs);
    struct lookup l = {
        .s = s, .from = module, .q = q, .n = n, .results = results, .pcs = pcs};
    struct cache *c = NULL;
    if (!pcs)
        return -ENOMEM;
    int err = s->cache_dir && module->n_build_id && !module->image
                  ? cache_open(s->cache_dir, module->build_id, module->n_build_id, &c)
                  : -ENOENT;
    int done = err == 0 ? answer_cached(&l, c) : err == -ENOMEM ? err : 0;
    if (done == 1) {
        cache_close_file(c);
        c->next = s->caches;
        s->caches = c;
        return 0;
    }
    /* What the cache answered before it turned out bad goes with it. */
    if (c)
        mark_no_file(&l, KNELL_SYMBOL_MISSING);
    if (done == 0)
        done = look_at_files(&l, c);
    cache_free(c);
    return done;
}
