/**
 * Files from debuginfod servers: URL/buildid/<hex>/{debuginfo,executable}, several at
 * once, one deadline for all that one report wishes for. What comes is not looked at
 * here: it is put where the worker takes it in (symbolize/wish.h). What does not come is
 * noted with the reason, and not asked for again for a while; a server that cannot be
 * reached rests.
 *
 * Source: debuginfod(8), section WEBAPI; debuginfod_find_debuginfo(3).
 */
#pragma once
#include "symbolize/wish.h"
#include "uploader/deliver/http.h"
#include "uploader/deliver/ledger.h"

struct debuginfod;
struct debuginfod_fetch;

struct debuginfod_options {
    const char *urls; /* as DEBUGINFOD_URLS: separated by blanks, asked in this order */
    const char *dir;  /* where files go; made when it is missing */
    uint64_t time_ms; /* for all files of a report */
    uint64_t max_file_bytes;
    uint64_t max_bytes;       /* of all files in dir; those used longest ago go */
    uint64_t keep_free_bytes; /* room to leave on the file system */
    uint64_t rest_ms;         /* of a server that failed; doubles, up to rest_max_ms */
    uint64_t rest_max_ms;
    struct http *http;
    struct ledger *ledger; /* remembers the servers that rest */
};

/**
 * @options  borrowed for the life of @ret, strings too
 * @ret      NULL when there is no server; free with debuginfod_free()
 * @note     @n_note bytes: the first word that is no URL and is left out; "" if none is
 * Errors: -ENOMEM.
 */
int debuginfod_new(const struct debuginfod_options *options, struct debuginfod **ret,
    char *note, size_t n_note) MUST_CHECK;
void debuginfod_free(struct debuginfod *d); /* NULL is fine */

/* Remove from @dir the debug files that were used longest ago until they take no more
 * than
 * @max_bytes, and what was left half done. debuginfod_free() does it after a fetch. */
void debuginfod_tidy(const char *dir, uint64_t max_bytes, int64_t now_s);

/* Whether there is a server that may be asked now. NULL: no. */
bool debuginfod_is_open(const struct debuginfod *d);

/**
 * Begin to fetch.
 *
 * @wishes  borrowed for the call
 * @ret     ask debuginfod_is_done(), end with debuginfod_end()
 * Returns 0 or a negative errno: the folder cannot be made, no memory.
 */
int debuginfod_begin(struct debuginfod *d, const struct wishes *wishes,
    struct debuginfod_fetch **ret) MUST_CHECK;

/* Start what can be started, give up what is late. Call after every http_wait(). */
void debuginfod_go_on(struct debuginfod_fetch *f);

/* An answer with fetched set. @tag  as it came from http_next() */
void debuginfod_answer(void *tag, const struct answer *a);

bool debuginfod_is_done(const struct debuginfod_fetch *f);

/**
 * Note the answers and free the fetch; what is still on its way is given up.
 * @ret  the files that arrived; may be NULL
 */
void debuginfod_end(struct debuginfod_fetch *f, struct wishes *ret);
