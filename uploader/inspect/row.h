/**
 * One report in a line or as JSON: what every listing says about it.
 */
#pragma once
#include "uploader/inspect/loader.h"
#include "uploader/inspect/safe.h"

enum { ROW_TEXT_BYTES = 96 };

/* Members of an open JSON object. Documented in knell(1), "JSON". */
void row_json(struct json *j, const struct store *t, const struct report *r,
    const struct index_entry *e);

/* "SEGV/MAPERR", "ABRT", "error", "killed". Returns @out. */
const char *row_signal(
    const struct report *r, const struct index_entry *e, char out[static ROW_TEXT_BYTES]);
/* "wait 2 (13m)", "sent", "bad". */
const char *row_state(
    const struct report *r, int64_t now_ms, char out[static ROW_TEXT_BYTES]);
enum style row_state_style(uint32_t state);
/* "conn_read conn.c:212", "libfoo.so", the reason why it is unreadable; captured text as
 * it is. */
void row_place(const struct index_entry *e, struct safe *out);
enum { ROW_RELEASE_BYTES = 208 };
/* The release without "APP@" before it; of one that is a build-id or a commit's hash the
 * first 12 digits. Returns @out, or NULL when there is none. */
const char *row_release(const struct index_entry *e, char out[static ROW_RELEASE_BYTES]);
