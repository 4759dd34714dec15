/**
 * An event -> the body of POST /v1/logs: one log record "app.crash" with the attributes
 * of the process that died. It is made of the finished event, so that rules, hooks and
 * scrubbing hold for it as well.
 * Source: opentelemetry-proto, OTLP/HTTP JSON; semantic conventions for exceptions and
 * app.crash.
 */
#pragma once
#include "symbolize/cleanup.h"

#include <cjson/cJSON.h>
#include <stdint.h>

struct otlp_process {
    uint64_t time_ns, observed_ns;
    uint32_t pid; /* 0: unknown */
};

/**
 * @event  as sentry_event() makes it
 * @ret    cJSON_Delete() it
 * Errors: -ENOMEM.
 */
int otlp_logs(
    const cJSON *event, const struct otlp_process *process, cJSON **ret) MUST_CHECK;
