/* A segment: its items are framed soundly, or it is refused. */
#include "fuzz.h"
#include "uploader/event/envelope.h"
#include "uploader/worker/process.h"
#include "uploader/worker/segment.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct worker_options options;
    struct worker_result r;
    struct envelope_view v;
    size_t at = 0;
    int more;
    if (segment_process(data, n, &options, &r) < 0)
        return 0;
    while ((more = envelope_next(r.items, r.n_items, &at, &v)) == 1)
        ;
    if (more || (r.outcome == WORKER_READY) != (r.n_items > 0))
        abort();
    worker_result_done(&r);
    return 0;
}
