/**
 * One pass over a spool: claim, read, let the worker make the event, deliver to every
 * destination, settle. The only mutation of a report is a rename, so being killed
 * anywhere loses nothing; a report that was on its way is sent again under its own id.
 */
#pragma once
#include "uploader/config.h"
#include "uploader/deliver/dsn.h"
#include "uploader/spool/adopt.h"
#include "uploader/spool/split.h"
#include "uploader/worker/process.h"

#include <signal.h>

enum { PIPELINE_MAX_DESTINATIONS = 8 };

/* Who turns bytes into events; one report at a time. */
struct pipeline_worker {
    void *ctx;
    /* @report and @options are borrowed until finish(). Returns 0 or a negative errno of
     * this machine. */
    int (*begin)(
        void *ctx, const uint8_t *report, size_t n, const struct worker_options *options);
    /* A descriptor that can be read when finish() would not wait; -1: it never waits. */
    int (*fd)(void *ctx);
    /* Returns 0; -ECHILD when the worker died on this report or took too long (@ret->why
     * says how); else a negative errno of this machine. */
    int (*finish)(void *ctx, struct worker_result *ret);
    /* Break off what was begun. */
    void (*cancel)(void *ctx);
    uint64_t
        most_ms; /* after begin() finish() does not wait any more; 0: it never does */
    /* What else of dead processes is to be read, while no report is in hand; -ECHILD as
     * of finish(). NULL: journals are left in live/, segments are split here. */
    adopt_obituary *obituary;
    split_lister *split;
};

struct pipeline_options {
    const struct config *config;
    const struct pipeline_worker *worker;
    const struct destination *destinations;
    size_t n_destinations;             /* 0: keep all, open no socket */
    bool all;                          /* reports that are not due as well; no throttle */
    const char *only;                  /* event ids that begin so; NULL: all */
    const volatile sig_atomic_t *stop; /* not 0: finish what is out and leave */
    /* Told now and then; may be NULL. */
    void (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *progress_ctx;
};

struct pipeline_result {
    uint64_t sent, rejected, dropped, deferred, adopted, evicted;
    uint64_t remaining;  /* reports that wait for a later pass */
    uint64_t next_due_s; /* when the first of them is due; 0: not known */
    bool disabled;       /* no destination or no consent: all was kept */
};

/**
 * @spool  open and locked by the caller
 * Returns 0 (see @ret), or a negative errno when the spool itself cannot be worked on.
 */
int pipeline_run(struct spool *spool, const struct pipeline_options *options,
    struct pipeline_result *ret) MUST_CHECK;
