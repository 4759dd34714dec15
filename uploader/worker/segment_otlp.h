/**
 * What is in a segment as OTLP: logs as log records (POST /v1/logs), spans and
 * transactions as spans (POST /v1/traces). A body is one or the other, and the parts that
 * the uploader cuts a segment into hold one or the other (spool/split.h). Sessions have
 * no like in OTLP. Source: opentelemetry-proto, logs.proto and trace.proto; semantic
 * conventions for spans.
 */
#pragma once
#include "uploader/event/otlp_values.h"
#include "uploader/worker/process.h"

struct segment_otlp {
    struct build b;
    cJSON *logs, *records; /* body, and its list of records; NULL: none yet */
    cJSON *traces, *spans;
};
void segment_otlp_done(struct segment_otlp *o);

/* @pairs  @n of them, the record's own */
void segment_otlp_log(struct segment_otlp *o, const struct otlp_service *service,
    const struct knell_log_record *r, const char *message,
    const struct journal_pair *pairs, size_t n);

/* @op, @name  terminated; @root  whether it is a transaction */
void segment_otlp_span(struct segment_otlp *o, const struct otlp_service *service,
    const struct knell_span_record *r, const char *op, const char *name, bool root,
    const struct journal_pair *pairs, size_t n);

/**
 * Put the body, if there is any, into @ret. Of logs and spans together the logs.
 *
 * Errors: -ENOMEM.
 */
int segment_otlp_finish(struct segment_otlp *o, struct worker_result *ret) MUST_CHECK;

/* As Sentry and OpenTelemetry call it; NULL: not set. */
const char *segment_status_name(uint32_t status);
