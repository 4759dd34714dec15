/**
 * /proc/self/maps: verbatim into the report, as an array for the capture itself, and what
 * it says about modules that were loaded after knell_start().
 */
#pragma once
#include "crash/handler/state.h"

/**
 * Context: signal handler. Without /proc the array stays empty.
 */
void kn_maps_read(struct kn_capture *c);

/**
 * Whether an @address that no mapping holds is none: not where they were not read, or
 * not up to there.
 *
 * Context: signal handler.
 */
bool kn_maps_tell(const struct kn_capture *c, uint64_t address);

/**
 * The mapping that holds @address, else NULL.
 *
 * Context: signal handler.
 */
const struct kn_map *kn_maps_find(const struct kn_capture *c, uint64_t address);

/**
 * The first readable mapping at or above @address, at most @within bytes away.
 *
 * Context: signal handler.
 */
const struct kn_map *kn_maps_above(
    const struct kn_capture *c, uint64_t address, uint64_t within);

static inline uint64_t kn_map_end(const struct kn_map *m)
{
    return m->end_flags & ~(uint64_t)KN_MAP_FLAGS;
}
