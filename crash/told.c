#include "crash/told.h"

#include <stdlib.h>
#include <string.h>

static uint32_t within(uint32_t given, uint32_t otherwise, uint32_t least, uint32_t most)
{
    uint32_t n = given ? given : otherwise;
    return n < least ? least : n > most ? most : n;
}

/* Returns whether one was given. */
static bool rate(double given, const char *text, double *ret)
{
    double r = given;
    if (r == 0 || r != r) {
        char *end = NULL;
        r = text && *text ? strtod(text, &end) : 0;
        if (!end || end == text || *end)
            return false;
    }
    *ret = r > 1 ? 1 : r > 0 ? r : 0;
    return true;
}

static bool on(enum knell_switch given, const char *text, bool otherwise)
{
    if (given != KNELL_DEFAULT)
        return given == KNELL_ON;
    return text && *text ? strcmp(text, "0") != 0 : otherwise;
}

/* Who names a Sentry project gets its release health, as from any other SDK; a folder or
 * nobody has no use for it. */
static bool is_sentry(const char *dsn)
{
    return !strncmp(dsn, "https://", 8) || !strncmp(dsn, "http://", 7);
}

void kn_told_init(struct kn_told *t, const struct knell_options *o,
    const char *(*getvar)(const char *), const char *dsn)
{
    *t = (struct kn_told){
        .max_breadcrumbs = within(o->max_breadcrumbs, 100, 1, 1000),
        .breadcrumb_bytes = within(o->breadcrumb_bytes, 256, 64, 4096) / 8 * 8,
        .max_thread_scopes = within(o->max_thread_scopes, 32, 1, KN_MAX_THREAD_SCOPES),
        .sample_rate = 1,
        .capture_burst = within(o->capture_burst, 10, 1, 10000),
        .capture_interval_ms = within(o->capture_interval_ms, 6000, 1, 86400000),
        .sessions = on(o->sessions, getvar("KNELL_SESSIONS"), is_sentry(dsn)),
        .sessions_of_children = on(o->sessions, getvar("KNELL_SESSIONS"), false),
        .logs = on(o->logs, getvar("KNELL_LOGS"), false),
        .note_exits = on(o->note_exits, NULL, true),
        .cover_forks = o->on_fork == KNELL_FORK_COVER ||
                       on(KNELL_DEFAULT, getvar("KNELL_COVER_FORKS"), false),
    };
    (void)rate(o->sample_rate, getvar("SENTRY_SAMPLE_RATE"), &t->sample_rate);
    t->traces = rate(o->traces_sample_rate, getvar("SENTRY_TRACES_SAMPLE_RATE"),
        &t->traces_sample_rate);
    if (t->max_breadcrumbs > KN_RING_BYTES / t->breadcrumb_bytes)
        t->max_breadcrumbs = KN_RING_BYTES / t->breadcrumb_bytes;
    size_t at = 0;
    for (size_t i = 0; o->ignore_transactions && o->ignore_transactions[i]; i++) {
        size_t n = strlen(o->ignore_transactions[i]);
        if (n && n + 2 <= sizeof t->ignore - at) {
            memcpy(t->ignore + at, o->ignore_transactions[i], n + 1);
            at += n + 1;
        }
    }
}

/* '*' is the only special character. Going back to the last one is enough. */
static bool matches(const char *pattern, const char *name)
{
    const char *star = NULL, *retry = NULL;
    while (*name) {
        if (*pattern == '*') {
            star = pattern++;
            retry = name;
        } else if (*pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star + 1;
            name = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

bool kn_told_ignores(const struct kn_told *t, const char *name)
{
    for (const char *p = t->ignore; *p; p += strlen(p) + 1) {
        if (matches(p, name))
            return true;
    }
    return false;
}
