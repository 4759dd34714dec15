/* Framed items as they come back from the worker, and the JSON of a hook. */
#include "fuzz.h"
#include "uploader/event/envelope.h"
#include "uploader/event/otlp.h"
#include "uploader/event/validate.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct otlp_process process = {.time_ns = 1, .observed_ns = 2, .pid = 3};
    struct envelope_view v;
    size_t at = 0, before = 0;
    char why[128];
    while (envelope_next(data, n, &at, &v) == 1) {
        if (at <= before || at > n || v.payload + v.n_payload > data + n)
            abort();
        before = at;
    }
    cJSON *event = cJSON_ParseWithLength((const char *)data, n), *logs;
    if (event && !validate_event(event, why, sizeof why) &&
        !otlp_logs(event, &process, &logs))
        cJSON_Delete(logs);
    cJSON_Delete(event);
    return 0;
}
