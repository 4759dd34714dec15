/**
 * The crashed thread's frames, seen from inside: for the case that the files are no
 * longer there when the report is read, and for stacks deeper than what a report holds of
 * them.
 */
#pragma once
#include "crash/handler/state.h"

/**
 * Walk the crashed thread.
 *
 * Context: signal handler; after kn_maps_read() and kn_modules_put().
 */
void kn_unwind(struct kn_capture *c);

/**
 * Append KNELL_STREAM_FRAMES, once: as far as the walk came, if it was cut off.
 *
 * Context: signal handler.
 */
void kn_unwind_put(struct kn_capture *c);
