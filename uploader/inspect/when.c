#include "uploader/inspect/when.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define WEEK (7 * DAY)
#define YEAR (INT64_C(31557600) * SECOND) /* 365.25 days, as in systemd.time(7) */
#define MAX_MS (INT64_C(9999) * YEAR)

static const struct {
    const char *name;
    int64_t ms;
} units[] = {
    {"ms", 1},
    {"msec", 1},
    {"s", SECOND},
    {"sec", SECOND},
    {"second", SECOND},
    {"seconds", SECOND},
    {"m", MINUTE},
    {"min", MINUTE},
    {"minute", MINUTE},
    {"minutes", MINUTE},
    {"h", HOUR},
    {"hr", HOUR},
    {"hour", HOUR},
    {"hours", HOUR},
    {"d", DAY},
    {"day", DAY},
    {"days", DAY},
    {"w", WEEK},
    {"week", WEEK},
    {"weeks", WEEK},
    {"M", YEAR / 12},
    {"month", YEAR / 12},
    {"months", YEAR / 12},
    {"y", YEAR},
    {"year", YEAR},
    {"years", YEAR},
};

static const char *skip_blanks(const char *s)
{
    while (isblank((unsigned char)*s))
        s++;
    return s;
}

/* The unit at *s, as milliseconds; 0 when there is none. Capitals count, as "m" is a
 * minute and "M" a month. */
static int64_t take_unit(const char **s)
{
    size_t n = 0;
    while (isalpha((unsigned char)(*s)[n]))
        n++;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strlen(units[i].name) == n && memcmp(*s, units[i].name, n) == 0) {
            *s += n;
            return units[i].ms;
        }
    return 0;
}

/* Terms such as "1d 12h"; stops at what is no term. */
static int take_span(const char **s, bool bare_is_seconds, int64_t *ret_ms)
{
    int64_t total = 0;
    unsigned n_terms = 0;
    for (const char *p = skip_blanks(*s); isdigit((unsigned char)*p); n_terms++) {
        char *end;
        errno = 0;
        double value = strtod(p, &end);
        if (errno || end == p)
            return -EINVAL;
        p = skip_blanks(end);
        int64_t unit = take_unit(&p);
        if (!unit && !bare_is_seconds)
            return -EINVAL;
        double ms = value * (double)(unit ? unit : SECOND);
        if (ms > (double)MAX_MS || total > MAX_MS - (int64_t)ms)
            return -ERANGE;
        total += (int64_t)ms;
        p = skip_blanks(p);
        *s = p;
    }
    if (!n_terms)
        return -EINVAL;
    *ret_ms = total;
    return 0;
}

int when_parse_span(const char *s, int64_t *ret_ms)
{
    int64_t ms;
    int err = take_span(&s, true, &ms);
    if (err)
        return err;
    if (*s)
        return -EINVAL;
    *ret_ms = ms;
    return 0;
}

static bool broken_down(int64_t time_ms, bool utc, struct tm *ret)
{
    time_t seconds = (time_t)(time_ms / 1000 - (time_ms % 1000 < 0));
    return utc ? gmtime_r(&seconds, ret) != NULL : localtime_r(&seconds, ret) != NULL;
}

static int64_t joined(struct tm *tm, bool utc)
{
    tm->tm_isdst = -1;
    return (int64_t)(utc ? timegm(tm) : mktime(tm)) * 1000;
}

/* Midnight of the day that is @days from that of @now_ms. */
static int64_t midnight(int64_t now_ms, bool utc, int days)
{
    struct tm tm;
    if (!broken_down(now_ms, utc, &tm))
        return now_ms;
    tm.tm_mday += days;
    tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
    return joined(&tm, utc);
}

