/**
 * One report from bytes to what is sent: read, unwind, symbolize, event, rules, checks.
 * worker_process() does it in the calling process; worker_run() (run.h) does it in a
 * child without network and with limits.
 */
#pragma once
#include "symbolize/cleanup.h"
#include "symbolize/wish.h"
#include "uploader/event/sentry.h"
#include "uploader/report/parse.h"
#include "uploader/report/unwind.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum worker_minidump {
    WORKER_MINIDUMP_NEVER = 0,
    WORKER_MINIDUMP_ATTACH,  /* beside the event, as a file to download */
    WORKER_MINIDUMP_PROCESS, /* as event.minidump: the server makes the trace itself */
};

struct rules;
struct worker_chore;

struct worker_options {
    struct event_options event;
    struct report_unwind_options unwind;
    const struct knell_symbolize_options *symbols; /* NULL: defaults */
    const struct rules *rules;                     /* NULL: none */
    const char *const *before_send;                /* program and arguments; NULL: none */
    uint32_t hook_timeout_ms;                      /* 0: 5000 */
    uint64_t max_event_bytes;                      /* 0: WORKER_MAX_EVENT_BYTES */
    enum worker_minidump minidump;
    bool send_changed;            /* not only quarantine what was changed on the disk */
    bool raw_minidump;            /* leave stack contents in an attached minidump */
    uint64_t attached_file_bytes; /* of each file the program attached; 0: none */
    bool no_sentry;               /* no envelope is wanted */
    bool otlp;                    /* an OTLP request is wanted */
    /* Debug files that are not here may be asked for: see WORKER_ASKS. */
    bool may_ask;
    struct wishes arrived;            /* to be taken in first */
    uint64_t max_debug_bytes;         /* largest of those; 0: none is taken */
    const struct worker_chore *chore; /* of the child alone: what it does instead; NULL */
};

enum worker_outcome {
    WORKER_READY = 0, /* items (and otlp) are to be sent */
    WORKER_DROPPED,   /* a rule says: do not send; why names it */
    WORKER_REFUSED,   /* the report is malformed or makes no valid event: quarantine */
    WORKER_ASKS,      /* nothing was made yet: wishes, then once more without may_ask */
};

/* For lists, logs and file names. Plain text, valid UTF-8, possibly hostile content. */
struct worker_summary {
    char event_id[33];
    char signature[13];
    int32_t signo; /* 0: none */
    uint32_t pid, tid;
    uint64_t time_ms;
    char signal[96]; /* "SIGSEGV SEGV_MAPERR" */
    char title[300]; /* "SIGSEGV in parse_header" */
    char function[256], file[256];
    uint32_t line;
    char app[64], release[208], environment[72];
    uint32_t n_threads, n_frames; /* n_frames: of the crashed thread */
};

/* {0} is empty; free with worker_result_done(). */
struct worker_result {
    enum worker_outcome outcome;
    char why[256];     /* of a drop or refusal: one line */
    char category[32]; /* client report reason of a drop: "event_processor", ...; "" when
                          nothing was dropped */
    uint8_t *items;    /* envelope items without the envelope's header line; of an event
                          that was sampled out its session */
    size_t n_items;
    uint8_t *otlp; /* body of a POST; NULL: not wanted, or nothing of the kind */
    size_t n_otlp;
    bool otlp_traces; /* to /v1/traces, else to /v1/logs */
    struct worker_summary summary;
    struct wishes wishes;
};
void worker_result_done(struct worker_result *r);

/**
 * Read, unwind, symbolize, make the event by the rules and check it.
 *
 * Context: normal.
 * @report   borrowed, unchanged
 * @options  borrowed; NULL: all defaults
 * @ret      filled on 0 (also for the other outcomes)
 * Errors: -ENOMEM and other faults of this machine, after which the report may be tried
 *         again; what is wrong with the report itself is WORKER_REFUSED.
 */
int worker_make(const uint8_t *report, size_t n, const struct worker_options *options,
    struct worker_result *ret) MUST_CHECK;

/**
 * What follows for an event that worker_make() gave: the user's program, the checks on
 * what it made of the event, and the OTLP body. Needs to start programs when there is a
 * before_send.
 */
int worker_complete(
    const struct worker_options *options, struct worker_result *r) MUST_CHECK;

/* Both. */
int worker_process(const uint8_t *report, size_t n, const struct worker_options *options,
    struct worker_result *ret) MUST_CHECK;
