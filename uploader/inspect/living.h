/**
 * Processes that live, as their journals in live/ say while they are written to.
 */
#pragma once
#include "uploader/spool/dir.h"

enum { LIVING_MAX = 64 };

struct living {
    uint32_t pid;
    char app[64], release[208];
    int64_t start_ms,
        last_sign_ms;              /* since 1970; the last sign: at least then it lived */
    uint32_t n_breadcrumbs;        /* a report of now would show so many */
    uint64_t captured, suppressed; /* handled errors, messages and hangs */
};

/**
 * Look at each journal that a process holds. Changes nothing; what cannot be read is left
 * out.
 *
 * @ret  LIVING_MAX of them
 * Returns how many there are, which may be more than were filled in.
 */
size_t living_list(const struct spool *s, struct living *ret);
