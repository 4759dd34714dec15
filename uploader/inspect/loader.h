/**
 * One report, opened: read, unwound, named, and put in the few words of the index.
 */
#pragma once
#include "uploader/inspect/explain.h"
#include "uploader/inspect/item.h"
#include "uploader/inspect/store.h"
#include "uploader/report/parse.h"

struct loaded {
    uint8_t *bytes;
    size_t n_bytes;
    struct crash *crash;
    const struct journal *journal; /* NULL: the report has none, or it is unsound */
    struct item item;
    struct explain explain;
};

/**
 * Read a report's bytes, wherever it lies by now: the uploader may have moved it, under a
 * new name, since the folders were listed.
 *
 * @r    its state and name become those under which it was found
 * @ret  the caller frees
 * Errors: those of spool_open_file(); -ENOENT when it is not found anywhere.
 */
int loader_read(
    const struct store *t, struct report *r, uint8_t **ret, size_t *ret_n) MUST_CHECK;

/**
 * Read a report and name its frames.
 *
 * @r    as above
 * @ret  give back with loader_done(), also after a failure
 * @why  what was wrong with the bytes; may be NULL
 * Errors: those of loader_read() and report_read().
 */
int loader_open(struct session *s, const struct store *t, struct report *r,
    struct loaded *ret, struct report_error *why) MUST_CHECK;
void loader_done(struct loaded *l);

/**
 * What is known about a report in short: from the index, else by opening it (and the
 * index learns it). A report that cannot be read has an entry with kind unknown and the
 * reason as its cause.
 *
 * @ret  texts live until the next call for the same spool
 */
void loader_facts(
    struct session *s, struct store *t, const struct report *r, struct index_entry *ret);

/* Texts of @ret point into @l and @r. */
void loader_entry(struct loaded *l, const struct report *r, struct index_entry *ret);

/* A module's build-id in hexadecimal; "" when it has none. Returns @out. */
enum { LOADER_BUILD_ID_BYTES = 2 * KNELL_MAX_BUILD_ID_BYTES + 1 };
const char *loader_build_id(
    const struct crash_module *m, char out[static LOADER_BUILD_ID_BYTES]);

/* Remove a report, and the .why beside it. Returns 0 or a negative errno. */
int report_unlink(const struct spool *spool, const struct report *r) MUST_CHECK;

/* File name of a report; KNELL_SPOOL_NAME_BYTES + 1. */
static inline const char *report_file(
    const struct report *r, char out[static KNELL_SPOOL_NAME_BYTES + 1])
{
    spool_name_format(&r->name, out);
    return out;
}
