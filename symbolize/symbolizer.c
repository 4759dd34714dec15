#include "symbolize/lookup.h"

#include <errno.h>
#include <knell/symbolize.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEFAULT_MEMORY_BYTES = 512 << 20,
    DEFAULT_INLINE_DEPTH = 128,
    DEFAULT_CACHE_BYTES = 256 << 20,
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
        if (i == LOOKUP_MAX_DEBUG_DIRS)
            return -EINVAL;
        int err = copy_text(dirs[i], &s->debug_dirs[i]);
        if (err < 0)
            return err;
    }
    int err = copy_text(o->store_dir, &s->store_dir);
    if (err == 0)
        err = copy_text(o->fetched_dir, &s->fetched_dir);
    if (err == 0)
        err = copy_text(o->sysroot, &s->sysroot);
    if (err == 0)
        err = copy_text(o->cache_dir, &s->cache_dir);
    s->places = (struct debug_places){.debug_dirs = (const char *const *)s->debug_dirs,
        .store_dir = s->store_dir,
        .fetched_dir = s->fetched_dir,
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
    s->context_lines = o.context_lines;
    s->cache_max_bytes = o.cache_max_bytes ? o.cache_max_bytes : DEFAULT_CACHE_BYTES;
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
    for (size_t i = 0; i < LOOKUP_MAX_DEBUG_DIRS; i++)
        free(s->debug_dirs[i]);
    free(s->store_dir);
    free(s->fetched_dir);
    free(s->sysroot);
    free(s->cache_dir);
    lookup_forget(s);
    free(s);
}

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

int knell_symbolize(struct knell_symbolizer *s, const struct knell_symbol_module *modules,
    size_t n_modules, const struct knell_symbol_query *queries, size_t n_queries,
    struct knell_symbol_result *results)
{
    lookup_forget(s);
    if (n_queries > UINT32_MAX)
        return -E2BIG;
    s->sources = (struct sources){
        .out = &s->batch, .sysroot = s->sysroot, .n_lines = s->context_lines};
    CLEANUP(free_p)
    struct question *q = malloc((n_queries ? n_queries : 1) * sizeof *q);
    size_t n = 0;
    if (!q)
        return -ENOMEM;
    for (size_t i = 0; i < n_queries; i++) {
        const struct knell_symbol_query *from = &queries[i];
        results[i] = (struct knell_symbol_result){
            .status = KNELL_SYMBOL_NO_MODULE, .debug_status = KNELL_SYMBOL_NO_MODULE};
        uint64_t pc = from->pc - (from->kind == KNELL_FRAME_RETURN);
        if (from->module < n_modules && inside(&modules[from->module], pc))
            q[n++] = (struct question){pc, from->module, (uint32_t)i};
    }
    qsort(q, n, sizeof *q, by_module_and_address);
    int err = 0;
    for (size_t i = 0, end; err == 0 && i < n; i = end) {
        for (end = i + 1; end < n && q[end].module == q[i].module;)
            end++;
        err = lookup_module(s, &modules[q[i].module], q + i, end - i, results);
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
