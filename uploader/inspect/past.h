/** Reading the spool's history: what the uploader wrote about each report. */
#pragma once
#include "uploader/inspect/json.h"
#include "uploader/inspect/out.h"
#include "uploader/spool/dir.h"

#include <stdint.h>

struct past_line {
    char event_id[33]; /* lower-case hexadecimal, or "" */
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

/* "2026-11-20 22:16:01  0190f3c2  deferred to https://..., HTTP 503: why" and a newline;
 * the id only @with_id. */
void past_print(
    const struct out *o, const struct past_line *line, bool utc, bool with_id);
/* Members of an open object; the id only @with_id. */
void past_json(struct json *j, const struct past_line *line, bool with_id);
