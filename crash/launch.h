/**
 * Start the uploader as a process of its own that the daemon never hears of again.
 */
#pragma once
#include "crash/settings.h"

/**
 * Where the library that this is in lies.
 *
 * Context: normal, without a lock of knell's: the loader's is taken, and whoever holds
 * that, in a constructor, may be waiting for one of ours.
 * Returns the loader's own text, or NULL.
 */
const char *kn_launch_library(void);

/**
 * Start knell-upload in its own session, with no descriptor, signal disposition or mask
 * of the daemon's. The daemon gets no SIGCHLD and has no child to wait for, unless it is
 * the one that orphans become children of: see kn_launch_reap().
 *
 * Context: normal, under arm.c's lock. Blocks until the program is loaded.
 * @library  of kn_launch_library()
 * @spool    path of the spool, handed over in the environment
 * Returns 0 or a negative errno (-ENOENT: no uploader found).
 */
int kn_launch_uploader(
    const struct kn_settings *settings, const char *library, const char *spool);

/**
 * In a daemon that is PID 1 or a subreaper: take the status of uploaders that have ended.
 * kn_launch_uploader() does so too.
 *
 * Context: normal, under arm.c's lock.
 */
void kn_launch_reap(void);
