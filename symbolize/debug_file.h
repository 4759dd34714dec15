/**
 * Finding the files that belong to a module, by exact identity only.
 */
#pragma once
#include "symbolize/elf_file.h"

#include <knell/symbolize.h>

/* Where to look; all borrowed. */
struct debug_places {
    const char *const *debug_dirs;                 /* NULL-terminated */
    const char *store_dir, *fetched_dir, *sysroot; /* each may be NULL */
};

struct budget;
struct debug_identity {
    const char *path;        /* NULL: unknown */
    const uint8_t *build_id; /* NULL: none known */
    size_t n_build_id;
};

/* The worst that was met on the way, for the answer when nothing was found. */
struct debug_search {
    const struct budget *clock;
    enum knell_symbol_status status; /* KNELL_SYMBOL_MISSING to begin with */
    int err;                         /* -ENOMEM and the like; 0 */
};

/**
 * The module's own file: its path under the sysroot, then the store.
 * Returns 1 and @ret, or 0 with search->status, or -ENOMEM.
 */
int debug_find_module(const struct debug_places *p, const struct debug_identity *id,
    struct debug_search *search, struct elf_file *ret) MUST_CHECK;

/**
 * A separate file with .debug_info: build-id directories, debuglink of @main (NULL: not
 * there), store.
 * Returns as above.
 */
int debug_find_separate(const struct debug_places *p, const struct debug_identity *id,
    const struct elf_file *main, struct debug_search *search,
    struct elf_file *ret) MUST_CHECK;

/* A file by its build-id alone, with @suffix (".debug"); for alternate files. */
int debug_find_by_id(const struct debug_places *p, const uint8_t *build_id,
    size_t n_build_id, struct debug_search *search, struct elf_file *ret) MUST_CHECK;

/* Note why a file was not taken; keeps the most telling reason. */
void debug_search_note(struct debug_search *s, int err);

/* Whether the file says something about lines. */
bool debug_file_has_info(const struct elf_file *f);
