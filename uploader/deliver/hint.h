/**
 * What servers say about when to come back: Retry-After and X-Sentry-Rate-Limits. Pure.
 */
#pragma once
#include "symbolize/cleanup.h"

#include <stdbool.h>
#include <stdint.h>

/* Kinds of data that servers limit separately; what knell sends, and the rest in one. */
enum hint_category {
    HINT_ERROR, /* events; also "default" */
    HINT_TRANSACTION,
    HINT_SESSION,
    HINT_ATTACHMENT,
    HINT_LOG,
    HINT_INTERNAL, /* client reports */
    HINT_N_CATEGORIES,
};

/* Seconds until each category may be sent again; 0: now. */
struct hint {
    uint64_t seconds[HINT_N_CATEGORIES];
    bool any; /* some category is limited */
};

/**
 * Retry-After: seconds (whole or with a fraction) or an HTTP date.
 *
 * @now_s  since 1970
 * @max_s  most that is believed
 * Returns 0, or -EINVAL when it is neither; a date in the past is 0 seconds.
 * Source: RFC 9110 section 10.2.3 and 5.6.7 (all three forms of a date).
 */
int hint_retry_after(
    const char *text, uint64_t now_s, uint64_t max_s, uint64_t *ret_s) MUST_CHECK;

/**
 * X-Sentry-Rate-Limits: quota[, quota…], quota = SECONDS:CATEGORIES:SCOPE:…
 *
 * Empty categories limit everything; unknown ones are skipped, and a quota with none but
 * unknown ones limits nothing; the longest of each category wins; what does not parse is
 * skipped.
 */
void hint_rate_limits(const char *text, uint64_t max_s, struct hint *ret);
