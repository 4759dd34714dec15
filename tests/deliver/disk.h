/**
 * A model of a disk that loses power: what a traced program did to files, call by call,
 * and the states that may be found afterwards. What was not synced may be missing: the
 * bytes of a file, the last names, or (a stricter disk than any in use) any one name.
 *
 * Renames are atomic, and what fsync(2) returned for is there: of a file its bytes, of a
 * folder its names. Files that are only mapped are as they were at the end.
 *
 * Source: Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014.
 */
#pragma once
#include "trace.h"

enum { DISK_MAX_OPS = 600 };

struct disk;

/* @root  the folder whose files count; what lies in it now is on the disk
 * @base  an empty folder outside of it, for a copy of that; borrowed */
struct disk *disk_new(const char *root, const char *base);
void disk_free(struct disk *d);

/* To be shown every stop of the program. */
void disk_see(struct disk *d, const struct trace_call *call);

/* Operations so far. Power may fail after each, and before the first. */
unsigned disk_count(const struct disk *d);

enum disk_loss {
    DISK_KEEPS_ALL,      /* as after a kill */
    DISK_LOSES_BYTES,    /* of files that were not synced */
    DISK_HALVES_BYTES,   /* the second half of each write that was not synced */
    DISK_LOSES_NAMES,    /* all that were not synced; bytes too */
    DISK_LOSES_ONE_NAME, /* @which of those that were not synced, in this order */
    DISK_N_LOSSES,
};

/**
 * Make the state after operation @at in an empty folder.
 *
 * @which  for DISK_LOSES_ONE_NAME
 * Returns false when there is no such state: fewer names were not synced.
 */
bool disk_make(const struct disk *d, unsigned at, enum disk_loss loss, unsigned which,
    const char *to);

/* The last operation before @at, for people; static. */
const char *disk_describe(const struct disk *d, unsigned at);
