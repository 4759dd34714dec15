/* What the files of the pipeline share. */
#pragma once
#include "uploader/deliver/consent.h"
#include "uploader/deliver/debuginfod.h"
#include "uploader/deliver/gzip.h"
#include "uploader/deliver/http.h"
#include "uploader/deliver/ledger.h"
#include "uploader/deliver/retry.h"
#include "uploader/pipeline.h"
#include "uploader/spool/history.h"
#include "uploader/spool/marks.h"
#include "uploader/spool/queue.h"
#include "uploader/spool/strikes.h"

enum { PIPELINE_MAX_JOBS = 8, PIPELINE_SYNC_EVERY = 64, PIPELINE_SYNC_MS = 250 };

enum delivery_state {
    DELIVERY_OPEN = 0, /* not tried in this pass */
    DELIVERY_OUT,      /* a request is on its way */
    DELIVERY_SENT,
    DELIVERY_REJECTED, /* will never be taken */
    DELIVERY_LATER,
};

/* How much of a report a destination gets: less after each 413. */
enum delivery_size {
    DELIVERY_WHOLE = 0,
    DELIVERY_NO_ATTACHMENTS,
    DELIVERY_SMALL, /* the crashed thread alone: the worker makes it anew */
};

/* One report to one destination. */
struct delivery {
    struct job *job;
    unsigned destination;
    enum delivery_state state;
    enum delivery_size size;
    bool counts;
    bool all_left_out;
    unsigned left_out; /* kinds that its server does not take for long: not sent */
    unsigned kinds;    /* in the request */
    bool marked;       /* a mark in the spool says that it arrived */
    enum retry_verdict verdict;
    uint64_t not_before_s;
    int status;
    uint8_t *body; /* while it is out */
    char why[256];
};

struct job {
    bool busy;
    bool sending;           /* its requests are being made: not to be settled yet */
    bool wants_small;       /* a destination waits for what the worker is to make */
    bool counted;           /* by ledger_throttle() */
    bool arrived;           /* somewhere, in this pass */
    uint64_t n_suppressed;  /* taken out of the ledger to be told, not told yet */
    struct spool_name name; /* as in work/ */
    uint8_t *report;        /* until the worker is done with it */
    size_t n_report;
    struct worker_options options;
    struct worker_result result;
    struct debuginfod_fetch *fetch; /* NULL: none is under way */
    struct worker_result small;     /* n_items and n_otlp 0: not made */
    struct delivery to[PIPELINE_MAX_DESTINATIONS];
    struct ledger_drop *told; /* drops that ride with this report */
    size_t n_told;
};

struct pipeline {
    const struct pipeline_options *o;
    const struct config *config;
    struct spool *spool;
    struct ledger *ledger;
    struct history history;
    struct marks marks;
    struct strikes *strikes;
    struct http *http;
    struct debuginfod *debuginfod; /* NULL: no server is configured */
    char fetched_dir[4096];        /* where its files are */
    struct http_tls otlp_tls;
    struct gzip *gzip;
    struct consent consent;
    struct retry_limits limits;
    struct queue queue;
    struct job jobs[PIPELINE_MAX_JOBS];
    size_t n_jobs;
    struct job *in_worker;  /* NULL: the worker is idle */
    uint64_t worker_end_ms; /* when its answer is not waited for any longer */
    uint64_t n_moved;       /* renames since the last sync */
    uint64_t synced_ms;
    uint64_t tokens_ms;          /* pacing: when the next request may start */
    uint64_t progress;           /* reports taken from the queue */
    bool spread[SPOOL_N_STATES]; /* folders to sync */
    struct pipeline_result result;
    uint64_t random;
    const uint8_t *suspect; /* a report that ends uploaders; NULL: none */
};

uint64_t pipeline_now_ms(void);  /* CLOCK_REALTIME */
uint64_t pipeline_tick_ms(void); /* CLOCK_MONOTONIC */
uint64_t pipeline_random(struct pipeline *p);
bool pipeline_stopping(const struct pipeline *p);

/* pipeline_claim.c */
/* Take one report out of the queue: claim it and hand it to the worker, or move it to a
 * later time. */
void pipeline_take(struct pipeline *p, const struct queue_entry *e);
/* Read a claimed report and give it to the idle worker; again, when debug files came. */
void pipeline_work(struct pipeline *p, struct job *j);
/* Give the idle worker a report that is to be made smaller. Returns false: none is. */
bool pipeline_work_again(struct pipeline *p);
/* The worker has an answer. */
void pipeline_worked(struct pipeline *p);

/* pipeline_fetch.c */
int pipeline_fetch_set_up(struct pipeline *p) MUST_CHECK;
/* Whether the worker may ask for debug files now. */
bool pipeline_may_ask(struct pipeline *p);
/* The worker asks. */
void pipeline_ask(struct pipeline *p, struct job *j);
/* Move fetches on; hand reports whose files are here, or late, to the worker. */
void pipeline_fetch_go_on(struct pipeline *p);
/* Whether debug files had just arrived when the worker died. */
bool pipeline_blames_files(const struct job *j);
/* Once more without them. */
void pipeline_take_back(struct pipeline *p, struct job *j);

/* pipeline_split.c */
/* The queue's segments of new/, which may hold more than an envelope may. Their later
 * parts are found at the next look; what cannot be split now leaves the queue. */
void pipeline_split(struct pipeline *p);

/* pipeline_send.c */
/* Why a destination rests, or is tried with care: its host failed, or it alone refused
 * us; the longer of both. NULL: neither. */
const struct ledger_host *pipeline_rest_of(
    const struct pipeline *p, const struct destination *d);
/* When a report might be sent to any who has not got it: 0 now, else seconds since 1970.
 */
uint64_t pipeline_gate(const struct pipeline *p, const struct spool_name *name);
/* Whether a destination took it in an earlier pass while others did not. */
bool pipeline_has_arrived(const struct pipeline *p, const struct spool_name *name);
/* How many reports may be on their way at once just now. */
size_t pipeline_width(const struct pipeline *p);
void pipeline_send(struct pipeline *p, struct job *j);
/* The smaller event is there, or (@why) it is not: @state for those who wait for it. */
void pipeline_send_small(
    struct pipeline *p, struct job *j, enum delivery_state state, const char *why);
void pipeline_answer(struct pipeline *p, struct delivery *d, const struct answer *a);

/* Drops of these kinds of items, but for events. @reason  a word of the protocol */
void pipeline_count_kinds(struct pipeline *p, unsigned kinds, const char *reason);

/* pipeline_settle.c */
/* Every destination has spoken: move the report to where it belongs and free the job. */
void pipeline_settle(struct pipeline *p, struct job *j);
void pipeline_quarantine(struct pipeline *p, struct job *j, const char *why);
/* What rules or the user's program drop: kept in bad/ and counted. */
void pipeline_drop(struct pipeline *p, struct job *j);
void pipeline_defer(struct pipeline *p, struct job *j, uint64_t not_before_s, bool counts,
    const char *why);
void pipeline_sync(struct pipeline *p, bool now);
