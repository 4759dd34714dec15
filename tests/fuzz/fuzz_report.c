/* A report, as far as its event: whatever the bytes, the event is one servers take. */
#include "fuzz.h"
#include "uploader/event/fingerprint.h"
#include "uploader/event/sentry.h"
#include "uploader/event/validate.h"
#include "uploader/report/frames.h"
#include "uploader/report/parse.h"
#include "uploader/report/unwind.h"
#include "uploader/worker/sanitize.h"

#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct report_unwind_options no_files = {.no_files = true};
    static const struct event_options all = {.send_default_pii = true,
        .send_cmdline = true,
        .fingerprint = true,
        .max_threads = 16};
    char why[256], title[300], signature[FINGERPRINT_SIGNATURE_BYTES];
    struct report_error error = {0};
    struct crash *c;
    int err = report_read(data, n, &c, &error);
    if (err) {
        if (err != -ENOMEM && !error.what)
            abort();
        return 0;
    }
    cJSON *event = NULL;
    uint8_t *clean = NULL;
    if (report_unwind(c, &no_files) || report_symbolize(c, NULL) ||
        sentry_event(c, &all, &event) || sanitize_report(c, &clean))
        abort();
    sentry_title(c, title, sizeof title);
    fingerprint_signature(c, signature);
    if (validate_event(event, why, sizeof why) < 0)
        abort();
    free(clean);
    cJSON_Delete(event);
    crash_free(c);
    return 0;
}