static bool parse_word(const char *s, int64_t now_ms, bool utc, int64_t *ret_ms)
{
    static const char *const days[] = {
        "sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"};
    static const struct {
        const char *word;
        int offset;
    } words[] = {{"today", 0}, {"yesterday", -1}, {"tomorrow", 1}};

    if (strcasecmp(s, "now") == 0) {
        *ret_ms = now_ms;
        return true;
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(s, words[i].word) == 0) {
            *ret_ms = midnight(now_ms, utc, words[i].offset);
            return true;
        }
    struct tm tm;
    if (strlen(s) < 3 || !broken_down(now_ms, utc, &tm))
        return false;
    for (int i = 0; i < 7; i++) {
        size_t n = strlen(s);
        if ((n != 3 && n != strlen(days[i])) || strncasecmp(s, days[i], n) != 0)
            continue;
        *ret_ms = midnight(now_ms, utc, -((tm.tm_wday - i + 7) % 7));
        return true;
    }
    return false;
}

/* @n to @most digits. */
static bool take_number(const char **s, int least, int most, int *ret)
{
    int n = 0, v = 0;
    while (n < most && isdigit((unsigned char)(*s)[n]))
        v = v * 10 + ((*s)[n++] - '0');
    if (n < least)
        return false;
    *s += n;
    *ret = v;
    return true;
}

/* HH:MM[:SS[.fraction]] */
static bool take_clock(const char **s, struct tm *tm, int *ret_ms)
{
    if (!take_number(s, 1, 2, &tm->tm_hour) || *(*s)++ != ':' ||
        !take_number(s, 2, 2, &tm->tm_min))
        return false;
    tm->tm_sec = 0;
    if (**s == ':') {
        (*s)++;
        if (!take_number(s, 2, 2, &tm->tm_sec))
            return false;
        if (**s == '.') {
            int scale = 100;
            for ((*s)++; isdigit((unsigned char)**s); (*s)++, scale /= 10)
                *ret_ms += (**s - '0') * scale;
        }
    }
    return tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec < 61;
}

/* Z, UTC, +01:00 or nothing. */
static bool take_zone(const char **s, bool *utc, int64_t *ret_offset_ms)
{
    *s = skip_blanks(*s);
    if (strcasecmp(*s, "z") == 0 || strcasecmp(*s, "utc") == 0) {
        *s += strlen(*s);
        *utc = true;
        return true;
    }
    if (**s != '+' && **s != '-')
        return **s == 0;
    int sign = *(*s)++ == '-' ? -1 : 1, hours, minutes = 0;
    if (!take_number(s, 2, 2, &hours))
        return false;
    *s += **s == ':';
    if (**s && !take_number(s, 2, 2, &minutes))
        return false;
    *utc = true;
    *ret_offset_ms = sign * (hours * HOUR + minutes * MINUTE);
    return **s == 0 && hours < 24 && minutes < 60;
}

static int parse_calendar(const char *s, int64_t now_ms, bool utc, int64_t *ret_ms)
{
    struct tm tm;
    int ms = 0;
    int64_t offset = 0;
    if (!broken_down(now_ms, utc, &tm))
        return -EINVAL;
    const char *p = s;
    int year, month, day;
    if (take_number(&p, 4, 4, &year) && *p == '-') {
        p++;
        if (!take_number(&p, 1, 2, &month) || *p++ != '-' ||
            !take_number(&p, 1, 2, &day) || month < 1 || month > 12 || day < 1 ||
            day > 31)
            return -EINVAL;
        tm = (struct tm){
            .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_isdst = -1};
        if (*p == 'T')
            p++;
        p = skip_blanks(p);
        if (isdigit((unsigned char)*p) && !take_clock(&p, &tm, &ms))
            return -EINVAL;
    } else {
        p = s;
        if (!take_clock(&p, &tm, &ms))
            return -EINVAL;
    }
    bool as_utc = utc;
    if (!take_zone(&p, &as_utc, &offset))
        return -EINVAL;
    *ret_ms = joined(&tm, as_utc) + ms - offset;
    return 0;
}

int when_parse(const char *s, int64_t now_ms, bool utc, int64_t *ret_ms)
{
    s = skip_blanks(s);
    if (*s == '@') {
        char *end;
        errno = 0;
        double v = strtod(s + 1, &end);
        if (errno || end == s + 1 || *end || !(v >= 0 && v <= (double)(MAX_MS / 1000)))
            return -EINVAL;
        *ret_ms = (int64_t)(v * 1000);
        return 0;
    }
    if (parse_word(s, now_ms, utc, ret_ms))
        return 0;
    char sign = *s == '-' || *s == '+' ? *s : 0;
    const char *p = sign ? s + 1 : s;
    int64_t span;
    if (take_span(&p, false, &span) == 0) {
        bool ago = strcasecmp(p, "ago") == 0;
        if ((*p && !ago) || (ago && sign))
            return -EINVAL;
        *ret_ms = sign == '+' ? now_ms + span : now_ms - span;
        return 0;
    }
    return sign ? -EINVAL : parse_calendar(s, now_ms, utc, ret_ms);
}

