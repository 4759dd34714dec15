/**
 * A table's knowledge of one address as frames.
 */
#pragma once
#include "symbolize/source.h"
#include "symbolize/store.h"
#include "symbolize/table.h"

#include <knell/symbolize.h>
#include <stdbool.h>

/* Texts of the table that were handed out once, so that each is copied once. */
struct answered_function {
    const char *readable, *raw;
};

struct answered_file {
    const char *name, *directory;
};

struct answers {
    const struct table *table;
    struct store *out; /* owns what the frames point to */
    uint64_t bias;     /* run-time address minus the file's */
    uint32_t max_frames;
    bool demangle;
    bool texts_stay; /* the table's texts live as long as what is in @out */
    struct sources *sources;
    /* Kept by answers_init() and answer(). */
    struct answered_function *functions; /* of each of the table's */
    struct answered_file *files;
    struct answered_function symbol; /* that the last answer ended in */
    uint32_t symbol_name;            /* its string in the table */
    struct table_place *chain;       /* of the last answer, the innermost first */
    uint32_t n_chain, max_chain;
    /* The last answer and what it was made of: the next address often has the same. */
    struct {
        bool known, whole; /* whole: its chain was not cut, so it ends in a symbol */
        uint32_t place;
        const char *linkage; /* of its outermost function */
        const struct table_symbol *symbol;
        struct knell_symbol_result result;
    } last;
};

/* Prepare what the caller has filled in, up to sources: 0 or -ENOMEM. */
int answers_init(struct answers *a) MUST_CHECK;
/* Put the readable names that were handed out into the table, so that they need not be
 * made again. Errors: -ENOMEM, -E2BIG. */
int answers_keep_names(const struct answers *a, struct table *t) MUST_CHECK;
/* Accepts a zeroed one; what was handed out stays in the store. */
void answers_done(struct answers *a);

/**
 * Frames of the address @vaddr of the file.
 *
 * @ret  frames and n_frames; status OK, SYMTAB_ONLY or NOT_FOUND
 * Returns 0 or -ENOMEM.
 */
int answer(struct answers *a, uint64_t vaddr, struct knell_symbol_result *ret) MUST_CHECK;
