/**
 * Lines of source around a frame, when the file lies at hand and is not newer than the
 * report: a file that changed since would show other lines than those that ran.
 */
#pragma once
#include "uploader/inspect/safe.h"
#include "uploader/report/crash.h"

enum { SOURCE_AROUND = 3, SOURCE_MAX_LINES = 2 * SOURCE_AROUND + 1 };

struct source {
    struct safe text;            /* lines with a NUL after each */
    size_t at[SOURCE_MAX_LINES]; /* where each begins */
    unsigned n, n_before;        /* lines; lines before the frame's own */
    uint32_t first_line;
    bool changed; /* the file is newer than the report: nothing was taken */
};

/* @sysroot  put before absolute paths; NULL: none
 * Nothing found is n == 0. Free with source_done(). */
void source_read(const struct crash_frame *f, const char *sysroot,
    uint64_t report_time_ms, struct source *ret);
void source_done(struct source *x);
static inline const char *source_line(const struct source *x, unsigned i)
{
    return safe_text(&x->text) + x->at[i];
}
