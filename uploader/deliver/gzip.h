/* Compress one body after the other with one compressor. */
#pragma once
#include "symbolize/cleanup.h"

#include <stddef.h>
#include <stdint.h>

struct gzip;

/* @level  1 to 3. Returns 0 or -ENOMEM. */
int gzip_new(int level, struct gzip **ret) MUST_CHECK;
void gzip_free(struct gzip *g);

/* @ret  malloc'd; free(). Returns 0, -ENOMEM, or -E2BIG beyond 1 GiB. */
int gzip_pack(
    struct gzip *g, const void *bytes, size_t n, uint8_t **ret, size_t *ret_n) MUST_CHECK;
