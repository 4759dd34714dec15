/**
 * worker_process() in a child of its own: no network, no new programs, limits of memory
 * and time. A report that kills its reader kills the child alone.
 */
#pragma once
#include "uploader/worker/process.h"
#include "uploader/worker/sandbox.h"

struct worker_child;

/**
 * Start a child on a report.
 *
 * Context: normal. Forks: memory of the caller is the child's until it ends.
 * @report, @options  borrowed for the call
 * @limits            borrowed; NULL: all defaults
 * @ret               give to worker_child_finish() or worker_child_cancel()
 * Returns 0 or a negative errno of this machine.
 */
int worker_child_start(const uint8_t *report, size_t n,
    const struct worker_options *options, const struct sandbox_limits *limits,
    struct worker_child **ret) MUST_CHECK;

/* Can be read (it is at its end) once finish() would not wait. */
int worker_child_fd(const struct worker_child *w);

/**
 * Wait for the child, check its answer and free it.
 *
 * @ret  filled on 0 and -ECHILD (then @ret->why says how the child died)
 * Returns 0, -ECHILD when the child died, took too long or answered nonsense, or what
 * worker_process() returned.
 */
int worker_child_finish(struct worker_child *w, struct worker_result *ret) MUST_CHECK;

/* Kill the child and free it. NULL is fine. */
void worker_child_cancel(struct worker_child *w);

/* Start and finish in one. */
int worker_run(const uint8_t *report, size_t n, const struct worker_options *options,
    const struct sandbox_limits *limits, struct worker_result *ret) MUST_CHECK;
