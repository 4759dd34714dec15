/**
 * What the program said about itself (the journal's areas) -> parts of an event. Data
 * that a program set itself is sent as it was set: only its shape is made to fit.
 */
#pragma once
#include "uploader/event/build.h"
#include "uploader/report/journal.h"

/* "breadcrumbs", "tags", "user", "extra", "fingerprint", "transaction" and the program's
 * own "contexts" of an event. @j  NULL: nothing is known */
void scope_to_event(struct build *b, cJSON *event, const struct journal *j);

/* "contexts.trace": the open span, else ids made of the event's. */
void scope_trace(
    struct build *b, cJSON *contexts, const struct journal *j, const char *event_id);

/* One value under @key, whatever its type. */
void scope_value(
    struct build *b, cJSON *to, const char *key, const struct journal_value *v);

/* Under @key, in the shape that receivers take: for another they refuse the whole item.
 * Nothing is added for what is none, such as "latest". */
void scope_release(struct build *b, cJSON *to, const char *key, const char *text);
void scope_environment(struct build *b, cJSON *to, const char *key, const char *text);

/* "fatal", "error", "warning", "info", "debug"; NULL for no level. */
const char *scope_level(uint32_t level);

/* Lowercase hex of @n bytes. @out  2 * @n + 1 */
void scope_hex(const uint8_t *p, size_t n, char *out);
