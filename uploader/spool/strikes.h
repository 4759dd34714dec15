/**
 * Which reports killed the worker, and which one it had in hand. Kept in a small mapped
 * file, "strikes", so that a note costs no system call and survives the death of the
 * uploader itself (which a poisonous report may cause by taking all memory).
 */
#pragma once
#include "uploader/spool/dir.h"

enum {
    STRIKES_MAX = 64,
    /* When the whole uploader dies, the report in hand is only a suspect. */
    STRIKES_MAX_SUSPICIONS = 10,
};

struct strikes;

/* Returns 0 or a negative errno. A damaged file begins anew; on a full disk there is
 * none, and what is counted is forgotten with @ret. */
int strikes_open(const struct spool *s, struct strikes **ret) MUST_CHECK;
void strikes_close(struct strikes *t);

/* The worker takes this report in hand; then: it gave an answer, whatever it was. */
void strikes_begin(struct strikes *t, const uint8_t id[static SPOOL_EVENT_ID_BYTES]);
void strikes_end(struct strikes *t, const uint8_t id[static SPOOL_EVENT_ID_BYTES]);

/* The worker died on it. Returns how often now. */
unsigned strikes_death(struct strikes *t, const uint8_t id[static SPOOL_EVENT_ID_BYTES]);

/**
 * After the uploader itself died: count a suspicion for the report that was in hand.
 *
 * @ret_id  that report
 * Returns its suspicions, or 0 when none was in hand.
 */
unsigned strikes_recover(struct strikes *t, uint8_t ret_id[static SPOOL_EVENT_ID_BYTES]);

/* It left the queue. */
void strikes_forget(struct strikes *t, const uint8_t id[static SPOOL_EVENT_ID_BYTES]);
