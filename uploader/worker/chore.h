/**
 * What else there is to be read of dead processes: a journal that is to become a report,
 * a segment that is to become several. The worker's child does it (run.h), since their
 * bytes are no more to be trusted than a report's.
 */
#pragma once
#include "uploader/report/obituary.h"
#include "uploader/worker/run.h"

enum chore_kind {
    CHORE_OBITUARY, /* obituary_make(): its report */
    CHORE_SPLIT,    /* split_list(): its list of parts */
};

struct worker_chore {
    enum chore_kind kind;
    bool has_slot; /* of an obituary, as are the following */
    struct spool_name name;
    struct obituary_evidence evidence;
};

/**
 * Do it, and write the answer.
 *
 * Context: the child, shut in.
 * @answer  a memfd
 * Returns 0 when the answer, which may be an error, is written.
 */
int chore_do(const struct worker_chore *chore, const uint8_t *bytes, size_t n,
    int answer) MUST_CHECK;

/* Instead of doing it: this machine does not let the child begin. @error  negative */
int chore_fail(int error, int answer) MUST_CHECK;

/**
 * Check what the child left behind.
 *
 * @name  of an obituary: gets time, signature, signal and kind; the event id stays
 * @ret   malloc'd on 0
 * Returns what obituary_make() or split_list() returned; -ECHILD when the child died,
 * took too long or answered nonsense; a negative errno of this machine.
 */
int chore_answer(const struct worker_end *end, int answer, struct spool_name *name,
    uint8_t **ret, size_t *ret_n) MUST_CHECK;
