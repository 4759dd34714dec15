/**
 * Staying for what comes: a daemon that lives on makes reports one after the other, and
 * need not start a program for each of them.
 *
 * Whoever is asked to stay makes one pass at least. Of several that stay for one spool
 * all but one then leave. A report that came while any of them was asked to stay is
 * taken: the one that remains stays as long as the last of them would have. So is what a
 * process leaves that is killed meanwhile.
 */
#pragma once
#include "symbolize/cleanup.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* What a pass leaves. */
struct stay_next {
    uint64_t due_s; /* something is to be tried again: seconds since 1970, any past time
                       for soon; 0: nothing, or not known */
    bool leave;     /* staying is of no use */
};

struct stay {
    const char *path; /* of the spool */
    unsigned seconds;
    const volatile sig_atomic_t *stop; /* not 0: leave */
    /* One pass. Returns an exit status. */
    int (*pass)(void *ctx, const char *path, struct stay_next *ret);
    void *ctx;
    int busy_status; /* what to return when another one stays */
};

/**
 * Context: normal; blocks, for minutes.
 * Returns the status of the last pass, or that of another one that stays.
 */
int stay_run(const struct stay *s);
