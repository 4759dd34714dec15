/**
 * A segment (sessions, transactions, logs of a process) -> envelope items.
 */
#pragma once
#include "uploader/worker/process.h"

/* Whether the bytes begin as a segment does. */
bool segment_is(const uint8_t *bytes, size_t n);

/**
 * As worker_process(). Records that are not whole end the segment; transactions that a
 * rule ignores are left out.
 */
int segment_process(const uint8_t *bytes, size_t n, const struct worker_options *o,
    struct worker_result *ret) MUST_CHECK;