const char *when_format(char out[static WHEN_BYTES], int64_t time_ms, bool utc, bool full)
{
    struct tm tm;
    if (!broken_down(time_ms, utc, &tm) || tm.tm_year > 8099) {
        (void)snprintf(out, WHEN_BYTES, "@%" PRId64, time_ms / 1000);
        return out;
    }
    size_t n = strftime(out, WHEN_BYTES, "%Y-%m-%d %H:%M:%S", &tm);
    if (!full)
        return out;
    int ms = (int)((time_ms % 1000 + 1000) % 1000);
    n += (size_t)snprintf(out + n, WHEN_BYTES - n, ".%03d ", ms);
    if (n < WHEN_BYTES && !strftime(out + n, WHEN_BYTES - n, utc ? "UTC" : "%Z", &tm))
        out[n - 1] = 0;
    return out;
}

const char *when_iso(char out[static WHEN_BYTES], int64_t time_ms)
{
    struct tm tm;
    if (!broken_down(time_ms, true, &tm) || tm.tm_year > 8099 || tm.tm_year < 0) {
        (void)snprintf(out, WHEN_BYTES, "1970-01-01T00:00:00.000Z");
        return out;
    }
    size_t n = strftime(out, WHEN_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(
        out + n, WHEN_BYTES - n, ".%03dZ", (int)((time_ms % 1000 + 1000) % 1000));
    return out;
}

const char *when_age(char out[static WHEN_BYTES], int64_t ms)
{
    static const struct {
        int64_t below, unit;
        const char *name;
    } steps[] = {
        {2 * MINUTE, SECOND, "s"},
        {2 * HOUR, MINUTE, "m"},
        {2 * DAY, HOUR, "h"},
        {3 * WEEK, DAY, "d"},
        {2 * YEAR, WEEK, "w"},
        {INT64_MAX, YEAR, "y"},
    };
    const char *sign = ms < 0 ? "+" : "";
    int64_t v = ms < 0 ? (ms == INT64_MIN ? INT64_MAX : -ms) : ms;
    size_t i = 0;
    while (v >= steps[i].below && i + 1 < sizeof steps / sizeof *steps)
        i++;
    (void)snprintf(
        out, WHEN_BYTES, "%s%" PRId64 "%s", sign, v / steps[i].unit, steps[i].name);
    return out;
}

const char *when_span(char out[static WHEN_BYTES], int64_t ms)
{
    static const struct {
        int64_t unit;
        const char *name;
    } steps[] = {{YEAR, "y"}, {DAY, "d"}, {HOUR, "h"}, {MINUTE, "min"}, {SECOND, "s"}};
    if (ms < 0)
        ms = 0;
    if (ms < SECOND) {
        (void)snprintf(out, WHEN_BYTES, "%" PRId64 "ms", ms);
        return out;
    }
    if (ms < 10 * SECOND) {
        (void)snprintf(
            out, WHEN_BYTES, "%" PRId64 ".%" PRId64 "s", ms / SECOND, ms % SECOND / 100);
        return out;
    }
    size_t i = 0, n_steps = sizeof steps / sizeof *steps;
    while (i + 1 < n_steps && ms < steps[i].unit)
        i++;
    int n = snprintf(out, WHEN_BYTES, "%" PRId64 "%s", ms / steps[i].unit, steps[i].name);
    int64_t rest = i + 1 < n_steps ? ms % steps[i].unit / steps[i + 1].unit : 0;
    if (rest && n > 0)
        (void)snprintf(
            out + n, WHEN_BYTES - (size_t)n, " %" PRId64 "%s", rest, steps[i + 1].name);
    return out;
}
