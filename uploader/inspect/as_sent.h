/** show --as-sent: exactly what leaves, or left, this machine about a report. */
#pragma once
#include "uploader/inspect/loader.h"

/**
 * Print the bodies that knell-upload makes for the configured destinations (an envelope
 * where none is configured). On a terminal JSON is laid out for reading and attachments
 * are described; elsewhere the bytes come as they are.
 *
 * Returns 0 or a negative errno after a message; -ECANCELED when a rule says that the
 * report is not sent.
 */
int as_sent_print(struct session *s, const struct store *t, struct report *r) MUST_CHECK;

/**
 * The event alone, before the user's program has seen it: for a bundle.
 *
 * @bytes  of the report
 * @ret    JSON; the caller frees
 * Returns 0, -ENODATA when a rule or the checks leave none, or a negative errno.
 */
int as_sent_event(struct session *s, const struct store *t, const struct report *r,
    const uint8_t *bytes, size_t n, uint8_t **ret, size_t *ret_n) MUST_CHECK;
