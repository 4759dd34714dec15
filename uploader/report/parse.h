/**
 * The bytes of a report -> struct crash. The bytes may come from anyone: every offset,
 * length and count is checked against the file and against the limits of
 * <knell/minidump.h>, and nothing is followed twice.
 */
#pragma once
#include "symbolize/cleanup.h"
#include "uploader/report/crash.h"

/* Where and why a report was refused. */
struct report_error {
    const char *what; /* static; the part that is wrong, such as "thread list" */
    uint64_t offset;  /* from the report's start */
};

enum {
    /* Most memory a report may grow besides its own bytes. */
    REPORT_MAX_ARENA_BYTES = 96 << 20,
};

/**
 * Read a report.
 *
 * Context: any.
 * @bytes  the whole file, borrowed until crash_free(); must not change meanwhile
 * @n      its length, at most KNELL_MAX_REPORT_BYTES
 * @ret    the crash; free with crash_free(). Untouched on failure
 * @why    set on failure only; NULL: not wanted
 * Errors: -EBADMSG malformed, -EPROTONOSUPPORT another version or architecture, -E2BIG
 *         over a limit, -ENODATA not committed (the first bytes are still zero),
 *         -ENOMEM.
 * Source: minidumpapiset.h; the streams of <knell/minidump.h>.
 */
int report_read(const uint8_t *bytes, size_t n, struct crash **ret,
    struct report_error *why) MUST_CHECK;
void crash_free(struct crash *c);

/* @n bytes at run-time address @address of the dead process, when the report holds all
 * of them; NULL otherwise. Points into the report. */
const uint8_t *crash_memory_at(const struct crash *c, uint64_t address, size_t n);

/* Index of the module that covers @pc, or -1. */
int32_t crash_module_at(const struct crash *c, uint64_t pc);

/* The thread's program counter and stack pointer; 0 without registers. */
uint64_t crash_thread_pc(const struct crash *c, const struct crash_thread *t);
uint64_t crash_thread_sp(const struct crash *c, const struct crash_thread *t);

/* The value of line KEY=VALUE in a text such as os-release (one pair of quotes removed),
 * or of KEY:VALUE in /proc/PID/status when @separator is ':', cut to fit @out. False when
 * there is no such line; @out is then "". */
bool crash_text_value(
    const struct crash_text *text, const char *key, char separator, char *out, size_t n);
