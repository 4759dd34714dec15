#include "uploader/deliver/frame.h"

#include "uploader/event/envelope.h"

#include <errno.h>
#include <knell/knell.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static bool is_attachment(const struct envelope_view *v)
{
    return !strcmp(v->type, "attachment");
}

/* The category that servers count an item in. */
static enum hint_category category_of(const char *type)
{
    static const struct {
        const char *type;
        enum hint_category category;
    } kinds[] = {{"attachment", HINT_ATTACHMENT}, {"transaction", HINT_TRANSACTION},
        {"session", HINT_SESSION}, {"sessions", HINT_SESSION}, {"log", HINT_LOG},
        {"client_report", HINT_INTERNAL}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!strcmp(type, kinds[i].type))
            return kinds[i].category;
    }
    return HINT_ERROR;
}

unsigned frame_kinds(const void *items, size_t n_items)
{
    struct envelope_view v;
    unsigned kinds = 0;
    size_t at = 0;
    while (envelope_next(items, n_items, &at, &v) > 0)
        kinds |= 1u << category_of(v.type);
    return kinds;
}

size_t frame_attachment_bytes(const void *items, size_t n_items)
{
    struct envelope_view v;
    size_t n = 0, at = 0;
    while (envelope_next(items, n_items, &at, &v) > 0)
        n += is_attachment(&v) ? v.n_header + v.n_payload + 2 : 0;
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
    unsigned without, const char *extra, uint8_t **ret, size_t *ret_n)
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
    struct envelope_view v;
    size_t next = 0, n_kept = 0;
    int r;
    without &= ~(1u << HINT_ERROR);
    for (size_t i = 0; (r = envelope_next(items, n_items, &next, &v)) > 0; i++) {
        if (without & 1u << category_of(v.type) && (i || !is_attachment(&v)))
            continue;
        n_kept++;
        memcpy(p + at, v.header, v.n_header);
        at += v.n_header;
        p[at++] = '\n';
        memcpy(p + at, v.payload, v.n_payload);
        at += v.n_payload;
        p[at++] = '\n';
    }
    if (r < 0 || !n_kept)
        return r < 0 ? r : -ENODATA;
    if (n_extra) {
        memcpy(p + at, extra, n_extra);
        at += n_extra;
    }
    *ret_n = at;
    *ret = p;
    p = NULL;
    return 0;
}
