/**
 * The resource attributes that OpenTelemetry's variables gave the dead process: the group
 * "otel.resource" of its facts. Gathered unasked, so cleaned as such.
 */
#pragma once
#include "uploader/event/scrub.h"

#define OTEL_RESOURCE_CONTEXT "otel.resource"

/**
 * Take out of an event's group what identifies a machine or a person (unless @pii) and
 * what looks like a secret.
 *
 * @scrub  NULL: nothing is scrubbed
 * Errors: -ENOMEM.
 */
int otel_resource_clean(cJSON *event, bool pii, const struct scrub *scrub) MUST_CHECK;

/* The group, or NULL. */
const cJSON *otel_resource_of(const cJSON *event);
