#include "uploader/worker_child.h"

static int begin(
    void *ctx, const uint8_t *report, size_t n, const struct worker_options *options)
{
    struct worker_in_child *w = ctx;
    return worker_child_start(report, n, options, &w->limits, &w->child);
}

static int fd(void *ctx)
{
    const struct worker_in_child *w = ctx;
    return worker_child_fd(w->child);
}

static int finish(void *ctx, struct worker_result *ret)
{
    struct worker_in_child *w = ctx;
    struct worker_child *child = w->child;
    w->child = NULL;
    return worker_child_finish(child, ret);
}

static void cancel(void *ctx)
{
    struct worker_in_child *w = ctx;
    worker_child_cancel(w->child);
    w->child = NULL;
}

struct pipeline_worker worker_in_child(struct worker_in_child *ctx)
{
    return (struct pipeline_worker){
        .ctx = ctx, .begin = begin, .fd = fd, .finish = finish, .cancel = cancel};
}
