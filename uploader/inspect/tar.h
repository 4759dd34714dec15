/** The plain subset of tar (ustar) that a bundle needs: regular files with short names.
 */
#pragma once
#include "uploader/inspect/output.h"

#include <stdint.h>

enum { TAR_NAME_BYTES = 100 };

struct tar_entry {
    char name[TAR_NAME_BYTES + 1];
    const uint8_t *bytes;
    size_t n;
};

/* @name  shorter than TAR_NAME_BYTES. Returns 0 or what writing said. */
int tar_put(struct output *o, const char *name, const void *bytes, size_t n) MUST_CHECK;
int tar_end(struct output *o) MUST_CHECK;

/**
 * The entry at *@at, and *@at moved behind it. The bytes are not trusted.
 *
 * Returns 1, 0 at the end, or -EBADMSG for anything but a regular file with a sound head.
 */
int tar_next(
    const uint8_t *bytes, size_t n, size_t *at, struct tar_entry *ret) MUST_CHECK;
