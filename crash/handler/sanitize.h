/**
 * Memory without what the program had in it: for those who let nothing of it onto a disk.
 */
#pragma once
#include "crash/handler/regs.h"
#include "crash/handler/state.h"

/**
 * Where the program asked for it, replace in a copy of memory every word that is neither
 * small, nor points into its own range, nor at code or a module, by KNELL_SANITIZED_WORD:
 * enough is left to walk a stack.
 *
 * Context: signal handler. Before kn_maps_read() the table of modules alone is asked.
 * @copy   @n bytes, that lie at @at in the process
 * @start  the range that they are of, @n_range bytes
 * Source: the rules of Breakpad's minidump sanitizer, in words of 8 bytes.
 */
void kn_sanitize(const struct kn_capture *c, void *copy, uint32_t n, uint64_t at,
    uint64_t start, uint64_t n_range);

/**
 * Append [@address, @address + @n) to the report, cleaned as above. Code stays as it
 * is.
 *
 * Context: signal handler; after kn_maps_read(). Uses the capture's scratch.
 * Returns how many bytes were there, as kn_sink_memory().
 */
uint32_t kn_sanitize_put(struct kn_capture *c, uint64_t address, uint32_t n);

/**
 * Whether memory at @address may be written as it is: it is code, or the program let
 * everything in.
 *
 * Context: signal handler.
 */
bool kn_sanitize_keeps(const struct kn_capture *c, uint64_t address);

/**
 * Take the vector registers out, through which memory is copied.
 *
 * Context: signal handler.
 */
void kn_sanitize_registers(const struct kn_capture *c, kn_context *context);
