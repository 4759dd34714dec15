/**
 * The report's file: found or made at the beginning, moved to new/ at the end.
 */
#pragma once
#include "crash/handler/state.h"

/**
 * Open the file to write into: the one reserved at start, when it still is ours and still
 * has a name; else a new one in live/ (in fork children, for a second report, after the
 * daemon closed or the spool lost the first).
 *
 * Context: signal handler.
 */
void kn_publish_open(struct kn_capture *c);

/**
 * Give the file its name in new/. It may be longer than the report. Without a commit, or
 * where the process may no longer write there, it stays in live/ for the uploader to
 * adopt.
 *
 * Context: signal handler.
 */
void kn_publish(struct kn_capture *c);

/**
 * Give back what a process that may live on needs: the descriptor of a report that is
 * committed, the soft limit on file sizes.
 *
 * Context: signal handler.
 */
void kn_publish_end(struct kn_capture *c);
