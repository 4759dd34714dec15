/**
 * The crashed thread's frames, seen from inside. The last step, after everything else is
 * committed: libunwind may take a lock that the crash left taken.
 */
#pragma once
#include "crash/handler/state.h"

/**
 * Walk the crashed thread and append KNELL_STREAM_FRAMES.
 *
 * Context: signal handler.
 */
void kn_unwind(struct kn_capture *c);

/**
 * Accessors of libunwind's remote interface that read this process through the report
 * file; for unw_create_addr_space().
 *
 * Context: any.
 * Returns an unw_accessors_t.
 */
void *kn_unwind_accessors(void);
