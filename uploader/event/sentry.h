/**
 * struct crash -> a Sentry event, in the types that every known server accepts.
 * Source: develop.sentry.dev, event payloads; Sentry's published event schema.
 */
#pragma once
#include "symbolize/cleanup.h"
#include "uploader/report/crash.h"

#include <cjson/cJSON.h>

struct scrub;

struct event_options {
    char event_id[33];     /* from the file name; "": the journal's, else made from the
                              report's bytes */
    uint64_t time_ms;      /* from the file name; 0: the report's own */
    bool send_default_pii; /* host name */
    bool send_cmdline;     /* the command line, scrubbed */
    const struct scrub
        *scrub;           /* for what was gathered unasked; NULL: nothing is taken out */
    bool no_frame_hints;  /* leave out frame trust and data.symbolicator_status, which
                             Sentry's published schema does not know */
    bool fingerprint;     /* send signal + functions as the event's fingerprint */
    uint32_t max_threads; /* with stacks; 0: 256. The crashed one is always in */
    uint32_t max_frames;  /* per thread; 0: 250, as many as Sentry keeps */
    bool trimmed;         /* say that the event was made smaller */
    const char *const *attachment_notes; /* what is not whole; NULL at the end */
    uint64_t suppressed; /* reports of this signature that were not sent before it */
    uint64_t first_seen_ms, last_seen_ms; /* of the signature; 0: unknown */
};

/**
 * Build the event. Key "event_id" is first, frames are oldest first, strings are valid
 * UTF-8 and cut to the protocol's limits.
 *
 * Context: normal.
 * @c        after report_unwind() and report_symbolize(); crashes without frames do too
 * @options  borrowed; NULL: all defaults
 * @ret      cJSON_Delete() it
 * Errors: -ENOMEM.
 */
int sentry_event(
    const struct crash *c, const struct event_options *options, cJSON **ret) MUST_CHECK;

/* The title that servers will show: "SIGSEGV in parse_header". @n at least 300. */
void sentry_title(const struct crash *c, char *out, size_t n);
