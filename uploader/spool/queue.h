/**
 * In which order waiting reports go out: the first report of a signature that was never
 * sent, newest signature first, by turns with the oldest of all others; so a fresh bug is
 * not behind ten thousand old ones, and nothing starves.
 */
#pragma once
#include "uploader/spool/dir.h"

struct queue_entry {
    struct spool_name name;
    uint8_t state; /* enum spool_state it was found in */
    bool first;    /* of a new signature */
};

struct queue {
    struct queue_entry *entries; /* in order once queue_sort() was called */
    size_t n, capacity, at;
    uint64_t next_due_s; /* soonest not-before of what is not due; 0: none */
    size_t n_not_due;
};

enum {
    QUEUE_FAR_S = 24 * 3600, /* a not-before further ahead is a clock that jumped */
};

/**
 * Add a folder's reports that are due.
 *
 * @all  take what is not due as well
 * Returns 0 or a negative errno.
 */
int queue_add(struct queue *q, const struct spool *s, enum spool_state state,
    uint64_t now_s, bool all) MUST_CHECK;

/**
 * @is_known  whether reports of a signature went out before; may be NULL: none did
 * Returns 0 or -ENOMEM (then the order is by age).
 */
int queue_sort(struct queue *q, bool (*is_known)(void *ctx, uint64_t signature),
    void *ctx) MUST_CHECK;

/* The next one, or NULL at the end. */
const struct queue_entry *queue_next(struct queue *q);
void queue_done(struct queue *q);
