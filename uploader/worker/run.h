/**
 * worker_process() in a child of its own: no network, no new programs, limits of memory
 * and time. A report that kills its reader kills the child alone.
 */
#pragma once
#include "uploader/worker/process.h"
#include "uploader/worker/sandbox.h"

struct worker_child;

/* How a child ended; all that its parent knows before it looks at the answer. */
struct worker_end {
    int error;  /* not started: a negative errno of this machine */
    int status; /* as of waitpid(2) */
    bool in_time;
};

/**
 * Start a child on a report.
 *
 * Context: normal. Forks: memory of the caller is the child's until it ends.
 * @report, @options  borrowed for the call
 * @limits            borrowed; NULL: all defaults
 * @answer            the memfd that the child writes to; borrowed
 * @ret               give to worker_child_wait() or worker_child_cancel()
 * Returns 0 or a negative errno of this machine.
 */
int worker_child_start(const uint8_t *report, size_t n,
    const struct worker_options *options, const struct sandbox_limits *limits, int answer,
    struct worker_child **ret) MUST_CHECK;

/**
 * Wait for the child's end, and bring it about when its time is over.
 *
 * @peer  give up when the other side of this socket is gone; -1: none
 * Returns 0, or -ECANCELED: the child is still there.
 */
int worker_child_wait(
    struct worker_child *w, int peer, struct worker_end *ret) MUST_CHECK;

/* Of a child that was waited for. NULL is fine. */
void worker_child_free(struct worker_child *w);
/* Kill the child and free it. NULL is fine. */
void worker_child_cancel(struct worker_child *w);

/**
 * Check what a child left behind.
 *
 * @ret  filled on 0 and -ECHILD (then @ret->why says how the child died)
 * Returns 0, -ECHILD when the child died, took too long or answered nonsense, or what
 * worker_process() returned.
 */
int worker_answer(
    const struct worker_end *end, int answer, struct worker_result *ret) MUST_CHECK;

/* How long the child of such a report may take before it is killed, in ms. */
uint64_t worker_child_most_ms(
    const struct worker_options *options, const struct sandbox_limits *limits);

/* All of it. */
int worker_run(const uint8_t *report, size_t n, const struct worker_options *options,
    const struct sandbox_limits *limits, struct worker_result *ret) MUST_CHECK;
