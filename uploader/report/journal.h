/**
 * The image of a journal -> what the dead (or living) process said about itself. The
 * image comes from a report or from live/, was perhaps copied while it was written, and
 * is not trusted: every offset and length is checked, and a piece whose checksum does not
 * match is counted as torn and left out.
 */
#pragma once
#include "symbolize/cleanup.h"
#include "uploader/report/arena.h"

#include <knell/journal.h>
#include <stdbool.h>

/* Most of each that is kept; the rest is left out. */
enum { JOURNAL_MAX_CRUMBS = 1000, JOURNAL_MAX_ENTRIES = 4096, JOURNAL_MAX_PAIRS = 1024 };

struct journal_value {
    uint8_t type;     /* enum knell_value_type */
    const char *text; /* KNELL_VALUE_TEXT: NUL-terminated; _BYTES: n of them */
    uint32_t n;
    int64_t integer; /* INT, BOOL */
    double real;
};

struct journal_pair {
    const char *key;
    struct journal_value value;
};

struct journal_crumb {
    uint64_t time_ns;
    uint32_t tid;
    uint8_t level; /* enum knell_level, or 0 */
    bool cut, is_log;
    const char *category, *message;
    const struct journal_pair *pairs;
    uint32_t n_pairs;
};

/* One fact of a scope, what it replaced already left out. */
struct journal_fact {
    uint8_t type;      /* enum knell_entry_type */
    const char *group; /* contexts; else "" */
    const char *key;
    uint32_t n_key; /* of the raw key: group, NUL, name */
    struct journal_value value;
};

struct journal {
    const struct knell_journal_head *head; /* copy, every text terminated */
    struct knell_journal_status status;    /* zero when the image has none */
    struct knell_journal_session session;  /* version 0: none */
    struct knell_journal_trace trace;      /* of the asked thread; version 0: none */
    const char *trace_op, *trace_name;     /* "" when none */
    struct journal_crumb *crumbs;          /* oldest first */
    uint32_t n_crumbs;
    struct journal_fact *facts; /* global scope overlaid with the asked thread's */
    uint32_t n_facts;
    struct knell_journal_heart hearts[KNELL_MAX_HEARTS]; /* in use only */
    uint32_t n_hearts;
    uint32_t n_torn;       /* pieces left out */
    uint64_t last_sign_ns; /* CLOCK_REALTIME of the newest thing in it */
};

/**
 * Context: any.
 * @arena  owns everything that is returned
 * @image  @n bytes, borrowed for the call; shorter than the head says is accepted, its
 *         areas then end early
 * @tid    whose scope and open span to lay over the global ones; 0: nobody's
 * Errors: -EBADMSG not a journal, -EPROTONOSUPPORT another version, -ENOMEM.
 */
int journal_read(struct arena *arena, const uint8_t *image, size_t n, uint32_t tid,
    const struct journal **ret) MUST_CHECK;

/**
 * Read pairs until the bytes end; the first unsound one ends them as well.
 *
 * Context: any.
 * @ret  arena's; NULL when there are none
 * Returns how many, or -ENOMEM.
 */
int journal_pairs(struct arena *arena, const uint8_t *bytes, size_t n,
    const struct journal_pair **ret) MUST_CHECK;

/* Whether a later one of the @n pairs has the key of the @i-th: that one counts. */
bool journal_pair_returns(const struct journal_pair *pairs, uint32_t n, uint32_t i);
