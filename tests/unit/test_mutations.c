/* Every byte of a small report gets a bit flipped, and the report is cut at every place:
 * each time a clean refusal or an event that servers take. */
#include "dump.h"
#include "test.h"

#include "uploader/event/sentry.h"
#include "uploader/event/validate.h"
#include "uploader/report/frames.h"
#include "uploader/report/parse.h"
#include "uploader/report/unwind.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* 0 refused, 1 a valid event, -1 wrong. */
static int outcome(const uint8_t *bytes, size_t n)
{
    static const struct report_unwind_options no_files = {.no_files = true};
    struct report_error why = {0};
    struct crash *c = NULL;
    cJSON *event = NULL;
    char text[256];
    int err = report_read(bytes, n, &c, &why);
    if (err)
        return why.what && err != -ENOMEM && !c ? 0 : -1;
    bool ok = !report_unwind(c, &no_files) && !report_symbolize(c, NULL) &&
              !sentry_event(c, NULL, &event) && !validate_event(event, text, sizeof text);
    cJSON_Delete(event);
    crash_free(c);
    return ok ? 1 : -1;
}

static void every_byte_flipped(void)
{
    struct dump *d = dump_example();
    size_t n;
    const uint8_t *sound = dump_finish(d, &n);
    uint8_t *bytes = malloc(n);
    int refused = 0, valid = 0;
    memcpy(bytes, sound, n);
    for (size_t i = 0; i < n; i++) {
        uint8_t bit = (uint8_t)(1u << (i % 8));
        bytes[i] ^= bit;
        int r = outcome(bytes, n);
        if (!CHECK(r >= 0))
            printf("bit %u of byte %zu\n", bit, i);
        refused += r == 0;
        valid += r == 1;
        bytes[i] ^= bit;
    }
    /* All bits of what stands first: the header, and the directory at the end. */
    for (size_t i = 0; i < 8 * 400; i++) {
        size_t at = i / 8 < 200 ? i / 8 : n - i / 8 + 199;
        bytes[at] ^= (uint8_t)(1u << (i % 8));
        CHECK(outcome(bytes, n) >= 0);
        bytes[at] ^= (uint8_t)(1u << (i % 8));
    }
    CHECK(refused > 10 && valid > 100);
    free(bytes);
    dump_free(d);
}

static void every_cut(void)
{
    struct dump *d = dump_example();
    size_t n;
    const uint8_t *sound = dump_finish(d, &n);
    for (size_t k = 0; k < n; k++) {
        uint8_t *cut = malloc(k ? k : 1);
        memcpy(cut, sound, k);
        CHECK(outcome(cut, k) == 0); /* the directory stands at the end */
        free(cut);
    }
    CHECK_INT(outcome(sound, n), 1);
    dump_free(d);
}

TEST_MAIN(TEST(every_byte_flipped), TEST(every_cut))
