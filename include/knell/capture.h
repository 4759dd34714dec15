/**
 * Reports of a daemon that lives on: handled errors, messages, hangs; and what knell says
 * about itself.
 */
#ifndef KNELL_CAPTURE_H
#define KNELL_CAPTURE_H

#include <knell/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * An error the program dealt with. Zero it, set what you know; texts are borrowed for the
 * call and may be NULL.
 *
 *     struct knell_error e = KNELL_ERROR_INIT;
 *     e.type = "QueryFailed"; e.code = errno; e.domain = "database"; e.operation =
 * "login"; knell_capture_error(&e);
 */
struct knell_error {
    size_t size;           /* sizeof(struct knell_error) */
    const char *type;      /* stable word; groups reports. NULL: "Error" */
    const char *message;   /* what happened this time */
    const char *domain;    /* provider, database, payment, auth, cache, … any word */
    const char *operation; /* what was tried */
    int64_t code;          /* errno, HTTP status, …; 0: none */
    const struct knell_data *details;
    size_t n_details;
    enum knell_level level; /* 0: the scope's, else error */
    int not_reported; /* 1: count it in the session and leave a breadcrumb, no more */
    int all_threads;  /* 1: stacks of all threads, not just of this one */
};
#define KNELL_ERROR_INIT                                                                 \
    {                                                                                    \
        sizeof(struct knell_error), 0, 0, 0, 0, 0, 0, 0, (enum knell_level)0, 0, 0       \
    }

/**
 * Write a report of an error or a message with the calling thread's stack, breadcrumbs
 * and scope into the spool, and see to it that an uploader takes it (at once, unless
 * options.start_uploader is off). About as costly as writing a small file and, once a
 * minute, starting a program. The file is not forced to the disk here, only by the
 * uploader that takes it. What comes too often
 * (options.capture_burst) of the same kind, errors by type, domain, operation and code,
 * messages by the place of the call and level, costs some tens of nanoseconds and is
 * counted; the next report says how many there were.
 *
 * Context: normal. errno is kept.
 * Returns the event id; its text is empty when nothing was written (not started, too
 * many, sampled out, disk full), see knell_status().
 */
KNELL_API struct knell_event_id knell_capture_error(const struct knell_error *error);
KNELL_API struct knell_event_id knell_capture_message(
    enum knell_level level, const char *message);

struct knell_heart;

/**
 * Watch a loop: unless it beats every @deadline_ms, a report with the stacks of all
 * threads is written, once per hang, while the daemon goes on. The first call starts one
 * thread, which blocks all signals and wakes a few times per deadline.
 *
 * Context: normal.
 * @name         borrowed
 * @deadline_ms  100 or more
 * Returns NULL when knell is not started, no room is left (32) or no thread can be made;
 * every function accepts NULL.
 */
KNELL_API struct knell_heart *knell_watch(const char *name, uint32_t deadline_ms);
/* One store and a coarse clock: some nanoseconds. Also ends a pause. */
KNELL_API void knell_beat(struct knell_heart *heart);
/* The loop waits for work and need not beat. */
KNELL_API void knell_beat_pause(struct knell_heart *heart);
KNELL_API void knell_unwatch(struct knell_heart *heart);

/* What knell is doing, fit for a health endpoint. */
struct knell_status {
    size_t size;
    int armed;          /* crashes of this process are reported */
    int journal;        /* tags and breadcrumbs are kept */
    int error;          /* 0 or the negative errno for which knell_start() gave up */
    char reason[160];   /* why, in words; empty when all is well */
    char spool[256];    /* folder; empty: none */
    uint32_t n_waiting; /* reports and segments in new/ and wait/ */
    uint64_t breadcrumbs, breadcrumbs_lost;
    uint64_t cut;        /* texts cut to their limit */
    uint64_t scope_lost; /* tags, contexts …, scopes for which there was no room */
    uint64_t captured, suppressed, sampled_out, failed; /* errors and messages */
    uint64_t transactions, transactions_sampled_out, transactions_ignored;
    uint64_t spans_lost; /* and segments of them that nobody took */
    uint64_t logs, logs_lost, hangs;
    int last_error; /* negative errno of the last capture, if it failed */
    uint32_t session_errors;
    int signals_lost; /* 1: a crash signal does not come to knell any more, reason says
                         which and to whom it goes; knell_rearm() takes it back */
};
#define KNELL_STATUS_INIT                                                                \
    {                                                                                    \
        sizeof(struct knell_status), 0, 0, 0, "", "", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,   \
            0, 0, 0, 0, 0, 0, 0, 0                                                       \
    }

/* g++ says that the function hides the structure's constructor: it is meant to. */
#if defined(__cplusplus) && defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#endif
/* In C++ the structure is written "struct knell_status".
 * @ret  filled up to its size member; a listing of two folders, no more
 * Returns 0 or -EINVAL. */
KNELL_API int knell_status(struct knell_status *ret);
#if defined(__cplusplus) && defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

#ifdef __cplusplus
}
#endif

#endif
