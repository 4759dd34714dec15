/**
 * The text of /proc/self/maps in a report: which mapping holds an address, or which are
 * its neighbours. Read line by line where it lies; nothing is kept.
 */
#pragma once
#include "uploader/report/crash.h"

struct maps_entry {
    uint64_t start, end;
    char permissions[5]; /* "rw-p" */
    uint64_t offset;
    char path[256]; /* cut to fit; "" for anonymous memory, "[heap]", "[stack]", a file */
};

struct maps_place {
    bool inside, has_below, has_above;
    struct maps_entry at;           /* when inside */
    struct maps_entry below, above; /* the nearest mappings on both sides */
};

/* Returns whether the report has maps at all. Lines that make no sense are skipped. */
bool maps_find(const struct crash_text *maps, uint64_t address, struct maps_place *ret);
