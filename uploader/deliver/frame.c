#include "uploader/deliver/frame.h"

#include "symbolize/bytes.h"

#include <knell/knell.h>
#include <stdio.h>
#include <time.h>

enum { MAX_ITEM_HEAD = 8192 };

struct item {
    const uint8_t *start;
    size_t n; /* head, newline and payload */
    bool attachment;
};

/* The number after "length": in an item's head. */
static int length_of(const char *head, size_t *ret)
{
    const char *p = strstr(head, "\"length\":");
    if (!p)
        return -EBADMSG;
    p += strlen("\"length\":");
    p += strspn(p, " ");
    size_t v = 0;
    if (*p < '0' || *p > '9')
        return -EBADMSG;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (size_t)(*p - '0'), &v))
            return -EBADMSG;
    }
    *ret = v;
    return 0;
}

/* Next item; 0 at the end, 1 for an item, or -EBADMSG. */
static int next_item(struct bytes *b, struct item *ret)
{
    char head[MAX_ITEM_HEAD];
    if (b->at == b->n)
        return 0;
    const uint8_t *start = b->base + b->at;
    size_t left = b->n - b->at, n_payload = 0;
    const uint8_t *end = memchr(start, '\n', left < sizeof head ? left : sizeof head - 1);
    if (!end)
        return -EBADMSG;
    size_t n_head = (size_t)(end - start);
    memcpy(head, start, n_head);
    head[n_head] = 0;
    int r = length_of(head, &n_payload);
    if (r < 0)
        return r;
    (void)bytes_take(b, n_head + 1, "head");
    (void)bytes_take(b, n_payload, "payload");
    if (b->at < b->n && bytes_u8(b, "newline") != '\n')
        return -EBADMSG;
    if (b->err)
        return b->err;
    *ret = (struct item){.start = start,
        .n = n_head + 1 + n_payload,
        .attachment = strstr(head, "\"type\":\"attachment\"") != NULL};
    return 1;
}

size_t frame_attachment_bytes(const void *items, size_t n_items)
{
    struct bytes b = bytes_of(items, n_items);
    struct item it;
    size_t n = 0;
    while (next_item(&b, &it) > 0)
        n += it.attachment ? it.n : 0;
    return n;
}

static int write_head(const struct frame_head *h, char *out, size_t max)
{
    char when[40];
    time_t s = (time_t)(h->sent_at_ms / 1000);
    struct tm t;
    if (!gmtime_r(&s, &t))
        return -EBADMSG;
    size_t n = strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &t);
    snprintf(when + n, sizeof when - n, ".%03uZ", (unsigned)(h->sent_at_ms % 1000));
    int len = snprintf(out, max,
        "{\"event_id\":\"%s\",\"sent_at\":\"%s\"%s%s%s,"
        "\"sdk\":{\"name\":\"knell\",\"version\":\"" KNELL_VERSION "\"}}\n",
        h->event_id, when, h->dsn ? ",\"dsn\":\"" : "", h->dsn ? h->dsn : "",
        h->dsn ? "\"" : "");
    return len < 0 || (size_t)len >= max ? -E2BIG : len;
}

int frame_envelope(const struct frame_head *head, const void *items, size_t n_items,
    enum frame_keep keep, const char *extra, uint8_t **ret, size_t *ret_n)
{
    char line[4096];
    int n_line = write_head(head, line, sizeof line);
    if (n_line < 0)
        return n_line;
    size_t n_extra = extra ? strlen(extra) : 0, at = (size_t)n_line;
    CLEANUP(free_p) uint8_t *p = malloc(at + n_items + 1 + n_extra);
    if (!p)
        return -ENOMEM;
    memcpy(p, line, at);
    struct bytes b = bytes_of(items, n_items);
    struct item it;
    int r;
    for (size_t i = 0; (r = next_item(&b, &it)) > 0; i++) {
        if (keep == FRAME_NO_ATTACHMENTS && it.attachment && i)
            continue;
        memcpy(p + at, it.start, it.n);
        at += it.n;
        p[at++] = '\n';
    }
    if (r < 0)
        return r;
    if (n_extra) {
        memcpy(p + at, extra, n_extra);
        at += n_extra;
    }
    *ret_n = at;
    *ret = p;
    p = NULL;
    return 0;
}
