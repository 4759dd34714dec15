/**
 * Frames' addresses -> functions, files, lines; inlined callers become frames of their
 * own; each frame is marked as the application's or not.
 */
#pragma once
#include "symbolize/cleanup.h"
#include "uploader/report/crash.h"

/**
 * Name the frames of every thread, in one batch.
 *
 * Context: normal.
 * @c  after report_unwind(); on failure its frames are as they were
 * @s  borrowed; NULL: no names, in_app is decided by modules alone
 * Errors: -ENOMEM; what a file lacks is in each frame's status.
 */
int report_symbolize(struct crash *c, struct knell_symbolizer *s) MUST_CHECK;

/**
 * Whether a frame is the application's: not a function that starts programs and threads
 * or delivers signals and aborts, and not in a library of the system.
 *
 * @path      of the module; NULL: in no module
 * @function  NULL: unknown
 */
bool frame_in_app(const char *path, const char *function);

/* The last part of a path, itself when it has no slash; "" for NULL. */
const char *path_base(const char *path);

/* The frame of the crashed thread that tells what went wrong: the innermost in_app frame
 * with a function, else the innermost with a function, else the innermost; NULL without
 * frames. */
const struct crash_frame *crash_top_frame(const struct crash *c);
