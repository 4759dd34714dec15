/**
 * One transaction an envelope: servers keep only one of several; and logs go to another
 * place of an OTLP collector than spans. A segment in new/ that holds more becomes as
 * many segments, before anybody claims it.
 */
#pragma once
#include "uploader/spool/dir.h"

/**
 * Pure: the @i-th part of a segment. Logs and sessions, if there are any, are part 0,
 * logs beyond KNELL_ITEM_MAX_LOGS the parts after it; each other part holds one
 * transaction with its spans.
 *
 * @bytes  the whole file, not trusted; the first record that is not whole ends it
 * @ret    malloc'd
 * Returns 0, -ENODATA beyond the last part, -EBADMSG no segment, -ENOMEM.
 */
int split_part(
    const uint8_t *bytes, size_t n, uint32_t i, uint8_t **ret, size_t *ret_n) MUST_CHECK;

/**
 * Pure: all parts, each with its length before it, as split_next() takes them.
 *
 * @ret  malloc'd
 * Returns 0, -ENODATA when there is only one, -EBADMSG no segment, -ENOMEM.
 */
int split_list(const uint8_t *bytes, size_t n, uint8_t **ret, size_t *ret_n) MUST_CHECK;

/* The part at @at, which moves on. Returns 1, 0 at the end, -EBADMSG. */
int split_next(const uint8_t *list, size_t n, size_t *at, const uint8_t **ret_part,
    size_t *ret_n) MUST_CHECK;

/* split_list(), or whoever does it: @ctx as given to split_all(). */
typedef int split_lister(
    void *ctx, const uint8_t *bytes, size_t n, uint8_t **ret, size_t *ret_n);

/**
 * Split every segment of new/ that needs it. A death in between leaves a segment that is
 * split again into parts with the same names.
 *
 * @s       locked by the caller
 * @lister  NULL: here, in this process
 * Returns how many were split, or a negative errno of the listing.
 */
int split_all(const struct spool *s, split_lister *lister, void *ctx) MUST_CHECK;
