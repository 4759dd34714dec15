/**
 * Start the uploader as a process of its own that the daemon never hears of again.
 */
#pragma once
#include "crash/settings.h"

/**
 * Start knell-upload in its own session, with no descriptor, signal disposition or mask
 * of the daemon's. The daemon gets no SIGCHLD and has no child to wait for.
 *
 * Context: normal. Blocks until the program is loaded.
 * @spool  path of the spool, handed over in the environment
 * Returns 0 or a negative errno (-ENOENT: no uploader found).
 */
int kn_launch_uploader(const struct kn_settings *settings, const char *spool);
