/**
 * Looking after a spool, for the uploader and for people: keep it within its limits, make
 * reports due, sweep up.
 */
#pragma once
#include "uploader/spool/limits.h"

struct tend_evicted {
    uint64_t n_expired, n_overflow;
};

/**
 * Remove what limits_choose() lets go. Folders are not entered, links not followed.
 *
 * @limits  need_bytes and need_files are taken as they are: see tend_shortage()
 * @gone    told of each queued report that was removed; may be NULL
 * Returns 0 or a negative errno.
 */
int tend_evict(const struct spool *s, const struct limits *limits, uint64_t now_ms,
    void (*gone)(void *ctx, const struct limits_file *file), void *ctx,
    struct tend_evicted *ret) MUST_CHECK;

/* Bytes and files that the spool's filesystem is short of @keep_bytes and @keep_files, or
 * of a twentieth of all it has where that is less. */
void tend_shortage(const struct spool *s, uint64_t keep_bytes, uint64_t keep_files,
    uint64_t *ret_bytes, uint64_t *ret_files);

/**
 * Give back what the queued reports were given and did not use: a dying process leaves
 * that to others.
 *
 * Returns 0, or the negative errno of listing.
 */
int tend_trim(const struct spool *s) MUST_CHECK;
/* One report: it would count against the limits with all that it was given. */
void tend_trim_report(const struct spool *s, enum spool_state state, const char *file);

/* What killed processes and full disks left: temporary files older than an hour, here and
 * in the symbol store; reasons in bad/ whose reports are gone, and reports there without
 * one. For the holder of the lock: nobody else may be about to quarantine. */
int tend_clean(const struct spool *s) MUST_CHECK;

/* Whether a file of bad/ is a reason (NAME.why) and nothing it speaks of is there. */
bool tend_is_orphan(const struct spool *s, const char *file);

/* Whether a file of bad/ should have a reason beside it and has none; and give it one. */
bool tend_lacks_reason(const struct spool *s, const char *file);
int tend_add_reason(const struct spool *s, const char *file) MUST_CHECK;
