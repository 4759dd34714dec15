#include "uploader/inspect/json.h"

#include "uploader/inspect/safe.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

static void newline(struct json *j)
{
    if (!j->pretty)
        return;
    (void)fputc('\n', j->f);
    for (unsigned i = 0; i < j->depth; i++)
        (void)fputs("  ", j->f);
}

/* @quotes  escape quotation marks and backslashes as well: the text is no JSON yet */
static void put(FILE *f, const char *s, size_t n, bool quotes)
{
    size_t from = 0, at = 0;
    while (at < n) {
        uint32_t c;
        size_t length = safe_decode(s + at, n - at, &c);
        bool special = quotes && (c == '"' || c == '\\');
        if (length && safe_is_harmless(c) && !special) {
            at += length;
            continue;
        }
        (void)fwrite(s + from, 1, at - from, f);
        if (!length)
            (void)fputs("\\ufffd", f);
        else if (special)
            (void)fprintf(f, "\\%c", (char)c);
        else if (c == '\n')
            (void)fputs("\\n", f);
        else if (c == '\t')
            (void)fputs("\\t", f);
        else if (c < 0x10000)
            (void)fprintf(f, "\\u%04" PRIx32, c);
        else
            (void)fprintf(f, "\\u%04" PRIx32 "\\u%04" PRIx32,
                0xd800 + ((c - 0x10000) >> 10), 0xdc00 + ((c - 0x10000) & 0x3ff));
        at += length ? length : 1;
        from = at;
    }
    (void)fwrite(s + from, 1, n - from, f);
}

static void quoted(FILE *f, const char *s, size_t n)
{
    (void)fputc('"', f);
    put(f, s, n, true);
    (void)fputc('"', f);
}

void json_put(FILE *f, const char *text, size_t n)
{
    put(f, text, n, false);
}

/* What stands before any value: comma, place, name. */
static void begin(struct json *j, const char *key)
{
    if (j->depth) {
        if (j->has_member[j->depth - 1])
            (void)fputc(',', j->f);
        j->has_member[j->depth - 1] = true;
        newline(j);
    }
    if (key) {
        quoted(j->f, key, strlen(key));
        (void)fputs(j->pretty ? ": " : ":", j->f);
    }
}

static void open_level(struct json *j, const char *key, char bracket)
{
    begin(j, key);
    (void)fputc(bracket, j->f);
    assert(j->depth < JSON_MAX_DEPTH);
    j->has_member[j->depth++] = false;
}

static void close_level(struct json *j, char bracket)
{
    assert(j->depth > 0);
    bool had = j->has_member[--j->depth];
    if (had)
        newline(j);
    (void)fputc(bracket, j->f);
    if (!j->depth)
        (void)fputc('\n', j->f);
}

void json_object(struct json *j, const char *key)
{
    open_level(j, key, '{');
}

void json_array(struct json *j, const char *key)
{
    open_level(j, key, '[');
}

void json_end_object(struct json *j)
{
    close_level(j, '}');
}

void json_end_array(struct json *j)
{
    close_level(j, ']');
}

void json_text_n(struct json *j, const char *key, const char *s, size_t n)
{
    begin(j, key);
    if (s)
        quoted(j->f, s, n);
    else
        (void)fputs("null", j->f);
}

void json_text(struct json *j, const char *key, const char *s)
{
    json_text_n(j, key, s, s ? strlen(s) : 0);
}

void json_text_if(struct json *j, const char *key, const char *s)
{
    if (s && *s)
        json_text(j, key, s);
}

void json_int(struct json *j, const char *key, int64_t v)
{
    begin(j, key);
    (void)fprintf(j->f, "%" PRId64, v);
}

void json_uint(struct json *j, const char *key, uint64_t v)
{
    begin(j, key);
    (void)fprintf(j->f, "%" PRIu64, v);
}

void json_bool(struct json *j, const char *key, bool v)
{
    begin(j, key);
    (void)fputs(v ? "true" : "false", j->f);
}

void json_null(struct json *j, const char *key)
{
    begin(j, key);
    (void)fputs("null", j->f);
}

void json_address(struct json *j, const char *key, uint64_t v)
{
    begin(j, key);
    (void)fprintf(j->f, "\"0x%" PRIx64 "\"", v);
}

void json_number(struct json *j, const char *key, double v, int digits)
{
    begin(j, key);
    if (isfinite(v))
        (void)fprintf(j->f, "%.*f", digits, v);
    else
        (void)fputs("null", j->f); /* JSON has no other word for it */
}

void json_double(struct json *j, const char *key, double v)
{
    begin(j, key);
    if (isfinite(v))
        (void)fprintf(j->f, "%.17g", v);
    else
        (void)fputs("null", j->f);
}
