/**
 * The answer table: what a server's answer means for a report. Pure: an answer, a clock
 * and a random number in, a decision out.
 *
 * | answer                                   | verdict        | costs an attempt |
 * |------------------------------------------|----------------|------------------|
 * | 2xx with a body that is ours             | SENT           | -                |
 * | 2xx with HTML or other strange bodies    | CONFIGURATION  | no               |
 * | 429                                      | LIMITED        | no               |
 * | 429 that names kinds of data, but not    |                |                  |
 * | the event; of a segment, not all of them | SENT           | -                |
 * | 408, 425, 5xx, other statuses            | AGAIN          | yes              |
 * | no name, no connection, reset early      | UNREACHABLE    | no               |
 * | request was out, or much of it, then     |                |                  |
 * | silence or reset                         | AGAIN          | yes              |
 * | certificate does not check, 3xx, 401,    |                |                  |
 * | 402, 403, 404, 405, 407, 410             | CONFIGURATION  | no               |
 * | 413                                      | TOO_LARGE      | yes              |
 * | 400, 406, 411, 415, 422                  | REJECTED       | -                |
 * | consent gone                             | FORBIDDEN      | no               |
 * | our own want of memory, descriptors      | LOCAL          | no               |
 *
 * An OTLP collector's: only 429, 502, 503 and 504 may be tried again, any other 5xx, 408
 * and 425 are REJECTED; so is a 2xx that refuses any of it (partial success).
 * Source: OpenTelemetry protocol specification, OTLP/HTTP response.
 */
#pragma once
#include "uploader/deliver/answer.h"
#include "uploader/deliver/hint.h"

enum retry_verdict {
    RETRY_SENT,
    RETRY_LIMITED,
    RETRY_AGAIN,
    RETRY_UNREACHABLE,
    RETRY_CONFIGURATION,
    RETRY_TOO_LARGE,
    RETRY_REJECTED,
    RETRY_FORBIDDEN,
    RETRY_LOCAL,
};

struct retry_limits {
    uint64_t base_ms, max_ms;  /* backoff: up to base * 2^attempts, at most max */
    uint64_t hint_max_s;       /* most a server may ask for */
    uint64_t hint_default_s;   /* 429 without a hint */
    uint64_t configuration_ms; /* rest after a configuration error */
};

struct retry_decision {
    enum retry_verdict verdict;
    bool counts;        /* one more attempt in the report's name */
    uint64_t wait_ms;   /* for this report; 0: whenever its host and category allow */
    uint64_t host_ms;   /* nothing at all to this host for so long; 0: go on */
    struct hint limits; /* of the destination, from any answer */
    char why[ANSWER_TEXT_BYTES]; /* one line for people; "" when sent */
};

/**
 * @random  any; spreads waits (full jitter)
 * @attempts  in the report's name, before this one
 */
void retry_decide(const struct answer *a, const struct retry_limits *limits,
    uint64_t now_s, unsigned attempts, uint64_t random, struct retry_decision *ret);

/* Wait before attempt number @attempts + 1: uniform in [1, min(max, base * 2^attempts)].
 */
uint64_t retry_backoff_ms(
    const struct retry_limits *limits, unsigned attempts, uint64_t random);
