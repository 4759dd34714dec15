/**
 * The sender's part of an envelope: the head line before the worker's items, and leaving
 * items out when a server finds the whole too large. Looks at item heads for their length
 * and type only.
 */
#pragma once
#include "symbolize/cleanup.h"
#include "uploader/deliver/dsn.h"

enum frame_keep {
    FRAME_ALL,
    FRAME_NO_ATTACHMENTS, /* the first item, and what is no attachment */
};

struct frame_head {
    const char *event_id; /* 32 hex digits */
    const char *dsn;      /* NULL: leave it out */
    uint64_t sent_at_ms;  /* since 1970, now: never stored */
};

/**
 * @items  as the worker made them: HEAD '\n' PAYLOAD '\n' …
 * @extra  one more item at the end (a client report), or NULL
 * @ret    malloc'd; free()
 * Errors: -EBADMSG when the items are not framed, -ENOMEM.
 */
int frame_envelope(const struct frame_head *head, const void *items, size_t n_items,
    enum frame_keep keep, const char *extra, uint8_t **ret, size_t *ret_n) MUST_CHECK;

/* Bytes of @items that are attachments; 0 also when they are not framed. */
size_t frame_attachment_bytes(const void *items, size_t n_items);
