/**
 * Framing of envelope items. The header line of the envelope is not made here: the
 * sender writes it in front at send time, since it holds sent_at.
 * Source: develop.sentry.dev, envelopes.
 */
#pragma once
#include "symbolize/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Items one behind the other, each "HEADER\nPAYLOAD\n". {0} is empty; free with
 * envelope_done(). */
struct envelope {
    uint8_t *bytes;
    size_t n, room;
    size_t max_bytes; /* 0: 200 MiB */
    uint32_t n_items;
};
void envelope_done(struct envelope *e);

struct envelope_item {
    const char *type;            /* "event", "session", "attachment", ... */
    const char *content_type;    /* NULL: leave out */
    const char *filename;        /* attachments: without path; NULL: leave out */
    const char *attachment_type; /* NULL: leave out */
    uint32_t item_count;         /* log containers; 0: leave out */
};

/**
 * Append an item.
 *
 * @payload  @n bytes, copied; n is at least 1
 * Errors: -ENOMEM, -E2BIG beyond max_bytes, -EINVAL for an empty payload or a name that
 *         cannot stand in a header. The envelope is then unchanged.
 */
int envelope_add(struct envelope *e, const struct envelope_item *item,
    const void *payload, size_t n) MUST_CHECK;

/* One item of a buffer of items, pointing into it. */
struct envelope_view {
    char type[32], filename[128]; /* "" when absent */
    const uint8_t *header, *payload;
    size_t n_header, n_payload;
};

/**
 * Read the item at *@at and move *@at behind it. For settling per category, trimming
 * and showing.
 *
 * Returns 1, 0 at the end, or -EBADMSG.
 */
int envelope_next(
    const uint8_t *items, size_t n, size_t *at, struct envelope_view *ret) MUST_CHECK;
