/**
 * Times as people write and read them: journalctl's words for --since and --until, ages
 * and durations.
 */
#pragma once
#include "symbolize/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WHEN_BYTES = 40 };

/**
 * Parse a point in time: "2026-11-20 22:14:07.5", "2026-11-20T22:14:07Z" (also with an
 * offset such as +01:00), any shorter start of these ("2026-11-20", "22:14"), "@SECONDS",
 * "now", "today", "yesterday", "tomorrow", a weekday's name (the last one), and spans
 * before or after now: "-2h", "2 hours ago", "1d 12h ago", "+5min". A span without a sign
 * or "ago" counts backwards, since reports lie in the past.
 *
 * @now_ms  what "now" means, milliseconds since 1970
 * @utc     read the calendar in UTC, else in local time
 * Errors: -EINVAL for anything else; *ret_ms is then untouched.
 * Source: systemd.time(7), the forms journalctl takes.
 */
int when_parse(const char *s, int64_t now_ms, bool utc, int64_t *ret_ms) MUST_CHECK;

/**
 * Parse a duration: "90", "90s", "15min", "2h", "7d", "1w 2d". A bare number is seconds.
 * Errors: -EINVAL, -ERANGE.
 */
int when_parse_span(const char *s, int64_t *ret_ms) MUST_CHECK;

/* "2026-11-20 22:14:07", local time or UTC; with milliseconds and zone when @full.
 * Returns
 * @out. */
const char *when_format(
    char out[static WHEN_BYTES], int64_t time_ms, bool utc, bool full);
/* "2026-11-20T22:14:07.123Z": what JSON holds. */
const char *when_iso(char out[static WHEN_BYTES], int64_t time_ms);
/* One unit, at most four columns: "12s", "4m", "3h", "5d", "8w", "2y". Negative: "+3m".
 */
const char *when_age(char out[static WHEN_BYTES], int64_t ms);
/* Two units: "3d 2h", "14min 20s", "1.2s", "35ms". */
const char *when_span(char out[static WHEN_BYTES], int64_t ms);
