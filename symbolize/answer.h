/**
 * A table's knowledge of one address as frames.
 */
#pragma once
#include "symbolize/source.h"
#include "symbolize/store.h"
#include "symbolize/table.h"

#include <knell/symbolize.h>
#include <stdbool.h>

struct answers {
    const struct table *table;
    struct store *out; /* owns what the frames point to */
    uint64_t bias;     /* run-time address minus the file's */
    uint32_t max_frames;
    bool demangle;
    struct sources *sources;
    const char **names; /* readable name of each function of the table; calloc'ed */
};

/**
 * Frames of the address @vaddr of the file.
 *
 * @ret  frames and n_frames; status OK, SYMTAB_ONLY or NOT_FOUND
 * Returns 0, -ENOMEM, or -EBADMSG when a cached table breaks off.
 */
int answer(struct answers *a, uint64_t vaddr, struct knell_symbol_result *ret) MUST_CHECK;
