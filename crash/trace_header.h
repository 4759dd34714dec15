/**
 * Trace headers, text to fields and back. Pure.
 *
 * Source: Sentry's "sentry-trace" (trace id, span id, sampled), W3C Trace Context
 * "traceparent" version 00, W3C Baggage.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum kn_sampled { KN_SAMPLED_UNDECIDED = -1, KN_SAMPLED_NO = 0, KN_SAMPLED_YES = 1 };

struct kn_trace_parent {
    uint8_t trace_id[16], span_id[8];
    int sampled; /* enum kn_sampled */
};

/**
 * "32 hex-16 hex[-0|1]".
 *
 * Context: any.
 * Returns 0 or -EINVAL; all-zero ids are invalid.
 */
int kn_sentry_trace_parse(const char *text, struct kn_trace_parent *ret);

/**
 * "00-32 hex-16 hex-2 hex", of later versions the same fields.
 *
 * Context: any.
 * Returns 0 or -EINVAL.
 */
int kn_traceparent_parse(const char *text, struct kn_trace_parent *ret);

/**
 * Keep of a baggage header the members "sentry-…", which belong to the trace and are
 * passed on unchanged.
 *
 * Context: any.
 * @text  untrusted; control characters end it
 * @out   @room bytes; always NUL-terminated; a member that does not fit is left out
 * Returns the length.
 */
size_t kn_baggage_filter(const char *text, char *out, size_t room);

/**
 * Append "key=value" to a baggage header, the value percent-encoded.
 *
 * Context: any.
 * @n  length so far; nothing is added when it does not fit
 * Returns the new length.
 */
size_t kn_baggage_add(
    char *out, size_t room, size_t n, const char *key, const char *value);

/**
 * Lower-case hex digits and a NUL.
 *
 * Context: any.
 * @out  2 * n + 1 bytes
 */
void kn_hex(const uint8_t *bytes, size_t n, char *out);
