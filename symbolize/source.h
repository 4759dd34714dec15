/**
 * Source lines around a place, when the file is there.
 */
#pragma once
#include "symbolize/store.h"

#include <knell/symbolize.h>

struct source_file;

struct sources {
    struct store *out;   /* owns the lines and the files' bytes */
    const char *sysroot; /* may be NULL */
    uint32_t n_lines;    /* before and after */
    struct source_file *files;
};

/**
 * Fill context, n_before and n_context of a frame that has a file and a line. A file that
 * is not there, not regular, too large or shorter leaves them empty.
 * Returns 0 or -ENOMEM.
 */
int source_context(struct sources *s, struct knell_symbol_frame *frame) MUST_CHECK;
