#include "crash/trace_header.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* @n bytes from hex at *@text, which is moved on; all zero is refused. */
static bool ids(const char **text, uint8_t *out, size_t n)
{
    uint8_t any = 0;
    for (size_t i = 0; i < n; i++) {
        int high = digit((*text)[0]);
        int low = high < 0 ? -1 : digit((*text)[1]);
        if (low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
        any |= out[i];
        *text += 2;
    }
    return any;
}

static const char *skip_blank(const char *p)
{
    while (*p == ' ' || *p == '\t')
        p++;
    return p;
}

int kn_sentry_trace_parse(const char *text, struct kn_trace_parent *ret)
{
    struct kn_trace_parent t = {.sampled = KN_SAMPLED_UNDECIDED};
    if (!text)
        return -EINVAL;
    const char *p = skip_blank(text);
    if (!ids(&p, t.trace_id, 16) || *p++ != '-' || !ids(&p, t.span_id, 8))
        return -EINVAL;
    if (p[0] == '-' && (p[1] == '0' || p[1] == '1')) {
        t.sampled = p[1] - '0';
        p += 2;
    }
    if (*skip_blank(p))
        return -EINVAL;
    *ret = t;
    return 0;
}

int kn_traceparent_parse(const char *text, struct kn_trace_parent *ret)
{
    struct kn_trace_parent t;
    uint8_t version[1], flags[1];
    if (!text)
        return -EINVAL;
    const char *p = skip_blank(text);
    bool zero = p[0] == '0' && p[1] == '0';
    if (!ids(&p, version, 1) && !zero)
        return -EINVAL;
    if (version[0] == 0xff || *p++ != '-' || !ids(&p, t.trace_id, 16) || *p++ != '-' ||
        !ids(&p, t.span_id, 8) || *p++ != '-')
        return -EINVAL;
    zero = p[0] == '0' && p[1] == '0';
    if (!ids(&p, flags, 1) && !zero)
        return -EINVAL;
    /* Version 00 ends here; a later one may go on after a dash. */
    if (*p && *p != ' ' && !(version[0] && *p == '-'))
        return -EINVAL;
    t.sampled = flags[0] & 1 ? KN_SAMPLED_YES : KN_SAMPLED_NO;
    *ret = t;
    return 0;
}

size_t kn_baggage_filter(const char *text, char *out, size_t room)
{
    size_t n = 0;
    for (const char *p = text ? text : ""; *p;) {
        p = skip_blank(p);
        size_t len = 0;
        while (p[len] > ' ' && p[len] < 0x7f && p[len] != ',')
            len++;
        if (len > 7 && !strncmp(p, "sentry-", 7) && n + len + 2 <= room) {
            if (n)
                out[n++] = ',';
            memcpy(out + n, p, len);
            n += len;
        }
        p += len;
        /* Properties after a blank are not ours; a control character ends the header. */
        while (*p == ' ' || *p == '\t' || (*p > ' ' && *p != ','))
            p++;
        if (*p != ',')
            break;
        p++;
    }
    if (room)
        out[n] = '\0';
    return n;
}

size_t kn_baggage_add(
    char *out, size_t room, size_t n, const char *key, const char *value)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t at = n, n_key = strlen(key);
    if (!value || !*value || at + n_key + 3 > room)
        return n;
    if (at)
        out[at++] = ',';
    memcpy(out + at, key, n_key);
    at += n_key;
    out[at++] = '=';
    for (const char *p = value; *p; p++) {
        char c = *p, lower = (char)(c | 0x20);
        bool plain = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') ||
                     (c && strchr("-_.~:/", c));
        if (at + 4 > room) {
            out[n] = '\0';
            return n;
        }
        if (plain) {
            out[at++] = c;
        } else {
            out[at++] = '%';
            out[at++] = digits[(uint8_t)c >> 4];
            out[at++] = digits[c & 15];
        }
    }
    out[at] = '\0';
    return at;
}

void kn_hex(const uint8_t *bytes, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * n] = '\0';
}
