/**
 * What OpenTelemetry's variables say about this process: OTEL_RESOURCE_ATTRIBUTES and
 * OTEL_SERVICE_NAME. They belong to the process that dies, so they go into its journal,
 * as a group of facts; where to send to is the uploader's business. Source:
 * OpenTelemetry, SDK environment variables and resource SDK.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* The name of the group, which the uploader knows. */
#define KN_OTEL_GROUP "otel.resource"

enum { KN_OTEL_MAX_ATTRIBUTES = 32, KN_OTEL_KEY_BYTES = 64, KN_OTEL_VALUE_BYTES = 256 };

/**
 * One attribute of a list "key=value,key=value" with percent-encoded values.
 *
 * Context: any.
 * @list  NULL: none
 * @out   cut to @n bytes with its NUL; empty when there is no such key
 * Returns whether it is there.
 */
bool kn_otel_attribute(const char *list, const char *key, char *out, size_t n);

/**
 * Write the attributes into the journal; the service's name comes first and wins.
 *
 * Context: normal; after the start.
 * @list, @service_name  NULL: none
 */
void kn_otel_remember(const char *list, const char *service_name);
