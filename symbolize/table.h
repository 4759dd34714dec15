/**
 * What is known about one module, flat: sorted address ranges, each with a place in the
 * source and the chain of calls that were inlined there. It is what DWARF is converted
 * into, what questions are answered from and what the symbol cache holds.
 */
#pragma once
#include "symbolize/cleanup.h"
#include "symbolize/packed.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_NONE UINT32_MAX

enum { TABLE_STEP = 128 }; /* items between two entries of an index */

/* One structure for memory and file: fixed sizes, little-endian. */
struct table_function {
    uint64_t entry; /* lowest address of its first range; 0: unknown */
    uint32_t name;  /* linkage name, or the source's with its scope; TABLE_NONE */
    uint32_t reserved;
};

struct table_file {
    uint32_t directory, name; /* strings; directory may be TABLE_NONE */
};

/* A place in the source, and where its function was called from when inlined. */
struct table_place {
    uint32_t function, file; /* TABLE_NONE: unknown */
    uint32_t line, column;
    uint32_t caller; /* place of the call; TABLE_NONE: not inlined */
};

struct table_range {
    uint64_t low, high;
    uint32_t place; /* TABLE_NONE: nothing is known of these addresses */
    uint32_t reserved;
};

struct table_symbol {
    uint64_t low, high; /* high == low: of unknown size, to the next symbol */
    uint32_t name;
    uint32_t file;      /* of a local symbol, from STT_FILE; TABLE_NONE */
    uint32_t n_aliases; /* other functions at the same address */
    uint32_t rank;      /* the higher, the better a name for its address */
};

struct table_covered {
    uint64_t low, high;
};

/* Items without duplicates, found again by their bytes. */
struct table_pool {
    void *items;
    uint32_t n, max;
    uint32_t *slots, n_slots; /* index + 1 into items, 0: free */
};

struct table_list {
    void *items;
    size_t n, max;
};

struct cache;

struct table {
    struct cache *pages; /* of a table in the cache: makes items readable; else NULL */
    bool whole;          /* all of them are already, and the last string ends */
    char *text;          /* NUL-terminated strings; offsets are their names */
    uint32_t n_text, max_text;
    uint32_t *text_slots, n_text_slots, n_strings;
    struct table_pool functions, files, places;
    struct table_list readable; /* uint32_t: names for people of the first functions */
    struct table_list ranges;   /* table_range */
    struct table_list symbols;  /* table_symbol */
    struct table_list covered;  /* table_covered */
    size_t n_sorted;            /* ranges that table_settle() has seen */
    /* Of a table in the cache: instead of places and ranges. A place's columns are its
     * members. An edge is where a range or a gap begins: its distance from the first one
     * of its TABLE_STEP edges, and its place; the last edge ends the last range. */
    struct packed packed_places, edges;
    /* Of a table in the cache: where every TABLE_STEP'th item begins, uint64_t, so that a
     * search touches few pages. */
    struct table_list edge_steps, symbol_steps;
};

void table_done(struct table *t);

/* Each adds, or finds, and gives the index. Errors: -ENOMEM, -E2BIG. */
int table_string(struct table *t, const char *s, size_t n, uint32_t *ret) MUST_CHECK;
int table_function(
    struct table *t, const struct table_function *f, uint32_t *ret) MUST_CHECK;
int table_file(struct table *t, const struct table_file *f, uint32_t *ret) MUST_CHECK;
int table_place(struct table *t, const struct table_place *p, uint32_t *ret) MUST_CHECK;

int table_add_range(
    struct table *t, uint64_t low, uint64_t high, uint32_t place) MUST_CHECK;
int table_add_symbol(struct table *t, const struct table_symbol *s) MUST_CHECK;
int table_add_covered(struct table *t, uint64_t low, uint64_t high) MUST_CHECK;
/* Keep a function's name for people. */
int table_add_readable(struct table *t, uint32_t function, const char *name) MUST_CHECK;

/* Sort what was added; of ranges that overlap, the one added first stays. -ENOMEM leaves
 * no range. */
int table_settle(struct table *t) MUST_CHECK;

/* After table_settle(). The place of @pc, or TABLE_NONE. */
uint32_t table_find(const struct table *t, uint64_t pc);
/* The symbol around @pc, or NULL. Of several symbols the one that is called @linkage (may
 * be NULL), or a compiler's copy of it, else the best. */
const struct table_symbol *table_find_symbol(
    const struct table *t, uint64_t pc, const char *linkage);
bool table_covers(const struct table *t, uint64_t pc);
/* Whether it covers something in [low, high). */
bool table_covers_any(const struct table *t, uint64_t low, uint64_t high);

/* Items by index; NULL, false when there is none. */
const struct table_function *table_function_at(const struct table *t, uint32_t i);
const struct table_file *table_file_at(const struct table *t, uint32_t i);
bool table_place_at(const struct table *t, uint32_t i, struct table_place *ret);
/* String of the function's name for people; TABLE_NONE when it was not made yet. */
uint32_t table_readable_at(const struct table *t, uint32_t function);
const char *table_text(const struct table *t, uint32_t at);

/* A copy that can grow, of a table in the cache; its items must all be readable.
 * -ENOMEM. */
int table_copy(const struct table *from, struct table *ret) MUST_CHECK;
