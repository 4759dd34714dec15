#include "symbolize/output.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void write_out(struct output *o, const char *p, size_t n)
{
    while (n && !o->failed) {
        ssize_t put = write(o->fd, p, n);
        if (put < 0 && errno == EINTR)
            continue;
        o->failed = put <= 0;
        p += put > 0 ? put : 0;
        n -= put > 0 ? (size_t)put : 0;
    }
}

bool output_end(struct output *o)
{
    write_out(o, o->bytes, o->n);
    o->n = 0;
    return !o->failed;
}

static void output_bytes(struct output *o, const void *p, size_t n)
{
    if (n > sizeof o->bytes - o->n) {
        (void)output_end(o);
        if (n >= sizeof o->bytes) {
            write_out(o, p, n);
            return;
        }
    }
    memcpy(o->bytes + o->n, p, n);
    o->n += n;
}

void output_text(struct output *o, const char *s)
{
    output_bytes(o, s, strlen(s));
}

void output_decimal(struct output *o, uint32_t v)
{
    char digits[10];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    output_bytes(o, digits + at, sizeof digits - at);
}

void output_address(struct output *o, uint64_t v)
{
    char text[18] = "0x";
    for (size_t at = sizeof text; at-- > 2; v >>= 4)
        text[at] = "0123456789abcdef"[v & 15];
    output_bytes(o, text, sizeof text);
}
