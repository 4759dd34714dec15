/**
 * A worker_result on its way from the child to its parent, which trusts none of it.
 */
#pragma once
#include "uploader/worker/process.h"

/* Most bytes of items, and of OTLP: a report as attachment, files (attached.h has up to
 * 8 MiB of them), and events. */
#define WIRE_MAX_BYTES (KNELL_MAX_REPORT_BYTES + (16u << 20))

/* Write to @fd: @status (of worker_process()) and, with 0, the result.
 * Returns 0 or a negative errno. */
int wire_write(int fd, int status, const struct worker_result *r) MUST_CHECK;

/**
 * Read and check: sizes, the framing and kinds of items, texts.
 *
 * @fd          a regular file or memfd that nobody writes to any more
 * @ret_status  what the child's worker_process() returned
 * @ret         filled when the status is 0
 * Errors: -ENODATA nothing was written, -EBADMSG not sound, -ENOMEM, what read(2) says.
 */
int wire_read(int fd, int *ret_status, struct worker_result *ret) MUST_CHECK;
