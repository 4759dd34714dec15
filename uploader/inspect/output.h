/**
 * A file that a command makes: -o FILE, or standard output when that is no terminal.
 * A file appears whole or not at all.
 */
#pragma once
#include "uploader/inspect/session.h"

struct output {
    int fd;
    const char *path; /* NULL: standard output */
    char *temporary;
    uint64_t n_bytes; /* written so far */
};

/* Returns 0 or a negative errno after a message; -EINVAL for a terminal. */
int output_open(struct session *s, struct output *ret) MUST_CHECK;
int output_write(struct output *o, const void *bytes, size_t n) MUST_CHECK;
/* @err  what went wrong so far: then the file is removed.
 * Returns @err or what closing said, after a message. */
int output_close(struct session *s, struct output *o, int err) MUST_CHECK;

/* Make no file after all, without a message. */
void output_drop(struct output *o);

/* With --json: an object with "file", "bytes" and, unless it is 0, "reports" on stdout;
 * nothing when the bytes themselves went there. */
void output_json(const struct session *s, uint64_t n_bytes, size_t n_reports);
