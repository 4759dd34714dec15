/** A bar on stderr for work that takes a while, when a person is there to see it. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
    const char *what; /* static */
    size_t total;
    uint64_t began_ms, drawn_ms;
    bool on, drawn;
};

/* @watched  whether anybody sees stderr and wants it, see session_is_watched() */
void progress_begin(struct progress *p, const char *what, size_t total, bool watched);
/* Appears only once the work has taken half a second. */
void progress_at(struct progress *p, size_t done);
/* Take it off the screen. */
void progress_end(struct progress *p);
