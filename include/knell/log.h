/**
 * Log lines: a breadcrumb each, and with options.logs on a log record that is sent as
 * well, tied to the open span.
 */
#ifndef KNELL_LOG_H
#define KNELL_LOG_H

#include <knell/types.h>
#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

/* printf-like; at most 1,023 bytes, the rest is cut. errno is kept, and %m works. */
KNELL_API void knell_log(enum knell_level level, const char *format, ...)
    KNELL_FORMAT(2, 3);
KNELL_API void knell_vlog(enum knell_level level, const char *format, va_list args)
    KNELL_FORMAT(2, 0);
/* With typed values beside the text. */
KNELL_API void knell_log_data(enum knell_level level, const char *message,
    const struct knell_data *values, size_t n);

/**
 * syslog(3) by another name: keeps the line as knell_log() does, then passes it on to
 * syslog(3), whether knell is started or not. A program whose every line shall count says
 *     #define syslog knell_syslog
 *
 * @priority  LOG_EMERG … LOG_DEBUG, facility allowed; LOG_CRIT and worse are fatal
 */
KNELL_API void knell_syslog(int priority, const char *format, ...) KNELL_FORMAT(2, 3);
KNELL_API void knell_vsyslog(int priority, const char *format, va_list args)
    KNELL_FORMAT(2, 0);

#ifdef __cplusplus
}
#endif

#endif
