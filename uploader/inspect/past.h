/** Reading the spool's history: what the uploader wrote about each report. */
#pragma once
#include "uploader/spool/dir.h"

#include <stdint.h>

struct past_line {
    char event_id[33];
    uint64_t time_ms;
    char what[32]; /* sent, deferred, quarantined, ... */
    char to[256], why[400];
    int status; /* HTTP; 0: none */
};

/**
 * Visit every line, oldest first. Lines that do not parse are skipped.
 *
 * @visit  a result other than 0 ends the walk
 * Returns 0, what @visit returned, or a negative errno. No history is no error.
 */
int past_each(const struct spool *s,
    int (*visit)(void *ctx, const struct past_line *line), void *ctx) MUST_CHECK;
