/**
 * With several destinations: which of them already have a report that others still owe.
 * A file EVENT-DESTINATION in the spool's folder done/, made when a destination took the
 * report (empty) or refused it (not empty), and removed at the end of a pass that the
 * report left the queue in. Without the folder a report would at worst be sent twice
 * under the same id.
 */
#pragma once
#include "uploader/spool/dir.h"

struct mark {
    uint8_t event_id[SPOOL_EVENT_ID_BYTES];
    uint64_t destination;
    bool queued; /* marks_sweep() has seen its report */
};

struct marks {
    int fd;           /* of the folder; -1: none yet */
    struct mark *all; /* sorted */
    size_t n;
};

/* Returns 0 or a negative errno; a missing folder is no marks. */
int marks_load(const struct spool *s, struct marks *ret) MUST_CHECK;
void marks_done(struct marks *m);

bool marks_has(const struct marks *m, const uint8_t event_id[static SPOOL_EVENT_ID_BYTES],
    uint64_t destination);
/* Whether that destination refused it. */
bool marks_rejected(const struct marks *m,
    const uint8_t event_id[static SPOOL_EVENT_ID_BYTES], uint64_t destination);
/* Durable on return. @rejected  it refused the report for good, which it must not get
 * again either. Returns 0 or a negative errno. */
int marks_add(const struct spool *s, struct marks *m,
    const uint8_t event_id[static SPOOL_EVENT_ID_BYTES], uint64_t destination,
    bool rejected) MUST_CHECK;
/* Forget those of reports that left the queue. For the state on disk to stay sound the
 * folders are to be synced before. Returns 0 or the negative errno of listing. */
int marks_sweep(const struct spool *s, struct marks *m) MUST_CHECK;
