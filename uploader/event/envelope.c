#include "uploader/event/envelope.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_MAX_BYTES (200u << 20)

void envelope_done(struct envelope *e)
{
    free(e->bytes);
    *e = (struct envelope){0};
}

/* What stands between quotes in a header line without being escaped. */
static bool plain(const char *s)
{
    for (; s && *s; s++) {
        if ((unsigned char)*s < 0x20 || (unsigned char)*s > 0x7e || *s == '"' ||
            *s == '\\' || *s == '/')
            return false;
    }
    return true;
}

static bool plain_type(const char *s)
{
    for (; s && *s; s++) {
        if ((unsigned char)*s <= 0x20 || (unsigned char)*s > 0x7e || *s == '"' ||
            *s == '\\')
            return false;
    }
    return true;
}

static int reserve(struct envelope *e, size_t more)
{
    size_t max = e->max_bytes ? e->max_bytes : DEFAULT_MAX_BYTES;
    if (more > max || e->n > max - more)
        return -E2BIG;
    if (more <= e->room - e->n)
        return 0;
    size_t room = e->n + more + e->n / 2;
    uint8_t *bytes = realloc(e->bytes, room);
    if (!bytes)
        return -ENOMEM;
    e->bytes = bytes;
    e->room = room;
    return 0;
}

static void put_field(char *line, size_t n, const char *key, const char *value)
{
    size_t at = strlen(line);
    if (value)
        (void)snprintf(line + at, n - at, ",\"%s\":\"%s\"", key, value);
}

int envelope_add(
    struct envelope *e, const struct envelope_item *item, const void *payload, size_t n)
{
    char line[1024];
    if (!n || !item->type || !plain_type(item->type) || !plain_type(item->content_type) ||
        !plain(item->filename) || !plain_type(item->attachment_type))
        return -EINVAL;
    size_t names = strlen(item->type) + (item->filename ? strlen(item->filename) : 0) +
                   (item->content_type ? strlen(item->content_type) : 0) +
                   (item->attachment_type ? strlen(item->attachment_type) : 0);
    if (names > sizeof line - 200)
        return -EINVAL;
    (void)snprintf(line, sizeof line, "{\"type\":\"%s\"", item->type);
    put_field(line, sizeof line, "content_type", item->content_type);
    put_field(line, sizeof line, "filename", item->filename);
    put_field(line, sizeof line, "attachment_type", item->attachment_type);
    size_t at = strlen(line);
    if (item->item_count)
        (void)snprintf(
            line + at, sizeof line - at, ",\"item_count\":%u", item->item_count);
    at = strlen(line);
    (void)snprintf(line + at, sizeof line - at, ",\"length\":%zu}\n", n);
    at = strlen(line);
    int err = n > SIZE_MAX - at - 1 ? -E2BIG : reserve(e, at + n + 1);
    if (err)
        return err;
    memcpy(e->bytes + e->n, line, at);
    memcpy(e->bytes + e->n + at, payload, n);
    e->bytes[e->n + at + n] = '\n';
    e->n += at + n + 1;
    e->n_items++;
    return 0;
}

/* The string value of "KEY" in a header that envelope_add() wrote: nothing is escaped. */
static bool field(const char *line, size_t n, const char *key, char *out, size_t room)
{
    char quoted[64];
    int k = snprintf(quoted, sizeof quoted, "\"%s\":\"", key);
    const char *p = memmem(line, n, quoted, (size_t)k);
    if (!p)
        return true;
    p += k;
    const char *end = memchr(p, '"', n - (size_t)(p - line));
    if (!end || (size_t)(end - p) >= room)
        return false;
    memcpy(out, p, (size_t)(end - p));
    out[end - p] = 0;
    return true;
}

static bool length(const char *line, size_t n, size_t *ret)
{
    static const char key[] = "\"length\":";
    const char *p = memmem(line, n, key, sizeof key - 1), *end = line + n;
    if (!p)
        return false;
    p += sizeof key - 1;
    size_t v = 0;
    const char *first = p;
    for (; p < end && *p >= '0' && *p <= '9'; p++) {
        if (v > (SIZE_MAX - 9) / 10)
            return false;
        v = v * 10 + (size_t)(*p - '0');
    }
    *ret = v;
    return p > first && p < end && (*p == ',' || *p == '}');
}

int envelope_next(const uint8_t *items, size_t n, size_t *at, struct envelope_view *ret)
{
    if (*at >= n)
        return 0;
    struct envelope_view v = {.header = items + *at};
    const uint8_t *eol = memchr(v.header, '\n', n - *at);
    if (!eol || *v.header != '{' || eol[-1] != '}')
        return -EBADMSG;
    v.n_header = (size_t)(eol - v.header);
    v.payload = eol + 1;
    size_t left = n - (size_t)(v.payload - items);
    const char *line = (const char *)v.header;
    if (!length(line, v.n_header, &v.n_payload) ||
        !field(line, v.n_header, "type", v.type, sizeof v.type) ||
        !field(line, v.n_header, "filename", v.filename, sizeof v.filename) || !*v.type ||
        v.n_payload > left || (v.n_payload < left && v.payload[v.n_payload] != '\n'))
        return -EBADMSG;
    *at = (size_t)(v.payload - items) + v.n_payload + (v.n_payload < left);
    *ret = v;
    return 1;
}
