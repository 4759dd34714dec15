/**
 * The only place that logs: one line to stderr, and the same to journald's native socket
 * with fields, so that a service manager shows it under a stable message id.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum log_level {
    LOG_LEVEL_ERROR = 3,
    LOG_LEVEL_WARNING = 4,
    LOG_LEVEL_INFO = 6,
    LOG_LEVEL_DEBUG = 7
};

/* What happened; each kind has its own MESSAGE_ID. */
enum log_kind {
    LOG_OTHER,
    LOG_SENT,
    LOG_DEFERRED,
    LOG_QUARANTINED,
    LOG_EVICTED,
    LOG_ADOPTED,
    LOG_CONFIGURATION,
    LOG_N_KINDS,
};

/* Facts of one report; NULL or 0: not known. Text may be hostile; it is escaped. */
struct log_report {
    const char *event_id, *signature, *app, *release, *state, *destination;
    int http_status;
};

/**
 * @journal_socket  path of journald's native socket; NULL: do not use it
 * @level  the least important level that goes to stderr; journald gets INFO and above
 */
void log_open(enum log_level level, const char *journal_socket);
void log_close(void);

/* @report  may be NULL */
__attribute__((format(printf, 4, 5))) void log_line(enum log_level level,
    enum log_kind kind, const struct log_report *report, const char *format, ...);

/* 32 hex digits. */
const char *log_message_id(enum log_kind kind);
