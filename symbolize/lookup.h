/**
 * Inside of symbolize.h: the questions of a batch that fall into one module.
 */
#pragma once
#include "symbolize/answer.h"
#include "symbolize/budget.h"
#include "symbolize/debug_file.h"
#include "symbolize/source.h"
#include "symbolize/store.h"

#include <stdbool.h>

enum { LOOKUP_MAX_DEBUG_DIRS = 64 };

struct knell_symbolizer {
    struct budget budget;
    struct debug_places places;
    char *debug_dirs[LOOKUP_MAX_DEBUG_DIRS + 1];
    char *store_dir, *fetched_dir, *sysroot, *cache_dir;
    uint64_t cache_max_bytes;
    uint32_t max_frames, context_lines;
    bool demangle;
    struct store batch;   /* what the last results point to */
    struct cache *caches; /* the same: their texts are handed out */
    struct sources sources;
};

/* Release what the last results point to. */
void lookup_forget(struct knell_symbolizer *s);

/* A query on its way: by module, then by address. */
struct question {
    uint64_t vaddr; /* run-time, adjusted by kind; later of the file */
    uint32_t module, query;
};

/**
 * Answer @n questions of one module, sorted by address.
 *
 * @results  of the whole batch; those of the questions are filled
 * Returns 0 or -ENOMEM.
 */
int lookup_module(struct knell_symbolizer *s, const struct knell_symbol_module *module,
    const struct question *q, size_t n, struct knell_symbol_result *results) MUST_CHECK;
