#include "uploader/deliver/hint.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static const char *const names[HINT_N_CATEGORIES] = {
    [HINT_ERROR] = "error",
    [HINT_TRANSACTION] = "transaction",
    [HINT_SESSION] = "session",
    [HINT_ATTACHMENT] = "attachment",
    [HINT_LOG] = "log_item",
    [HINT_INTERNAL] = "internal",
};

/* Whole seconds, rounded up, from digits with an optional fraction; clamped to @max_s.
 * @n  the number must fill exactly that much. */
static int parse_seconds(const char *p, size_t n, uint64_t max_s, uint64_t *ret)
{
    uint64_t v = 0;
    size_t i = 0;
    bool fraction = false;
    for (; i < n && isdigit((unsigned char)p[i]); i++) {
        v = v * 10 + (uint64_t)(p[i] - '0');
        if (v > max_s)
            v = max_s;
    }
    if (!i)
        return -EINVAL;
    if (i < n && p[i] == '.') {
        size_t first = ++i;
        for (; i < n && isdigit((unsigned char)p[i]); i++)
            fraction |= p[i] != '0';
        if (i == first)
            return -EINVAL;
    }
    if (i != n)
        return -EINVAL;
    *ret = fraction && v < max_s ? v + 1 : v;
    return 0;
}

static int month_of(const char *p)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int m = 0; m < 12; m++) {
        if (!strncasecmp(p, months + 3 * (size_t)m, 3))
            return m;
    }
    return -1;
}

/* Day, month name, year and time of one of the three forms; strptime() would obey the
 * locale. */
static int parse_date(const char *text, time_t *ret)
{
    struct tm t = {0};
    char month[4] = "";
    const char *comma = strchr(text, ',');
    int used = 0;
    if (comma) {
        if (sscanf(comma + 1, " %2d%*1[ -]%3[A-Za-z]%*1[ -]%4d %2d:%2d:%2d GMT%n",
                &t.tm_mday, month, &t.tm_year, &t.tm_hour, &t.tm_min, &t.tm_sec,
                &used) != 6 ||
            !used)
            return -EINVAL;
        if (t.tm_year < 100) /* RFC 850: the century nearest to us */
            t.tm_year += t.tm_year < 70 ? 2000 : 1900;
    } else if (sscanf(text, "%*3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d", month,
                   &t.tm_mday, &t.tm_hour, &t.tm_min, &t.tm_sec, &t.tm_year) != 6) {
        return -EINVAL;
    }
    t.tm_mon = month_of(month);
    t.tm_year -= 1900;
    if (t.tm_mon < 0 || t.tm_mday < 1 || t.tm_mday > 31 || t.tm_hour < 0 ||
        t.tm_hour > 23 || t.tm_min < 0 || t.tm_min > 59 || t.tm_sec < 0 || t.tm_sec > 60)
        return -EINVAL;
    *ret = timegm(&t);
    return 0;
}

int hint_retry_after(const char *text, uint64_t now_s, uint64_t max_s, uint64_t *ret_s)
{
    text += strspn(text, " \t");
    size_t n = strlen(text);
    while (n && isspace((unsigned char)text[n - 1]))
        n--;
    if (!parse_seconds(text, n, max_s, ret_s))
        return 0;
    time_t when;
    int r = parse_date(text, &when);
    if (r < 0)
        return r;
    uint64_t then = when > 0 ? (uint64_t)when : 0;
    uint64_t wait = then > now_s ? then - now_s : 0;
    *ret_s = wait < max_s ? wait : max_s;
    return 0;
}

static void raise(struct hint *h, int category, uint64_t seconds)
{
    if (h->seconds[category] < seconds)
        h->seconds[category] = seconds;
    h->any |= seconds > 0;
}

/* @p  @n characters, no blanks around */
static void limit_category(struct hint *h, const char *p, size_t n, uint64_t seconds)
{
    if (n == 7 && !strncasecmp(p, "default", 7))
        raise(h, HINT_ERROR, seconds);
    for (int c = 0; c < HINT_N_CATEGORIES; c++) {
        if (strlen(names[c]) == n && !strncasecmp(p, names[c], n))
            raise(h, c, seconds);
    }
}

/* Next field up to one of @stop, blanks around it cut off; *at moves behind it. */
static const char *field(
    const char **at, const char *end, const char *stop, size_t *ret_n)
{
    const char *p = *at, *q = p;
    while (q < end && !strchr(stop, *q))
        q++;
    *at = q;
    while (p < q && isspace((unsigned char)*p))
        p++;
    while (q > p && isspace((unsigned char)q[-1]))
        q--;
    *ret_n = (size_t)(q - p);
    return p;
}

static void limit_quota(struct hint *h, const char *p, const char *end, uint64_t max_s)
{
    size_t n;
    uint64_t seconds;
    const char *number = field(&p, end, ":", &n);
    if (parse_seconds(number, n, max_s, &seconds) < 0)
        return;
    if (p < end)
        p++;
    const char *at = p;
    const char *all = field(&at, end, ":", &n);
    if (!n) {
        for (int c = 0; c < HINT_N_CATEGORIES; c++)
            raise(h, c, seconds);
        return;
    }
    const char *stop = all + n;
    for (const char *q = all; q < stop; q += q < stop) {
        size_t len;
        const char *name = field(&q, stop, ";", &len);
        limit_category(h, name, len, seconds);
    }
}

void hint_rate_limits(const char *text, uint64_t max_s, struct hint *ret)
{
    struct hint h = {0};
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, ",");
        limit_quota(&h, p, p + n, max_s);
        p += n + (p[n] == ',');
    }
    *ret = h;
}
