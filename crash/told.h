/**
 * What the program chose for its journal and everything said into it: the later members
 * of struct knell_options, with the environment and defaults applied.
 */
#pragma once
#include <knell/knell.h>
#include <stdbool.h>

enum {
    KN_IGNORE_BYTES = 2048,
    KN_RING_BYTES = 256 << 10, /* max_breadcrumbs of breadcrumb_bytes, at most */
    KN_MAX_THREAD_SCOPES = 256,
};

struct kn_told {
    uint32_t max_breadcrumbs, breadcrumb_bytes, max_thread_scopes;
    double sample_rate, traces_sample_rate; /* 0 to 1 */
    bool traces; /* a rate was given, 0 too: whether a trace is sampled is decided here */
    uint32_t capture_burst, capture_interval_ms;
    bool sessions, logs, note_exits, cover_forks;
    bool sessions_of_children; /* as well as of the process that called knell_start() */
    char ignore[KN_IGNORE_BYTES]; /* patterns, a NUL after each, an empty one last */
};

/**
 * Fill in what @o and the environment say.
 *
 * Context: normal.
 * @o       whole, what was not given is zero
 * @getvar  getenv(3), or what answers NULL in a privileged program
 * @dsn     where reports go to; empty: not known
 */
void kn_told_init(struct kn_told *t, const struct knell_options *o,
    const char *(*getvar)(const char *), const char *dsn);

/**
 * Whether a name matches one of the patterns of ignore_transactions.
 *
 * Context: any.
 */
bool kn_told_ignores(const struct kn_told *t, const char *name);
