/**
 * A spool with made-up reports, and a worker that makes an event of anything: so that
 * delivery is tried without unwinding. What a report's bytes say decides what the worker
 * does with it:
 *
 *     "REFUSE"  malformed          "DROP"   a rule drops it
 *     "DIE"     the worker dies    "BIG"    an event with an attachment of 1 MiB
 *     "ASK"     asks for a debug file, where it may
 *     "POISON"  likewise, and dies on the one that arrives
 *     "DIE SMALL", "REFUSE SMALL"  so, once a smaller event is asked for
 *     "LOGS"    a log container     "SEGMENT"  a transaction, a session and logs
 *     "RUN"     an event and a session
 *     others    an event
 */
#pragma once
#include "ingest.h"
#include "test.h"
#include "tmpdir.h"

#include "uploader/config.h"
#include "uploader/pipeline.h"

struct fake {
    const char *path; /* of the spool */
    struct config_set config;
    struct pipeline_worker worker;
    struct destination destinations[PIPELINE_MAX_DESTINATIONS];
    size_t n_destinations;
    struct pipeline_result result; /* of the last fake_run() */
    struct pipeline_options options;
    size_t n_event_bytes; /* pad each event to about this size */
    char *padding;        /* of those; NULL: not made yet */
    /* of the report in hand */
    const uint8_t *report;
    size_t n_report;
    const struct worker_options *asked;
    uint64_t n_worked;
    uint64_t n_arrived; /* times it was given debug files that had arrived */
};

/* @overrides  "section.key=value", NULL at the end */
struct fake *fake_new(const char *const *overrides);
void fake_free(struct fake *f);
/* Add a destination; %d in @format is @port. */
void fake_destination(struct fake *f, const char *format, int port);
/* @n reports in new/, each with a signature of its own, one second apart, the last one
 * now. @text  their bytes */
void fake_reports(struct fake *f, unsigned n, const char *text);
/* One report with this number (its event id, signature and age). */
void fake_report(struct fake *f, const char *state, unsigned number, const char *text,
    const struct spool_name *base);
/* Likewise, of any bytes. */
void fake_report_bytes(struct fake *f, const char *state, unsigned number,
    const void *bytes, size_t n, const struct spool_name *base);
/* One pass; r as pipeline_run(). */
int fake_run(struct fake *f);
/* Files in a state's folder. */
int fake_count(const struct fake *f, const char *state);
/* All reports of all folders, .why and dot files left out. */
int fake_total(const struct fake *f);
/* Make every waiting report due now. */
void fake_make_due(struct fake *f);
/* And forget limits and resting hosts. */
void fake_forgive(struct fake *f);
