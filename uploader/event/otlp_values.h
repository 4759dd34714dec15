/**
 * The parts that every OTLP/HTTP JSON body is made of.
 * Source: opentelemetry-proto, docs/specification.md: lowerCamelCase keys, 64-bit
 * integers as decimal strings, ids as lower-case hex.
 */
#pragma once
#include "uploader/event/build.h"
#include "uploader/report/journal.h"

enum { OTLP_MAX_VALUE = 8192 };

/* Attributes, appended to @list. Nothing is added for NULL or empty text. */
void otlp_text(struct build *b, cJSON *list, const char *key, const char *value);
void otlp_text_max(
    struct build *b, cJSON *list, const char *key, const char *value, size_t max);
void otlp_integer(struct build *b, cJSON *list, const char *key, int64_t value);
/* Of any type that a program may say; what has none is left out. */
void otlp_value(
    struct build *b, cJSON *list, const char *key, const struct journal_value *v);

void otlp_nanoseconds(struct build *b, cJSON *to, const char *key, uint64_t ns);
void otlp_id(struct build *b, cJSON *to, const char *key, const uint8_t *id, size_t n);

/* severityNumber and severityText of "fatal", "error", …; NULL counts as error. */
void otlp_severity(struct build *b, cJSON *record, const char *level);

/* Who a body is about. Texts may be NULL or empty. */
struct otlp_service {
    const char *name, *version, *environment, *host;
    const cJSON *own; /* texts that the process's own variables gave it; NULL: none */
};
/* "resource" with its attributes. Returns the list, for more. */
cJSON *otlp_resource(struct build *b, cJSON *to, const struct otlp_service *service);
/* Put the process's own attributes in, last: they win over what we know. */
void otlp_resource_own(struct build *b, cJSON *list, const struct otlp_service *service);
/* "scope": knell itself. */
void otlp_scope(struct build *b, cJSON *to);
