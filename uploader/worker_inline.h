/* The worker in the calling process: for small tools and for a machine that allows no
 * child. Its limits are then the caller's. */
#pragma once
#include "uploader/pipeline.h"

struct worker_inline {
    const uint8_t *report;
    size_t n;
    const struct worker_options *options;
};

/* @ctx  zeroed; lives as long as the result */
struct pipeline_worker worker_inline(struct worker_inline *ctx);
