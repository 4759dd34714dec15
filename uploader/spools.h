/**
 * Which spools there are when nobody named one, and working on each as the user it
 * belongs to.
 */
#pragma once
#include "symbolize/cleanup.h"

#include <signal.h>
#include <stdbool.h>

/* A program's part per spool. Returns an exit status. */
typedef int spools_work(void *ctx, const char *path);

/**
 * Every spool below KNELL_SPOOL_SYSTEM_ROOT and below $XDG_STATE_HOME/knell (else
 * $HOME/.local/state/knell) that this user may enter.
 *
 * @stop  not 0: leave the rest
 * Returns the largest of the statuses; 0 when there is no spool.
 */
int spools_each(const volatile sig_atomic_t *stop, spools_work *work, void *ctx);

/**
 * Call @work; as root on a spool of another user in a child that has become that user for
 * good, since what lies there is his and so must be what is written there. A stop is
 * passed on to it.
 *
 * Returns the status of @work, 4 when the child could not be made.
 */
int spools_as_owner(
    const char *path, const volatile sig_atomic_t *stop, spools_work *work, void *ctx);
