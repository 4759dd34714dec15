#include "uploader/spool/name.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A listing parses some eighty characters of each of its names: no branch per digit. */
static int hex_digit(char c)
{
    static const int8_t values[256] = {
        ['0'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ['a'] = 11, 12, 13, 14, 15, 16};
    return values[(uint8_t)c] - 1;
}

/* A cursor with a sticky failure: every step checks, the caller looks once. */
struct scan {
    const char *at;
    bool bad;
};

static uint64_t take_number(struct scan *s, unsigned digits, unsigned base)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < digits && !s->bad; i++) {
        int d = hex_digit(*s->at);
        if (d < 0 || (unsigned)d >= base) {
            s->bad = true;
            return 0;
        }
        v = v * base + (unsigned)d;
        s->at++;
    }
    return v;
}

/* Decimal of one to @max digits without a leading zero, up to a character that is none.
 */
static uint64_t take_decimal(struct scan *s, unsigned max)
{
    unsigned n = 0;
    while (n < max && s->at[n] >= '0' && s->at[n] <= '9')
        n++;
    if (!n || (n > 1 && *s->at == '0'))
        s->bad = true;
    return take_number(s, n, 10);
}

static void take_text(struct scan *s, const char *text)
{
    size_t n = strlen(text);
    if (s->bad || strncmp(s->at, text, n) != 0)
        s->bad = true;
    else
        s->at += n;
}

int spool_event_id_parse(const char *text, uint8_t ret[static SPOOL_EVENT_ID_BYTES])
{
    uint8_t id[SPOOL_EVENT_ID_BYTES];
    for (size_t i = 0; i < sizeof id; i++) {
        int high = hex_digit(text[2 * i]);
        int low = high < 0 ? -1 : hex_digit(text[2 * i + 1]); /* text may end at high */
        if (low < 0)
            return -EINVAL;
        id[i] = (uint8_t)(high << 4 | low);
    }
    memcpy(ret, id, sizeof id);
    return 0;
}

static void take_event(struct scan *s, uint8_t id[static SPOOL_EVENT_ID_BYTES])
{
    if (s->bad || spool_event_id_parse(s->at, id) < 0)
        s->bad = true;
    else
        s->at += KNELL_SPOOL_EVENT_DIGITS;
}

int spool_name_parse(const char *text, struct spool_name *ret)
{
    struct spool_name n = {0};
    struct scan s = {.at = text};
    n.time_ms = take_number(&s, KNELL_SPOOL_TIME_DIGITS, 10);
    take_text(&s, "-");
    n.signature = take_number(&s, KNELL_SPOOL_SIGNATURE_DIGITS, 16);
    take_text(&s, "-");
    take_event(&s, n.event_id);
    take_text(&s, "-s");
    n.signo = (uint8_t)take_number(&s, 2, 10);
    take_text(&s, ".a");
    n.attempts = (uint8_t)take_number(&s, 2, 10);
    take_text(&s, ".n");
    n.not_before_s = take_number(&s, KNELL_SPOOL_NOT_BEFORE_DIGITS, 10);
    if (s.bad)
        return -EINVAL;
    n.segment = !strcmp(s.at, KNELL_SEGMENT_SUFFIX);
    if (!n.segment && strcmp(s.at, KNELL_SPOOL_SUFFIX) != 0)
        return -EINVAL;
    *ret = n;
    return 0;
}

static uint64_t at_most(uint64_t v, uint64_t max)
{
    return v < max ? v : max;
}

void spool_event_id_format(
    const uint8_t id[static SPOOL_EVENT_ID_BYTES], char out[static 33])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < SPOOL_EVENT_ID_BYTES; i++) {
        out[2 * i] = digits[id[i] >> 4];
        out[2 * i + 1] = digits[id[i] & 15];
    }
    out[32] = 0;
}

void spool_name_format(
    const struct spool_name *name, char out[static KNELL_SPOOL_NAME_BYTES + 1])
{
    char id[33];
    spool_event_id_format(name->event_id, id);
    snprintf(out, KNELL_SPOOL_NAME_BYTES + 1,
        "%013" PRIu64 "-%012" PRIx64 "-%s-s%02u.a%02u.n%010" PRIu64 "%s",
        at_most(name->time_ms, 9999999999999), name->signature & 0xffffffffffff, id,
        (unsigned)at_most(name->signo, 99), (unsigned)at_most(name->attempts, 99),
        at_most(name->not_before_s, 9999999999),
        name->segment ? KNELL_SEGMENT_SUFFIX : KNELL_SPOOL_SUFFIX);
}

int spool_live_name_parse(const char *text, struct spool_live_name *ret)
{
    struct spool_live_name n = {0};
    struct scan s = {.at = text};
    n.boot = (uint32_t)take_number(&s, 8, 16);
    take_text(&s, "-");
    uint64_t pid = take_decimal(&s, 10);
    n.pid = (uint32_t)pid;
    take_text(&s, "-");
    n.start_ticks = take_decimal(&s, 19);
    take_text(&s, "-");
    take_event(&s, n.event_id);
    if (s.bad || pid > INT32_MAX || !pid)
        return -EINVAL;
    if (!strcmp(s.at, KNELL_JOURNAL_SUFFIX))
        n.journal = true;
    else if (!strcmp(s.at, KNELL_SEGMENT_SUFFIX))
        n.segment = true;
    else if (strcmp(s.at, KNELL_SPOOL_SUFFIX) != 0)
        return -EINVAL;
    *ret = n;
    return 0;
}

void spool_live_name_format(
    const struct spool_live_name *name, char out[static SPOOL_LIVE_NAME_BYTES + 1])
{
    char id[33];
    spool_event_id_format(name->event_id, id);
    snprintf(out, SPOOL_LIVE_NAME_BYTES + 1, "%08" PRIx32 "-%" PRIu32 "-%" PRIu64 "-%s%s",
        name->boot, name->pid, name->start_ticks, id,
        name->journal   ? KNELL_JOURNAL_SUFFIX
        : name->segment ? KNELL_SEGMENT_SUFFIX
                        : KNELL_SPOOL_SUFFIX);
}
