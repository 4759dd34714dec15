/**
 * A program of the user's that sees each event before it is sent.
 */
#pragma once
#include "symbolize/cleanup.h"

#include <stddef.h>
#include <stdint.h>

/**
 * Run a program with @text on its stdin and take what it writes to stdout. No shell; its
 * stderr is the caller's; it and what it started in its process group get SIGKILL when
 * the time is over, and what is left of them when it has ended.
 *
 * Context: normal; SIGPIPE is ignored by the caller.
 * @argv        program (looked up in PATH) and arguments, NULL at the end
 * @timeout_ms  for all of it; 0: 5000
 * @max         most bytes of its answer
 * @ret         malloc'ed, terminated by NUL; the caller frees
 * Returns 0 (also for an empty answer); -ETIMEDOUT, -E2BIG, -EPROTO when it exits with
 * another status than 0 or dies, or a negative errno of this machine.
 */
int hook_run(const char *const *argv, const char *text, size_t n, uint32_t timeout_ms,
    size_t max, char **ret, size_t *ret_n) MUST_CHECK;
