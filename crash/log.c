#include "crash/breadcrumb.h"
#include "crash/segment.h"
#include "crash/span.h"
#include "crash/text.h"

#include <errno.h>
#include <knell/knell.h>
#include <stdio.h>
#include <syslog.h>
#include <time.h>

enum { LINE_BYTES = 1024, DATA_BYTES = 512 };

static void send_record(struct kn_areas *a, enum knell_level level, const char *message,
    const struct knell_data *values, size_t n)
{
    uint8_t data[DATA_BYTES];
    bool cut = false;
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    struct knell_log_record r = {
        .time_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec,
        .level = level,
        .tid = kn_self_get(a)->tid,
        .n_message = (uint32_t)strnlen(message, LINE_BYTES)};
    (void)kn_span_ids(r.trace_id, r.span_id);
    r.n_pairs_bytes = (uint32_t)kn_pairs_put(data, sizeof data, values, n, &cut);
    struct kn_record record = {.type = KNELL_RECORD_LOG,
        .parts = {&r, message, data},
        .n_parts = {sizeof r, r.n_message, r.n_pairs_bytes}};
    kn_count(a, kn_segment_append(&record, 1) ? KNELL_COUNT_LOGS_LOST : KNELL_COUNT_LOGS);
}

void knell_log_data(enum knell_level level, const char *message,
    const struct knell_data *values, size_t n)
{
    struct kn_areas *a = kn_areas_current();
    if (!a || !message)
        return;
    kn_breadcrumb(level, KNELL_CRUMB_LOG, "log", message, values, n);
    if (a->told.logs)
        send_record(a, level, message, values, n);
}

void knell_vlog(enum knell_level level, const char *format, va_list args)
{
    char line[LINE_BYTES];
    int saved = errno;
    if (!kn_areas_current() || !format)
        return;
    int n = vsnprintf(line, sizeof line, format, args);
    if (n >= 0) {
        /* The cut may have split a character. */
        bool cut = false;
        size_t whole = kn_text_cut(line, sizeof line - 1, &cut);
        if ((size_t)n >= sizeof line) {
            while (whole && ((uint8_t)line[whole - 1] & 0xc0) == 0x80)
                whole--;
            if (whole && (uint8_t)line[whole - 1] >= 0xc0)
                whole--;
        }
        while (whole && line[whole - 1] == '\n')
            whole--;
        line[whole] = '\0';
        knell_log_data(level, line, NULL, 0);
    }
    errno = saved;
}

void knell_log(enum knell_level level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    knell_vlog(level, format, args);
    va_end(args);
}

static enum knell_level level_of(int priority)
{
    int p = LOG_PRI(priority);
    if (p <= LOG_CRIT)
        return KNELL_LEVEL_FATAL;
    if (p == LOG_ERR)
        return KNELL_LEVEL_ERROR;
    if (p == LOG_WARNING)
        return KNELL_LEVEL_WARNING;
    return p == LOG_DEBUG ? KNELL_LEVEL_DEBUG : KNELL_LEVEL_INFO;
}

void knell_vsyslog(int priority, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    knell_vlog(level_of(priority), format, again);
    va_end(again);
    vsyslog(priority, format, args);
}

void knell_syslog(int priority, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    knell_vsyslog(priority, format, args);
    va_end(args);
}
