/**
 * One transaction an envelope: servers keep only one of several; and logs go to another
 * place of an OTLP collector than spans. A segment in new/ that holds more becomes as
 * many segments, before anybody claims it: their names have SPLIT_PART for a signature,
 * but for the first, which takes the place of the whole.
 */
#pragma once
#include "uploader/spool/dir.h"

enum { SPLIT_PART = 1 };

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

/* split_list(), or whoever does it: @ctx as given to split_one(). */
typedef int split_lister(
    void *ctx, const uint8_t *bytes, size_t n, uint8_t **ret, size_t *ret_n);

/* Whether this may hold more than an envelope may: a segment that is no part already. */
bool split_is_due(const struct spool_name *name);

/**
 * Split a segment of new/ when it needs it. A death in between leaves a segment that is
 * split again into parts with the same names.
 *
 * @s       locked by the caller
 * @lister  NULL: here, in this process
 * Returns 1, 0 when there is nothing to split, or a negative errno of the lister or this
 * machine: it must not be sent as it is now.
 */
int split_one(const struct spool *s, const struct spool_name *name, split_lister *lister,
    void *ctx) MUST_CHECK;
