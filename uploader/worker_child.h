/* The worker in a child of its own, shut in: what knell-upload uses. */
#pragma once
#include "uploader/pipeline.h"
#include "uploader/worker/run.h"

struct worker_in_child {
    struct sandbox_limits limits;
    struct worker_child *child;
};

/* @ctx  its limits set, the rest zero; lives as long as the result */
struct pipeline_worker worker_in_child(struct worker_in_child *ctx);
