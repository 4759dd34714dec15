/**
 * Which files to let go when a spool is over its limits. Pure: a list in, marks out.
 *
 * In this order, until the limits are kept: what is past its time (sent, quarantined,
 * undeliverable for too long); the oldest sent; the oldest quarantined; the oldest
 * segments, since spans and logs are worth less than a crash; the middle of the largest
 * signature group, whose first reports and newest say all there is to say; then more of
 * the groups down to one each; then the oldest. The last two steps keep a spool's own
 * limits only: a shortage of the filesystem, which others may have made, leaves the first
 * reports and the newest of each signature. Queued is also what is held for want of
 * consent. Never what is claimed, or held by a person, which is not counted either.
 */
#pragma once
#include "uploader/spool/dir.h"

enum limits_reason {
    LIMITS_KEEP = 0,
    LIMITS_RETAINED, /* sent or quarantined long enough */
    LIMITS_EXPIRED,  /* could not be delivered for too long */
    LIMITS_OVERFLOW, /* no room */
};

struct limits_file {
    struct spool_name name;
    uint8_t state;  /* enum spool_state */
    uint8_t reason; /* out: enum limits_reason */
    uint64_t n_bytes;
    uint64_t settled_ms; /* sent/ and bad/: when it came there */
    char *file;          /* NULL: as @name says; in bad/ there may be others */
};

struct limits {
    uint64_t max_reports, max_bytes; /* of all folders but live/; 0: any */
    uint64_t max_age_ms;             /* of what is queued */
    uint64_t retain_sent_ms, retain_sent_bytes, retain_bad_ms, retain_bad_bytes;
    uint64_t keep_first, keep_last; /* of a signature */
    uint64_t need_bytes;            /* more to free: the filesystem is short of so much */
    uint64_t need_files;
};

/**
 * @files  reordered; reason set for each
 * Returns how many are to go, or -ENOMEM.
 */
long limits_choose(struct limits_file *files, size_t n, const struct limits *limits,
    uint64_t now_ms) MUST_CHECK;
