/**
 * Transactions and spans: how long a request took and what it waited for, and the ids
 * that tie reports, logs and other services' traces to it.
 *
 * A transaction that is not sampled (options.traces_sample_rate) costs its ids and no
 * more. The innermost open span of a thread is in every report of it.
 */
#ifndef KNELL_TRACE_H
#define KNELL_TRACE_H

#include <knell/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum knell_span_status {
    KNELL_SPAN_UNSET = 0,
    KNELL_SPAN_OK = 1,
    KNELL_SPAN_CANCELLED,
    KNELL_SPAN_UNKNOWN_ERROR,
    KNELL_SPAN_INVALID_ARGUMENT,
    KNELL_SPAN_DEADLINE_EXCEEDED,
    KNELL_SPAN_NOT_FOUND,
    KNELL_SPAN_ALREADY_EXISTS,
    KNELL_SPAN_PERMISSION_DENIED,
    KNELL_SPAN_RESOURCE_EXHAUSTED,
    KNELL_SPAN_UNAVAILABLE,
    KNELL_SPAN_INTERNAL_ERROR,
    KNELL_SPAN_UNAUTHENTICATED,
};

struct knell_span;

/* Trace headers as another service sent them; NULL: absent. traceparent is asked when
 * there is no sentry-trace. Malformed ones are taken as absent. */
struct knell_trace_headers {
    const char *sentry_trace, *baggage, *traceparent;
};

/**
 * Begin a transaction and make it the calling thread's open span. One that a pattern of
 * options.ignore_transactions matches is never sent.
 *
 * @name      such as "GET /users/{id}"; low in variety
 * @op        such as "http.server"
 * @incoming  continues the caller's trace and its sampling decision, which is passed on
 *            as it is where no rate was given; NULL: a new trace
 * Returns NULL without memory or when knell is not started; every function accepts NULL.
 * End it with knell_span_finish(), on any thread.
 */
KNELL_API struct knell_span *knell_transaction_start(
    const char *name, const char *op, const struct knell_trace_headers *incoming);

/* Begin a span inside @parent (NULL: inside the calling thread's open one; NULL too when
 * there is none) and make it the thread's open span. At most 1,000 per transaction, and
 * 200 KiB with their names and data; those that end later are counted as lost. */
KNELL_API struct knell_span *knell_span_start(
    struct knell_span *parent, const char *op, const char *description);

/* Facts about the span; kept only when it is sampled. At most 512 bytes in all. */
KNELL_API void knell_span_set_data(struct knell_span *span, struct knell_data value);
KNELL_API void knell_span_set_tag(
    struct knell_span *span, const char *key, const char *value);

/* End it and free it; its parent becomes the thread's open span again. Ending a
 * transaction sends it with what it has left open, marked as ended then; those spans are
 * finished as well later, to free them. A fork child does not send what its parent began.
 */
KNELL_API void knell_span_finish(struct knell_span *span, enum knell_span_status status);

/* Forget a transaction unsent and free it. Spans of it that are open are finished as well
 * later, to free them. */
KNELL_API void knell_transaction_discard(struct knell_span *transaction);

/* Headers to send along with an outgoing request; texts are empty when there is none. */
struct knell_outgoing {
    char sentry_trace[56];
    char traceparent[56];
    char baggage[512];
};
/* @span  NULL: the calling thread's open one */
KNELL_API void knell_trace_outgoing(
    const struct knell_span *span, struct knell_outgoing *ret);

#ifdef __cplusplus
}
#endif

#endif
