#include "symbolize/answer.h"
#include "symbolize/budget.h"
#include "symbolize/module.h"
#include "symbolize/store.h"

#include <errno.h>
#include <knell/symbolize.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEFAULT_MEMORY_BYTES = 512 << 20,
    DEFAULT_INLINE_DEPTH = 128,
    MAX_DEBUG_DIRS = 64,
};

struct knell_symbolizer {
    struct budget budget;
    struct debug_places places;
    char *debug_dirs[MAX_DEBUG_DIRS + 1];
    char *store_dir, *sysroot;
    uint32_t max_frames;
    bool demangle;
    struct store batch; /* what the last results point to */
};

/* The caller's options in the size that this library knows. */
static struct knell_symbolize_options known_options(
    const struct knell_symbolize_options *o)
{
    struct knell_symbolize_options known = {0};
    if (o)
        memcpy(&known, o, o->size < sizeof known ? o->size : sizeof known);
    return known;
}

static int copy_text(const char *from, char **ret)
{
    *ret = from ? strdup(from) : NULL;
    return from && !*ret ? -ENOMEM : 0;
}

static int copy_places(
    struct knell_symbolizer *s, const struct knell_symbolize_options *o)
{
    static const char *const usual[] = {"/usr/lib/debug", NULL};
    const char *const *dirs = o->debug_dirs ? o->debug_dirs : usual;
    for (size_t i = 0; dirs[i]; i++) {
        if (i == MAX_DEBUG_DIRS)
            return -EINVAL;
        int err = copy_text(dirs[i], &s->debug_dirs[i]);
        if (err < 0)
            return err;
    }
    int err = copy_text(o->store_dir, &s->store_dir);
    if (err == 0)
        err = copy_text(o->sysroot, &s->sysroot);
    s->places = (struct debug_places){.debug_dirs = (const char *const *)s->debug_dirs,
        .store_dir = s->store_dir,
        .sysroot = s->sysroot};
    return err;
}

int knell_symbolizer_new(
    const struct knell_symbolize_options *options, struct knell_symbolizer **ret)
{
    if (!ret || (options && options->size < sizeof(size_t)))
        return -EINVAL;
    struct knell_symbolize_options o = known_options(options);
    struct knell_symbolizer *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->max_frames = o.max_inline_depth ? o.max_inline_depth : DEFAULT_INLINE_DEPTH;
    s->demangle = o.demangle == KNELL_DEMANGLE_ON;
    s->budget.max_bytes = o.max_memory_bytes ? o.max_memory_bytes : DEFAULT_MEMORY_BYTES;
    if (o.deadline_ms)
        s->budget.deadline_ns = budget_now_ns() + (int64_t)o.deadline_ms * 1000000;
    int err = copy_places(s, &o);
    if (err < 0) {
        knell_symbolizer_free(s);
        return err;
    }
    *ret = s;
    return 0;
}

void knell_symbolizer_free(struct knell_symbolizer *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < MAX_DEBUG_DIRS; i++)
        free(s->debug_dirs[i]);
    free(s->store_dir);
    free(s->sysroot);
    store_done(&s->batch);
    free(s);
}

/* A query on its way: by module, then by address. */
struct question {
    uint32_t module;
    uint64_t vaddr; /* run-time, adjusted by kind; later of the file */
    size_t query;
};

static int by_module_and_address(const void *a, const void *b)
{
    const struct question *x = a, *y = b;
    if (x->module != y->module)
        return x->module < y->module ? -1 : 1;
    return x->vaddr < y->vaddr ? -1 : x->vaddr > y->vaddr;
}

static bool inside(const struct knell_symbol_module *m, uint64_t pc)
{
    return pc >= m->base && (m->size == 0 || pc - m->base < m->size);
}

/* Fill the results of one module's questions from the table. */
static int answer_all(struct knell_symbolizer *s, const struct module *m,
    const struct table *t, uint64_t bias, const struct question *q, size_t n,
    struct knell_symbol_result *results)
{
    struct answers a = {.table = t,
        .out = &s->batch,
        .bias = bias,
        .max_frames = s->max_frames,
        .demangle = s->demangle};
    CLEANUP(free_p)
    const char **names = calloc(t->functions.n ? t->functions.n : 1, sizeof *names);
    const char *path = module_answer_path(m);
    const char *kept = path ? store_text(&s->batch, path, strlen(path)) : NULL;
    if (!names || (path && !kept))
        return -ENOMEM;
    a.names = names;
    for (size_t i = 0; i < n; i++) {
        struct knell_symbol_result *r = &results[q[i].query];
        int err = 0;
        if (i && q[i].vaddr == q[i - 1].vaddr)
            *r = results[q[i - 1].query];
        else
            err = answer(&a, q[i].vaddr - bias, r);
        if (err < 0)
            return err;
        r->debug_path = kept;
        /* What went wrong is told where it cost the answer. */
        if (m->status != KNELL_SYMBOL_OK && r->status != KNELL_SYMBOL_OK)
            r->status = m->status;
    }
    return 0;
}

