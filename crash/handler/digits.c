#include "crash/handler/digits.h"

#include "crash/handler/poison.h"

size_t kn_length(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}

void kn_text_init(struct kn_text *t, char *p, size_t room)
{
    *t = (struct kn_text){.p = p, .room = room};
    p[0] = 0;
}

static void put_bytes(struct kn_text *t, const char *s, size_t n)
{
    for (size_t i = 0; i < n && t->n + 1 < t->room; i++)
        t->p[t->n++] = s[i];
    t->p[t->n] = 0;
}

void kn_text_put(struct kn_text *t, const char *s)
{
    put_bytes(t, s, kn_length(s));
}

void kn_text_dec_width(struct kn_text *t, uint64_t v, unsigned width)
{
    char digits[20];
    for (unsigned i = width; i-- > 0; v /= 10)
        digits[i] = (char)('0' + v % 10);
    put_bytes(t, digits, width);
}

void kn_text_dec(struct kn_text *t, uint64_t v)
{
    unsigned width = 1;
    for (uint64_t rest = v; rest >= 10; rest /= 10)
        width++;
    kn_text_dec_width(t, v, width);
}

void kn_text_hex(struct kn_text *t, uint64_t v, unsigned width)
{
    char digits[16];
    unsigned n = 0;
    do {
        digits[15 - n++] = "0123456789abcdef"[v & 15];
        v >>= 4;
    } while (n < 16 && (v || n < width));
    put_bytes(t, digits + 16 - n, n);
}

void kn_text_hex_bytes(struct kn_text *t, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        kn_text_hex(t, p[i], 2);
}

uint64_t kn_number(const char **p, const char *end, unsigned base)
{
    uint64_t v = 0;
    for (; *p < end; (*p)++) {
        unsigned c = (unsigned char)**p, digit;
        if (c >= '0' && c <= '9')
            digit = c - '0';
        else if (base == 16 && c >= 'a' && c <= 'f')
            digit = c - 'a' + 10;
        else
            break;
        v = v * base + digit;
    }
    return v;
}
