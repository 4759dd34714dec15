/**
 * One step by call frame information: libunwind's remote API over the bytes of a report.
 * libunwind is included by unwind_cfi.c alone.
 */
#pragma once
#include "uploader/report/code_map.h"

struct unwind_cfi;

enum unwind_cfi_step {
    UNWIND_CFI_END = 0,  /* this was the outermost frame */
    UNWIND_CFI_STEP = 1, /* the registers are the caller's now */
    UNWIND_CFI_NONE = 2, /* no information for this pc, or it led nowhere */
};

/* @map  borrowed for as long as the result. @ret  free with unwind_cfi_free(); NULL when
 * this machine's libunwind does not know the report's architecture.
 * Errors: -ENOMEM. */
int unwind_cfi_new(
    const struct crash *c, struct code_map *map, struct unwind_cfi **ret) MUST_CHECK;
void unwind_cfi_free(struct unwind_cfi *u);

/**
 * From a frame to its caller.
 *
 * @registers  of the frame, in the order of struct crash_thread; changed on
 *             UNWIND_CFI_STEP only
 * @lookup_pc  where to look: the pc itself, or within the call before it
 */
enum unwind_cfi_step unwind_cfi_step(
    struct unwind_cfi *u, uint64_t registers[CRASH_N_REGISTERS], uint64_t lookup_pc);
