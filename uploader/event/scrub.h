/**
 * Taking secrets out of what was gathered without being asked for: abort messages, texts
 * of the C++ exception, command lines, paths under home directories. Data that the
 * program set itself is not touched: it is sent as it was set.
 */
#pragma once
#include "symbolize/cleanup.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

struct scrub;

/**
 * @patterns  POSIX extended regular expressions, one a line; NULL: none
 * @note      @n_note bytes: the first that does not compile, which is left out; "" if
 * none
 * @ret       free with scrub_free()
 * Errors: -ENOMEM.
 */
int scrub_new(
    const char *patterns, struct scrub **ret, char *note, size_t n_note) MUST_CHECK;
void scrub_free(struct scrub *s);

/**
 * Clean a text: values behind keys that name a secret (password=, token:, --api-key X),
 * tokens of well-known shapes, credentials in URLs, private keys, card numbers, user
 * names in home directories, and what the patterns match.
 *
 * @ret  malloc'ed; the caller frees
 * Errors: -ENOMEM.
 */
int scrub_text(const struct scrub *s, const char *text, char **ret) MUST_CHECK;

/* Every string below @json, and every value under a key that names a secret.
 * Errors: -ENOMEM. */
int scrub_json(const struct scrub *s, cJSON *json) MUST_CHECK;

/* User names in paths of home directories, in every string below @json: quick enough for
 * thousands of frames. Errors: -ENOMEM. */
int scrub_homes(cJSON *json) MUST_CHECK;

#define SCRUB_FILTERED "[Filtered]"
