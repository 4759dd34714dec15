/**
 * Building JSON without asking after each step: a failure of memory is kept, later calls
 * do nothing, and the caller looks once, at the end. Text becomes valid UTF-8 and is cut.
 */
#pragma once
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct build {
    bool failed;
};

/* An empty object or array in @parent (an object with @key; an array when @key is NULL).
 * NULL once failed. */
cJSON *build_object(struct build *b, cJSON *parent, const char *key);
cJSON *build_array(struct build *b, cJSON *parent, const char *key);

/* Nothing is added for NULL or empty text. @max: bytes of the result; longer text ends in
 * "...". @key NULL: @parent is an array. */
void build_text(
    struct build *b, cJSON *parent, const char *key, const char *text, size_t max);
void build_text_n(struct build *b, cJSON *parent, const char *key, const char *text,
    size_t n, size_t max);
void build_number(struct build *b, cJSON *parent, const char *key, double value);
void build_bool(struct build *b, cJSON *parent, const char *key, bool value);
/* "0x1f", lowercase. */
void build_address(struct build *b, cJSON *parent, const char *key, uint64_t value);
/* "2026-11-21T02:41:21.085183Z"; nothing for 0. */
void build_time(struct build *b, cJSON *parent, const char *key, uint64_t time_ns);

/* Whether an object has a key, written just so. */
bool build_has(const cJSON *object, const char *key);

/* Nothing is added when the object is empty: it is taken out of its parent again. */
void build_drop_empty(cJSON *parent, const char *key);

/**
 * Copy text as valid UTF-8: what is not becomes U+FFFD, a NUL ends it, and what does not
 * fit is cut between characters and marked "...".
 *
 * @out   always terminated
 * @room  bytes of @out with its end, at least 5
 * Returns the length of @out.
 */
size_t text_copy(char *out, size_t room, const char *text, size_t n);
