#include "uploader/inspect/safe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void safe_done(struct safe *b)
{
    free(b->s);
    *b = (struct safe){0};
}

void safe_clear(struct safe *b)
{
    b->n = 0;
    if (b->s)
        b->s[0] = 0;
}

const char *safe_text(const struct safe *b)
{
    return b->s ? b->s : "";
}

/* Room for @more bytes and the NUL. */
static bool reserve(struct safe *b, size_t more)
{
    if (b->failed || more >= SIZE_MAX / 2 - b->n) {
        b->failed = true;
        return false;
    }
    if (b->n + more < b->room)
        return true;
    size_t room = b->room ? b->room : 64;
    while (room <= b->n + more)
        room *= 2;
    char *s = realloc(b->s, room);
    if (!s) {
        b->failed = true;
        return false;
    }
    b->s = s;
    b->room = room;
    return true;
}

void safe_raw(struct safe *b, const char *s, size_t n)
{
    if (!reserve(b, n))
        return;
    if (n)
        memcpy(b->s + b->n, s, n);
    b->n += n;
    b->s[b->n] = 0;
}

void safe_format(struct safe *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n >= 0 && reserve(b, (size_t)n)) {
        (void)vsnprintf(b->s + b->n, (size_t)n + 1, format, again);
        b->n += (size_t)n;
    }
    va_end(again);
}

/* Bytes of the sequence that @first opens, and the bits it carries itself. */
static size_t sequence(unsigned char first, uint32_t *ret_bits)
{
    if (first >= 0xc2 && first <= 0xdf) {
        *ret_bits = first & 0x1f;
        return 2;
    }
    if ((first & 0xf0) == 0xe0) {
        *ret_bits = first & 0x0f;
        return 3;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        *ret_bits = first & 0x07;
        return 4;
    }
    return 0;
}

size_t safe_decode(const char *s, size_t n, uint32_t *ret)
{
    const unsigned char *p = (const unsigned char *)s;
    if (!n)
        return 0;
    *ret = p[0];
    if (p[0] < 0x80)
        return 1;
    uint32_t c = 0;
    size_t length = sequence(p[0], &c);
    if (!length || length > n)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3fu);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (c < least[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *ret = c;
    return length;
}

struct range {
    uint32_t from, to;
};

static bool in_ranges(const struct range *r, size_t n, uint32_t c)
{
    for (size_t i = 0; i < n; i++)
        if (c >= r[i].from && c <= r[i].to)
            return true;
    return false;
}

bool safe_is_harmless(uint32_t c)
{
    if (c >= 0x20 && c < 0x7f)
        return true;
    /* C1 controls; soft hyphen; marks that set the direction, separators, invisible
     * operators, interlinear notes, the byte order mark, non-characters, and tags: all
     * can make a line read as something that it is not. */
    static const struct range bad[] = {
        {0x00, 0x1f},
        {0x7f, 0x9f},
        {0xad, 0xad},
        {0x61c, 0x61c},
        {0x180e, 0x180e},
        {0x200b, 0x200f},
        {0x2028, 0x202e},
        {0x2060, 0x206f},
        {0xfeff, 0xfeff},
        {0xfff0, 0xfffb},
        {0xfffe, 0xffff},
        {0xe0000, 0xe0fff},
        {0xf0000, 0x10ffff},
    };
    return !in_ranges(bad, sizeof bad / sizeof *bad, c);
}

static void escape(struct safe *b, uint32_t c, bool is_byte)
{
    if (c == '\n')
        safe_raw(b, "\\n", 2);
    else if (c == '\t')
        safe_raw(b, "\\t", 2);
    else if (is_byte || c < 0x80)
        safe_format(b, "\\x%02x", c);
    else
        safe_format(b, "\\u{%x}", c);
}

void safe_put_n(struct safe *b, const char *s, size_t n)
{
    size_t from = 0, at = 0;
    while (at < n) {
        if (s[at] >= 0x20 && s[at] < 0x7f) { /* nearly always */
            at++;
            continue;
        }
        uint32_t c;
        size_t length = safe_decode(s + at, n - at, &c);
        if (length && safe_is_harmless(c)) {
            at += length;
            continue;
        }
        safe_raw(b, s + from, at - from);
        escape(b, c, !length);
        at += length ? length : 1;
        from = at;
    }
    safe_raw(b, s + from, n - from);
}

void safe_put(struct safe *b, const char *s)
{
    if (s)
        safe_put_n(b, s, strlen(s));
}

void safe_print(FILE *f, const char *s)
{
    CLEANUP(safe_done) struct safe b = {0};
    safe_put(&b, s);
    (void)fputs(safe_text(&b), f);
}

void safe_line(FILE *f, const char *start, const char *format, va_list args)
{
    CLEANUP(free_p) char *text = NULL;
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    (void)fputs(start, f);
    safe_print(f, text ? text : strerrordesc_np(ENOMEM));
    (void)fputc('\n', f);
}

/* Approximate on purpose: wcwidth() depends on the locale, and what is off by one here
 * only misaligns a column. */
static unsigned columns_of(uint32_t c)
{
    static const struct range none[] = {
        {0x300, 0x36f},
        {0x483, 0x489},
        {0x591, 0x5bd},
        {0x610, 0x61a},
        {0x64b, 0x65f},
        {0x1ab0, 0x1aff},
        {0x1dc0, 0x1dff},
        {0x20d0, 0x20ff},
        {0xfe00, 0xfe0f},
        {0xfe20, 0xfe2f},
    };
    static const struct range wide[] = {
        {0x1100, 0x115f},
        {0x2e80, 0x303e},
        {0x3041, 0xa4cf},
        {0xac00, 0xd7a3},
        {0xf900, 0xfaff},
        {0xfe30, 0xfe6f},
        {0xff00, 0xff60},
        {0xffe0, 0xffe6},
        {0x1f300, 0x1f64f},
        {0x1f900, 0x1f9ff},
        {0x20000, 0x3fffd},
    };
    if (c < 0x300)
        return 1;
    if (in_ranges(none, sizeof none / sizeof *none, c))
        return 0;
    return in_ranges(wide, sizeof wide / sizeof *wide, c) ? 2 : 1;
}

size_t safe_columns(const char *s)
{
    size_t n = strlen(s), columns = 0;
    for (size_t at = 0; at < n;) {
        if (s[at] >= 0x20 && s[at] < 0x7f) {
            columns++;
            at++;
            continue;
        }
        uint32_t c;
        size_t length = safe_decode(s + at, n - at, &c);
        columns += length ? columns_of(c) : 1;
        at += length ? length : 1;
    }
    return columns;
}

size_t safe_cut(const char *s, size_t columns)
{
    size_t n = strlen(s), at = 0, used = 0;
    while (at < n) {
        uint32_t c;
        size_t length = safe_decode(s + at, n - at, &c);
        used += length ? columns_of(c) : 1;
        if (used > columns)
            break;
        at += length ? length : 1;
    }
    return at;
}
