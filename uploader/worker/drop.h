/** A result that is not sent, and why. */
#pragma once
#include "uploader/worker/process.h"

/* What servers take of an event: Relay's limit of an event item is 1 MiB. */
enum { WORKER_MAX_EVENT_BYTES = 1000 * 1000 };

static inline size_t worker_max_event_bytes(const struct worker_options *o)
{
    return o->max_event_bytes ? o->max_event_bytes : WORKER_MAX_EVENT_BYTES;
}

/* @category  reason of a client report. Items and OTLP body are freed. */
void worker_drop(
    struct worker_result *ret, const char *category, const char *what, const char *why);
