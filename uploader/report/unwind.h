/**
 * Registers and stack bytes of a report -> the frames' addresses of every thread.
 *
 * Per step, the first of these that has an answer: call frame information of the module
 * file whose build-id is the report's (libunwind's remote API); frame pointers; a bounded
 * scan of the stack. The crashed thread takes the frames that the handler saw when those
 * reach further than what the files at hand give.
 */
#pragma once
#include "symbolize/cleanup.h"
#include "uploader/report/crash.h"

struct report_unwind_options {
    const char *sysroot;      /* put before module paths; NULL: none */
    const char *store_dir;    /* STORE/<build-id>/executable when the path has another
                                 file; NULL: none */
    const char *fetched_dir;  /* the same for what was fetched; NULL or "": none */
    uint32_t max_frames;      /* per thread; 0 or more: KNELL_MAX_FRAMES */
    uint64_t max_total_bytes; /* of module files read; 0: 256 MiB */
    bool no_files;            /* open no file: frame pointers, scan, prewalked */
};

/**
 * Fill frames (pc, kind, trust, module) of every thread, and no_image of modules.
 *
 * Context: normal. Opens module files named in the report: regular files only, read
 * through pread into private memory.
 * @options  borrowed; NULL: all defaults
 * Errors: -ENOMEM. A thread that cannot be walked has at least its registers' pc, or no
 *         frames when it has no registers.
 */
int report_unwind(
    struct crash *c, const struct report_unwind_options *options) MUST_CHECK;

/* The word of the event protocol: "context", "cfi", "prewalked", "fp", "scan". */
const char *crash_trust_name(enum crash_trust trust);
