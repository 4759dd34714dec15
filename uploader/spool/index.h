/**
 * The spool's index: what is known about each report beyond its file name, so that a
 * listing opens no report twice. A cache and nothing more: `knell` appends a line when it
 * had to look into a report, the uploader takes out those of reports that are gone; a
 * missing, torn or stale file costs time, never truth. Removing it is always safe.
 *
 * File `index` in the spool's folder, one line per report, fields with a tab between:
 *
 *     1 EVENT PID TID CODE ADDRESS TIME UPTIME LINE THREADS BYTES KIND APP RELEASE ENV
 *       DIST SERVER EXE THREAD FUNCTION FILE MODULE CAUSE [KEY=VALUE...] SUM
 *
 * Numbers are decimal, ADDRESS is hex; an unknown text is empty; in texts tab, newline
 * and backslash are \t, \n, \\. KEY=VALUE are the report's tags. SUM is the CRC-32 of
 * the line before its last tab, 8 hex digits: a torn line does not match and is skipped.
 * Of two lines about one report the later counts.
 */
#pragma once
#include "symbolize/cleanup.h"
#include "uploader/spool/dir.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPOOL_INDEX_FILE "index"
enum { INDEX_MAX_TAGS = 64, INDEX_MAX_LINE_BYTES = 32768 };
#define INDEX_MAX_BYTES (256u << 20)

/* What a report is about. */
enum index_kind {
    INDEX_KIND_UNKNOWN = 0,
    INDEX_KIND_CRASH,
    INDEX_KIND_ERROR,
    INDEX_KIND_MESSAGE,
    INDEX_KIND_HANG,
    INDEX_KIND_OBITUARY, /* a process that died without a handler */
};

/* NULL texts are unknown. */
struct index_entry {
    uint8_t event_id[SPOOL_EVENT_ID_BYTES];
    uint32_t pid, tid;
    int32_t code;       /* si_code */
    uint64_t address;   /* si_addr */
    uint64_t time_us;   /* of death, since 1970; 0: see the file name */
    uint64_t uptime_ms; /* of the process; 0: unknown */
    uint32_t line;      /* of the function that tells most; 0: unknown */
    uint32_t n_threads;
    uint64_t report_bytes;
    enum index_kind kind;
    const char *app, *release, *environment, *dist, *server, *executable;
    const char *thread;                   /* name of the crashed thread */
    const char *function, *file, *module; /* of the crashed thread's telling frame */
    const char *cause;                    /* "null pointer + 0x18"; one line */
    const char *tags[INDEX_MAX_TAGS];     /* KEY=VALUE */
    size_t n_tags;
};

struct index;

/**
 * Open a spool's index. It is read from its end as far as index_find() has to, so that
 * asking for the newest reports of many costs little.
 *
 * @ret  free with index_free(); empty, not an error, when there is none or it is broken
 * Errors: -ENOMEM.
 */
int index_load(const struct spool *s, struct index **ret) MUST_CHECK;
void index_free(struct index *x);

/* Entries that can be found; reads the whole file. */
size_t index_count(struct index *x);

/**
 * @ret  filled; texts live in @x until the next call or index_free()
 * Returns 0 or -ENODATA.
 */
int index_find(struct index *x, const uint8_t event_id[static SPOOL_EVENT_ID_BYTES],
    struct index_entry *ret) MUST_CHECK;

/* Let later index_find() calls of this process know an entry. Returns 0, -ENOMEM, or
 * -E2BIG for a line that is too long. */
int index_add(struct index *x, const struct index_entry *entry) MUST_CHECK;

/**
 * Append entries. Safe beside other writers: each call is one write(2) to a file opened
 * for appending. As root the file is given to the spool's owner.
 * Errors: what the file system said; the caller goes on, it is a cache.
 */
int index_append(
    const struct spool *s, const struct index_entry *entries, size_t n) MUST_CHECK;

/**
 * Write the index anew with only the lines of reports that are still there, when more
 * than half of a large file is of no use. What others append meanwhile may be lost: they
 * look again. For whoever owns the spool and holds its lock.
 *
 * Returns 1 when rewritten, 0 when there was no need, or a negative errno.
 */
int index_compact(const struct spool *s) MUST_CHECK;

/* "crash", "error", ...; "" for unknown. Static. */
const char *index_kind_name(enum index_kind kind);
