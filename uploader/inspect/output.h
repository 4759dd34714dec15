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
};

/* Returns 0 or a negative errno after a message; -EINVAL for a terminal. */
int output_open(struct session *s, struct output *ret) MUST_CHECK;
int output_write(struct output *o, const void *bytes, size_t n) MUST_CHECK;
/* @err  what went wrong so far: then the file is removed.
 * Returns @err or what closing said, after a message. */
int output_close(struct session *s, struct output *o, int err) MUST_CHECK;
