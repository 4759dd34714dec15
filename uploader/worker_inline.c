#include "uploader/worker_inline.h"

static int begin(
    void *ctx, const uint8_t *report, size_t n, const struct worker_options *options)
{
    *(struct worker_inline *)ctx =
        (struct worker_inline){.report = report, .n = n, .options = options};
    return 0;
}

static int fd(void *ctx)
{
    (void)ctx;
    return -1;
}

static int finish(void *ctx, struct worker_result *ret)
{
    const struct worker_inline *w = ctx;
    return worker_process(w->report, w->n, w->options, ret);
}

static void cancel(void *ctx)
{
    (void)ctx;
}

struct pipeline_worker worker_inline(struct worker_inline *ctx)
{
    return (struct pipeline_worker){
        .ctx = ctx, .begin = begin, .fd = fd, .finish = finish, .cancel = cancel};
}
