/**
 * What an OTLP collector's 200 says it did not take. Pure.
 * Source: opentelemetry-proto, ExportLogsServiceResponse and its like, as JSON.
 */
#pragma once
#include <stdint.h>

/* @body  NUL-terminated, not trusted, perhaps cut
 * Returns how many records, spans or points were rejected. */
uint64_t otlp_answer_rejected(const char *body);
