/**
 * Memory without what the program had in it: for those who let nothing of it onto a disk.
 */
#pragma once
#include "crash/handler/state.h"

/**
 * Append [@address, @address + @n) to the report. Where the program asked for it, every
 * word that is neither small, nor points into that range, nor at code or a module, is
 * replaced by KNELL_SANITIZED_WORD: enough is left to walk a stack. Code stays as it is.
 *
 * Context: signal handler; after kn_maps_read(). Uses the capture's scratch.
 * Returns how many bytes were there, as kn_sink_memory().
 * Source: the rules of Breakpad's minidump sanitizer, in words of 8 bytes.
 */
uint32_t kn_sanitize_put(struct kn_capture *c, uint64_t address, uint32_t n);