/* The questions that can be asked of the module: distinct addresses of its file. */
static size_t distinct(
    const struct question *q, size_t n, uint64_t bias, uint64_t *ret_pcs)
{
    size_t n_pcs = 0;
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || q[i].vaddr != q[i - 1].vaddr)
            ret_pcs[n_pcs++] = q[i].vaddr - bias;
    }
    return n_pcs;
}

static void set_all(const struct question *q, size_t n, enum knell_symbol_status status,
    struct knell_symbol_result *results)
{
    for (size_t i = 0; i < n; i++)
        results[q[i].query].status = status;
}

static int ask_module(struct knell_symbolizer *s, const struct knell_symbol_module *from,
    const struct question *q, size_t n, struct knell_symbol_result *results)
{
    struct module m;
    int err = module_open(from, &s->places, &s->budget, &m);
    if (err < 0)
        return err;
    if (!m.has_main && !m.has_separate) {
        set_all(q, n, m.status, results);
        module_done(&m);
        return 0;
    }
    uint64_t bias = from->base - m.first_vaddr;
    CLEANUP(free_p) uint64_t *pcs = malloc(n * sizeof *pcs);
    struct table t = {0};
    err = pcs ? 0 : -ENOMEM;
    if (err == 0) {
        /* Below the first address the bias wraps, and so does the order. */
        struct wanted wanted = {.pcs = pcs, .n = distinct(q, n, bias, pcs)};
        err = module_fill(&m, &wanted, &t);
    }
    if (err == 0)
        err = answer_all(s, &m, &t, bias, q, n, results);
    if (err == 0 && !from->n_build_id && !from->image) {
        for (size_t i = 0; i < n; i++) {
            if (results[q[i].query].n_frames)
                results[q[i].query].status = KNELL_SYMBOL_UNVERIFIED;
        }
    }
    table_done(&t);
    module_done(&m);
    return err;
}

int knell_symbolize(struct knell_symbolizer *s, const struct knell_symbol_module *modules,
    size_t n_modules, const struct knell_symbol_query *queries, size_t n_queries,
    struct knell_symbol_result *results)
{
    store_done(&s->batch);
    CLEANUP(free_p)
    struct question *q = malloc((n_queries ? n_queries : 1) * sizeof *q);
    size_t n = 0;
    if (!q)
        return -ENOMEM;
    for (size_t i = 0; i < n_queries; i++) {
        const struct knell_symbol_query *from = &queries[i];
        results[i] = (struct knell_symbol_result){.status = KNELL_SYMBOL_NO_MODULE};
        uint64_t pc = from->pc - (from->kind == KNELL_FRAME_RETURN);
        if (from->module < n_modules && inside(&modules[from->module], pc))
            q[n++] = (struct question){from->module, pc, i};
    }
    qsort(q, n, sizeof *q, by_module_and_address);
    int err = 0;
    for (size_t i = 0, end; err == 0 && i < n; i = end) {
        for (end = i + 1; end < n && q[end].module == q[i].module;)
            end++;
        err = ask_module(s, &modules[q[i].module], q + i, end - i, results);
    }
    return err;
}

const char *knell_symbol_status_name(enum knell_symbol_status status)
{
    switch (status) {
    case KNELL_SYMBOL_OK:
        return "ok";
    case KNELL_SYMBOL_SYMTAB_ONLY:
        return "symtab_only";
    case KNELL_SYMBOL_NOT_FOUND:
        return "not_found";
    case KNELL_SYMBOL_MISSING:
        return "missing";
    case KNELL_SYMBOL_MISMATCH:
        return "build_id_mismatch";
    case KNELL_SYMBOL_MALFORMED:
        return "malformed";
    case KNELL_SYMBOL_TOO_LARGE:
        return "too_large";
    case KNELL_SYMBOL_TIMEOUT:
        return "timeout";
    case KNELL_SYMBOL_UNVERIFIED:
        return "unverified";
    case KNELL_SYMBOL_NO_MODULE:
        return "no_module";
    }
    return "unknown";
}
