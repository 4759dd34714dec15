/**
 * Everything the daemon may say while it runs, opened and closed as one: for arm.c.
 */
#pragma once
#include "crash/journal.h"

/**
 * Open the journal, segments, sessions and notes to the program.
 *
 * Context: normal, when the journal is mapped and handlers are installed.
 */
void kn_tell_start(struct kn_journal *j, const struct kn_spool *spool, const char *stem,
    const struct kn_settings *settings, const struct kn_identity *id);

/**
 * Close them for a clean exit. Threads that are saying something finish into memory that
 * stays.
 *
 * Context: normal, while the spool is open.
 */
void kn_tell_stop(void);

/**
 * In a fork child, whose journal is its own by now: sessions and segments are the
 * parent's.
 *
 * Context: fork child; async-signal-safe.
 */
void kn_tell_fork_child(void);

/**
 * Whether the spool takes another report of a living process: one that nobody empties
 * must not fill the disk.
 *
 * Context: normal.
 * Returns 0, -ENODEV when not started, -ENOSPC when KN_MAX_WAITING reports wait already.
 */
int kn_tell_has_room(void);
enum { KN_MAX_WAITING = 1000 };

/**
 * Why knell_start() gave up, for knell_status().
 *
 * Context: normal.
 * @error  negative errno; 0: all is well
 * @what   static; the step that failed
 */
void kn_tell_failed(int error, const char *what);
