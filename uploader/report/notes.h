/**
 * What a capture says about its own shortcomings, in words.
 */
#pragma once
#include <knell/minidump.h>
#include <stddef.h>

/* "threads: faulted (SIGSEGV)", "open: ENOSPC", "freeze: 12 did not fit"; cut to fit. */
void notes_text(const struct knell_capture_note *note, char *out, size_t n);

/* The name of enum knell_capture_step; "step" for one of a later writer. */
const char *notes_step(uint32_t step);
