/**
 * A whole module into the symbol cache, ahead of time.
 */
#pragma once
#include "symbolize/debug_file.h"

struct budget;

struct build_result {
    enum knell_symbol_status status; /* what stood in the way; OK */
    uint64_t n_ranges, n_functions, n_places;
};

/**
 * @path  an ELF file, or its debug file alone
 * @dir   the cache's folder
 * Returns 0; -ENODATA no build-id, or no debug information: status; -EBADMSG and the like
 * from opening it and from cache_write().
 */
int build_cache(const char *path, const struct debug_places *places, const char *dir,
    uint64_t max_bytes, struct budget *budget, struct build_result *ret) MUST_CHECK;

/**
 * Check every page and every index of a cache file.
 * @ret_what  static; what is wrong, for -EBADMSG
 * Errors: as of cache_open(); -EBADMSG.
 */
struct cache;
int build_verify(struct cache *c, const char **ret_what) MUST_CHECK;
