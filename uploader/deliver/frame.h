/**
 * The sender's part of an envelope: the head line before the worker's items, and leaving
 * items out when a server finds the whole too large. Looks at item heads for their length
 * and type only.
 */
#pragma once
#include "symbolize/cleanup.h"
#include "uploader/deliver/dsn.h"
#include "uploader/deliver/hint.h"

struct frame_head {
    const char *event_id; /* 32 hex digits */
    const char *dsn;      /* NULL: leave it out */
    uint64_t sent_at_ms;  /* since 1970, now: never stored */
};

/**
 * @without  kinds of items to leave out: bits 1 << enum hint_category. Events stay, and
 * an attachment that comes first
 * @items  as the worker made them: HEAD '\n' PAYLOAD '\n' …
 * @extra  one more item at the end (a client report), or NULL
 * @ret    malloc'd; free()
 * Errors: -ENODATA when no item is left, -EBADMSG when the items are not framed, -ENOMEM.
 */
int frame_envelope(const struct frame_head *head, const void *items, size_t n_items,
    unsigned without, const char *extra, uint8_t **ret, size_t *ret_n) MUST_CHECK;

/* Kinds that @items hold, as bits. */
unsigned frame_kinds(const void *items, size_t n_items);
/* Bytes of @items that are attachments; 0 also when they are not framed. */
size_t frame_attachment_bytes(const void *items, size_t n_items);
