#include "crash/nudge.h"

#include <time.h>

static uint64_t next_ms; /* CLOCK_MONOTONIC: none is started before */

bool kn_nudge_due(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    uint64_t now = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
    if (now < next_ms)
        return false;
    next_ms = now + (KN_STAY_S - KN_STAY_MARGIN_S) * 1000u;
    return true;
}

void kn_nudge_fork_child(void)
{
    next_ms = 0;
}
