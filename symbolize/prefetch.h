/**
 * A helper thread that unpacks sections which will be needed, while the caller unpacks
 * and reads .debug_info. Without a second processor, or when no thread can be had, the
 * caller does it all, as it needs it.
 */
#pragma once
#include "symbolize/section.h"

enum { PREFETCH_MAX_SECTIONS = 8 };

struct prefetch {
    pthread_t thread;
    bool running;
    int stop; /* atomic */
    struct section *sections[PREFETCH_MAX_SECTIONS];
    unsigned n_sections;
};

/* Sections are taken in this order; those that are stored as they are, are left alone. */
void prefetch_add(struct prefetch *p, struct section *s);

/* @p stays where it is until prefetch_stop(). Small sections start no thread. */
void prefetch_start(struct prefetch *p);
void prefetch_stop(struct prefetch *p);
