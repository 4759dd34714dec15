#include "uploader/inspect/maps.h"

#include <string.h>

struct cursor {
    const char *p, *end;
};

static bool take_hex(struct cursor *c, char stop, uint64_t *ret)
{
    uint64_t v = 0;
    int digits = 0;
    for (; c->p < c->end && digits <= 16; c->p++, digits++) {
        char x = *c->p;
        if (x >= '0' && x <= '9')
            v = v << 4 | (uint64_t)(x - '0');
        else if (x >= 'a' && x <= 'f')
            v = v << 4 | (uint64_t)(x - 'a' + 10);
        else
            break;
    }
    if (!digits || digits > 16 || c->p == c->end || *c->p++ != stop)
        return false;
    *ret = v;
    return true;
}

/* Behind the next run of blanks. */
static void skip_word(struct cursor *c)
{
    while (c->p < c->end && *c->p != ' ')
        c->p++;
    while (c->p < c->end && *c->p == ' ')
        c->p++;
}

/* START-END perms offset dev inode path. Source: proc(5). */
static bool parse_line(const char *line, size_t n, struct maps_entry *ret)
{
    struct cursor c = {line, line + n};
    *ret = (struct maps_entry){0};
    if (!take_hex(&c, '-', &ret->start) || !take_hex(&c, ' ', &ret->end))
        return false;
    if (c.end - c.p < 5 || ret->end <= ret->start)
        return false;
    memcpy(ret->permissions, c.p, 4);
    c.p += 5;
    if (!take_hex(&c, ' ', &ret->offset))
        return false;
    skip_word(&c); /* device */
    skip_word(&c); /* inode */
    size_t length = (size_t)(c.end - c.p);
    if (length >= sizeof ret->path)
        length = sizeof ret->path - 1;
    memcpy(ret->path, c.p, length);
    return true;
}

bool maps_find(const struct crash_text *maps, uint64_t address, struct maps_place *ret)
{
    *ret = (struct maps_place){0};
    if (!maps->text || !maps->n_bytes)
        return false;
    const char *end = maps->text + maps->n_bytes;
    for (const char *line = maps->text; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop)
            stop = end;
        struct maps_entry e;
        if (parse_line(line, (size_t)(stop - line), &e)) {
            if (address >= e.start && address < e.end) {
                ret->inside = true;
                ret->at = e;
            } else if (e.end <= address && (!ret->has_below || e.end > ret->below.end)) {
                ret->has_below = true;
                ret->below = e;
            } else if (e.start > address &&
                       (!ret->has_above || e.start < ret->above.start)) {
                ret->has_above = true;
                ret->above = e;
            }
        }
        line = stop + 1;
    }
    return true;
}
