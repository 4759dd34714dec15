#include "uploader/event/build.h"

#include "uploader/inspect/safe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

size_t text_copy(char *out, size_t room, const char *text, size_t n)
{
    static const char bad[] = "\xef\xbf\xbd";
    size_t used = 0, fits = 0; /* fits: the longest start that leaves room for "..." */
    for (size_t i = 0; i < n && text[i];) {
        uint32_t c;
        size_t k = safe_decode(text + i, n - i, &c);
        const char *from = k ? text + i : bad;
        size_t size = k ? k : sizeof bad - 1;
        if (used + size > room - 1) {
            memcpy(out + fits, "...", 4);
            return fits + 3;
        }
        memcpy(out + used, from, size);
        used += size;
        if (used + 3 <= room - 1)
            fits = used;
        i += k ? k : 1;
    }
    out[used] = 0;
    return used;
}

static bool is_ascii(const char *text)
{
    while (*text && (signed char)*text > 0)
        text++;
    return !*text;
}

/* A key may be the program's own words. */
static void put(struct build *b, cJSON *parent, const char *key, cJSON *item)
{
    char clean[256];
    if (key && !is_ascii(key)) {
        (void)text_copy(clean, sizeof clean, key, strlen(key));
        key = clean;
    }
    bool ok = item && (key ? cJSON_AddItemToObject(parent, key, item)
                           : cJSON_AddItemToArray(parent, item));
    if (!ok) {
        cJSON_Delete(item);
        b->failed = true;
    }
}

static cJSON *nested(struct build *b, cJSON *parent, const char *key, cJSON *item)
{
    put(b, parent, key, item);
    return b->failed ? NULL : item;
}

cJSON *build_object(struct build *b, cJSON *parent, const char *key)
{
    return b->failed || !parent ? NULL : nested(b, parent, key, cJSON_CreateObject());
}

cJSON *build_array(struct build *b, cJSON *parent, const char *key)
{
    return b->failed || !parent ? NULL : nested(b, parent, key, cJSON_CreateArray());
}

bool build_has(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key) != NULL;
}

void build_text_n(struct build *b, cJSON *parent, const char *key, const char *text,
    size_t n, size_t max)
{
    char small[512];
    if (b->failed || !parent || !text || !n || !*text)
        return;
    if (n < max / 3) /* every byte may become three */
        max = 3 * n;
    char *out = max < sizeof small ? small : malloc(max + 1);
    if (!out) {
        b->failed = true;
        return;
    }
    (void)text_copy(out, max < 4 ? 5 : max + 1, text, n);
    put(b, parent, key, cJSON_CreateString(out));
    if (out != small)
        free(out);
}

void build_text(
    struct build *b, cJSON *parent, const char *key, const char *text, size_t max)
{
    if (text)
        build_text_n(b, parent, key, text, strlen(text), max);
}

void build_number(struct build *b, cJSON *parent, const char *key, double value)
{
    if (!b->failed && parent)
        put(b, parent, key, cJSON_CreateNumber(value));
}

void build_bool(struct build *b, cJSON *parent, const char *key, bool value)
{
    if (!b->failed && parent)
        put(b, parent, key, cJSON_CreateBool(value));
}

void build_address(struct build *b, cJSON *parent, const char *key, uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "0x%llx", (unsigned long long)value);
    build_text(b, parent, key, text, sizeof text);
}

void build_time(struct build *b, cJSON *parent, const char *key, uint64_t time_ns)
{
    char text[64];
    time_t s = (time_t)(time_ns / 1000000000);
    struct tm tm;
    if (!time_ns || !gmtime_r(&s, &tm) || tm.tm_year + 1900 > 9999)
        return;
    size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(
        text + n, sizeof text - n, ".%06uZ", (unsigned)(time_ns / 1000 % 1000000));
    build_text(b, parent, key, text, sizeof text);
}

void build_drop_empty(cJSON *parent, const char *key)
{
    cJSON *item = parent ? cJSON_GetObjectItemCaseSensitive(parent, key) : NULL;
    if (item && !item->child)
        cJSON_DeleteItemFromObjectCaseSensitive(parent, key);
}
