/** Other programs that `knell` starts: knell's own, debuggers. Never through a shell. */
#pragma once
#include "symbolize/cleanup.h"

/**
 * Where a program lies: beside this one when it is knell's own, else in $PATH.
 *
 * @name  without a slash; with one it is taken as it is
 * @ret   malloc'd
 * Returns 0, -ENOENT or -ENOMEM.
 */
int programs_find(const char *name, char **ret) MUST_CHECK;

/* Run it and wait. @argv  NULL at the end. @ret_status  as of waitpid(2).
 * Returns 0 or a negative errno; -ENOENT when it is not installed. */
int programs_run(const char *name, const char *const *argv, int *ret_status) MUST_CHECK;

/* As above for one that a person works with: the terminal's ^C and ^\ are its own until
 * it ends, and do not end this one. */
int programs_run_at_terminal(
    const char *name, const char *const *argv, int *ret_status) MUST_CHECK;
