/* Text to configuration values and back. */
#include "uploader/config_keys.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Digits, then a unit of @units ("KMG") worth @worth; plain digits count @plain. */
struct unit {
    const char *name;
    uint64_t worth;
};

static const struct unit byte_units[] = {
    {"", 1}, {"K", 1u << 10}, {"M", 1u << 20}, {"G", 1u << 30}, {NULL, 0}};
static const struct unit time_units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000},
    {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

static int parse_number(const char *text, const struct unit *units, uint64_t *ret)
{
    uint64_t v = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
            return -EINVAL;
    }
    if (p == text)
        return -EINVAL;
    for (; units->name; units++) {
        if (!strcmp(p, units->name))
            return __builtin_mul_overflow(v, units->worth, ret) ? -EINVAL : 0;
    }
    return -EINVAL;
}

static int parse_switch(const char *text, bool *ret)
{
    static const char *const yes[] = {"yes", "true", "on", "1"};
    static const char *const no[] = {"no", "false", "off", "0"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        if (!strcasecmp(text, yes[i]) || !strcasecmp(text, no[i])) {
            *ret = !strcasecmp(text, yes[i]);
            return 0;
        }
    }
    return -EINVAL;
}

static int parse_rate(const char *text, struct config_rate *ret)
{
    struct config_rate r = {.is_auto = !strcmp(text, "auto")};
    char count[24];
    const char *slash = strchr(text, '/');
    if (r.is_auto || !strcmp(text, "0")) {
        *ret = r;
        return 0;
    }
    if (!slash || (size_t)(slash - text) >= sizeof count)
        return -EINVAL;
    snprintf(count, sizeof count, "%.*s", (int)(slash - text), text);
    if (parse_number(count, no_units, &r.count) < 0 ||
        parse_number(slash + 1, time_units, &r.per_ms) < 0 || !r.per_ms || !r.count)
        return -EINVAL;
    *ret = r;
    return 0;
}

static int parse_choice(const char *text, const char *words, unsigned *ret)
{
    size_t n = strlen(text);
    for (unsigned i = 0; *words; i++) {
        size_t len = strcspn(words, "|");
        if (len == n && !strncmp(words, text, n)) {
            *ret = i;
            return 0;
        }
        words += len + (words[len] == '|');
    }
    return -EINVAL;
}

static int set_text(char **field, const char *text, bool append)
{
    char *value = NULL;
    if (append && *field && *text) {
        if (asprintf(&value, "%s\n%s", *field, text) < 0)
            return -ENOMEM;
    } else {
        value = strdup(text);
    }
    if (!value)
        return -ENOMEM;
    free(*field);
    *field = value;
    return 0;
}

int config_value_set(struct config *c, const struct config_key *k, const char *text)
{
    void *field = (char *)c + k->offset;
    switch (k->type) {
    case CONFIG_TEXT:
    case CONFIG_SECRET:
    case CONFIG_LINES:
        /* An empty line takes back what lower sources gathered. */
        return set_text(field, text, k->type == CONFIG_LINES);
    case CONFIG_SWITCH:
        return parse_switch(text, field);
    case CONFIG_COUNT:
        return parse_number(text, no_units, field);
    case CONFIG_BYTES:
        return parse_number(text, byte_units, field);
    case CONFIG_TIME:
        return parse_number(text, time_units, field);
    case CONFIG_RATE:
        return parse_rate(text, field);
    case CONFIG_CHOICE:
        return parse_choice(text, k->words, field);
    }
    return -EINVAL;
}

/* The largest unit that divides @v. */
static void format_number(uint64_t v, const struct unit *units, char *out, size_t n)
{
    const struct unit *best = units;
    for (const struct unit *u = units; u->name; u++) {
        if (v && v % u->worth == 0 && (u->worth > best->worth || !*best->name))
            best = u;
    }
    if (!v || v % best->worth)
        snprintf(out, n, "%" PRIu64 "%s", v, units == time_units && v ? "ms" : "");
    else
        snprintf(out, n, "%" PRIu64 "%s", v / best->worth, best->name);
}

void config_value_format(
    const struct config *c, const struct config_key *k, char *out, size_t n)
{
    const void *field = (const char *)c + k->offset;
    const struct config_rate *rate = field;
    const char *text = k->type <= CONFIG_LINES ? *(char *const *)field : NULL;
    const char *words = k->words;
    char per[32];
    switch (k->type) {
    case CONFIG_SECRET:
        config_mask(text ? text : "", out, n);
        return;
    case CONFIG_TEXT:
    case CONFIG_LINES:
        snprintf(out, n, "%s", text ? text : "");
        return;
    case CONFIG_SWITCH:
        snprintf(out, n, "%s", *(const bool *)field ? "yes" : "no");
        return;
    case CONFIG_COUNT:
        format_number(*(const uint64_t *)field, no_units, out, n);
        return;
    case CONFIG_BYTES:
        format_number(*(const uint64_t *)field, byte_units, out, n);
        return;
    case CONFIG_TIME:
        format_number(*(const uint64_t *)field, time_units, out, n);
        return;
    case CONFIG_RATE:
        format_number(rate->per_ms, time_units, per, sizeof per);
        if (rate->is_auto || !rate->count)
            snprintf(out, n, "%s", rate->is_auto ? "auto" : "0");
        else
            snprintf(out, n, "%" PRIu64 "/%s", rate->count, per);
        return;
    case CONFIG_CHOICE:
        for (unsigned i = 0; i < *(const unsigned *)field; i++)
            words = strchr(words, '|') + 1;
        snprintf(out, n, "%.*s", (int)strcspn(words, "|"), words);
        return;
    }
}

void config_value_done(struct config *c, const struct config_key *k)
{
    char **field = (char **)((char *)c + k->offset);
    if (k->type <= CONFIG_LINES) {
        free(*field);
        *field = NULL;
    }
}

const char *config_debuginfod_dir(const struct config *c, const char *spool, char *room)
{
    if (c->debuginfod_dir && *c->debuginfod_dir)
        return c->debuginfod_dir;
    (void)snprintf(room, 4096, "%s/symbols", spool);
    return room;
}

void config_mask(const char *url, char *out, size_t n)
{
    size_t at = 0;
    if (!n)
        return;
    while (*url && at + 1 < n) {
        /* Word by word: user information is what lies between "://" and '@'. */
        size_t word = strcspn(url, " \t\n");
        const char *scheme = memmem(url, word, "://", 3);
        /* A list of headers may hold a URL without being one. */
        if (scheme && memchr(url, '=', (size_t)(scheme - url)))
            scheme = NULL;
        const char *user = scheme ? scheme + 3 : url;
        const char *sign = memrchr(url, '@', word);
        int r;
        if (scheme && sign && sign > user)
            r = snprintf(out + at, n - at, "%.*s***%.*s", (int)(user - url), url,
                (int)(url + word - sign), sign);
        else if (!scheme && word)
            r = snprintf(out + at, n - at, "***"); /* a secret of no known form */
        else
            r = snprintf(out + at, n - at, "%.*s", (int)word, url);
        at += (size_t)r < n - at ? (size_t)r : n - at - 1;
        url += word;
        if (*url && at + 1 < n)
            out[at++] = *url++;
    }
    out[at] = 0;
}
