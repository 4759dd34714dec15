/** Reports by signature. */
#pragma once
#include "uploader/inspect/select.h"

enum { GROUP_MAX_RELEASES = 8, GROUP_RELEASE_BYTES = 64 };

struct group {
    uint64_t signature;
    size_t n;
    uint64_t first_ms, last_ms;
    size_t states[SPOOL_N_STATES];
    struct report *newest;
    char release[GROUP_MAX_RELEASES][GROUP_RELEASE_BYTES]; /* newest first */
    unsigned n_releases;
    char releases[GROUP_MAX_RELEASES * GROUP_RELEASE_BYTES]; /* in one line */
};

struct groups {
    struct group *list; /* largest first, then by last seen */
    size_t n;
};

/* @ret  free with groups_done(). Returns 0 or -ENOMEM. */
int groups_make(struct session *s, struct store *t, const struct selection *x,
    struct groups *ret) MUST_CHECK;
void groups_done(struct groups *g);
