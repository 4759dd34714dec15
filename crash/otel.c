#include "crash/otel.h"

#include "crash/settings.h"

#include <knell/knell.h>
#include <string.h>

struct attribute {
    char key[KN_OTEL_KEY_BYTES], value[KN_OTEL_VALUE_BYTES];
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* @out gets the @n characters with %XX decoded; what controls a terminal or ends a text
 * is left out. */
static void decode(const char *p, size_t n, char *out, size_t room)
{
    char plain[3 * KN_OTEL_VALUE_BYTES];
    size_t at = 0;
    for (size_t i = 0; i < n && at + 1 < sizeof plain; i++) {
        int high = p[i] == '%' && i + 2 < n ? hex_digit(p[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(p[i + 2]) : -1;
        char c = p[i];
        if (low >= 0) {
            c = (char)(high << 4 | low);
            i += 2;
        }
        if ((unsigned char)c >= 0x20 && c != 0x7f)
            plain[at++] = c;
    }
    plain[at] = 0;
    kn_copy_text(out, room, plain);
}

static void trim(const char **p, size_t *n)
{
    while (*n && (**p == ' ' || **p == '\t'))
        (*p)++, (*n)--;
    while (*n && ((*p)[*n - 1] == ' ' || (*p)[*n - 1] == '\t'))
        (*n)--;
}

/* The next sound one of a list; *list moves behind it. Returns false at the end. */
static bool next(const char **list, struct attribute *ret)
{
    while (*list && **list) {
        const char *p = *list, *equals;
        size_t n = strcspn(p, ",");
        *list = p + n + (p[n] == ',');
        equals = memchr(p, '=', n);
        if (!equals)
            continue;
        const char *value = equals + 1;
        size_t n_key = (size_t)(equals - p), n_value = n - n_key - 1;
        trim(&p, &n_key);
        trim(&value, &n_value);
        if (!n_key || n_key >= sizeof ret->key || !n_value)
            continue;
        decode(p, n_key, ret->key, sizeof ret->key);
        decode(value, n_value, ret->value, sizeof ret->value);
        if (ret->key[0] && ret->value[0])
            return true;
    }
    return false;
}

bool kn_otel_attribute(const char *list, const char *key, char *out, size_t n)
{
    struct attribute a;
    out[0] = 0;
    while (next(&list, &a)) {
        if (!strcmp(a.key, key))
            kn_copy_text(out, n, a.value);
    }
    return out[0] != 0;
}

void kn_otel_remember(const char *list, const char *service_name)
{
    static const char service[] = "service.name";
    struct attribute all[KN_OTEL_MAX_ATTRIBUTES];
    struct knell_data facts[KN_OTEL_MAX_ATTRIBUTES];
    size_t n = 0;
    bool named = service_name && service_name[0];
    if (named) {
        kn_copy_text(all[0].key, sizeof all[0].key, service);
        decode(service_name, strlen(service_name), all[0].value, sizeof all[0].value);
        n = 1;
    }
    while (n < KN_OTEL_MAX_ATTRIBUTES && next(&list, &all[n])) {
        size_t same = 0; /* of one name the last one counts */
        while (same < n && strcmp(all[same].key, all[n].key) != 0)
            same++;
        if (same < n && !(named && same == 0))
            all[same] = all[n];
        n += same == n;
    }
    for (size_t i = 0; i < n; i++)
        facts[i] = knell_text(all[i].key, all[i].value);
    if (n)
        knell_set_context(KN_OTEL_GROUP, facts, n);
}
