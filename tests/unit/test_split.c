/* A segment with many transactions becomes as many segments. */
#include "test.h"
#include "tmpdir.h"

#include "uploader/spool/split.h"
#include "uploader/worker/run.h"
#include "uploader/worker/segment.h"

#include <errno.h>
#include <knell/journal.h>
#include <stdio.h>
#include <stdlib.h>

enum { MANY = 300 };

static size_t put(uint8_t *out, size_t at, uint32_t type, const void *payload, size_t n)
{
    struct knell_segment_record r = {.type = type,
        .n_bytes = (uint32_t)n,
        .sum = knell_journal_sum(payload, (uint32_t)n, (uint32_t)at)};
    memcpy(out + at, &r, sizeof r);
    memcpy(out + at + sizeof r, payload, n);
    return at + sizeof r + (n + 7) / 8 * 8;
}

/* @n transactions, each after its span; and logs in between, when @logs. malloc'd */
static uint8_t *segment(unsigned n, bool logs, size_t *ret_n)
{
    struct knell_segment_head h = {.magic = KNELL_SEGMENT_MAGIC,
        .version = KNELL_SEGMENT_VERSION,
        .head_bytes = sizeof h,
        .event_id = {0xab},
        .release = "team/app@1"};
    uint8_t *out = calloc(1, sizeof h + n * 300ul + 1000);
    size_t at = sizeof h;
    for (unsigned i = 0; i < n; i++) {
        struct knell_span_record s = {.trace_id = {1}, .span_id = {2, (uint8_t)i}};
        struct knell_log_record l = {.level = 2};
        memcpy(s.root_id, s.span_id, sizeof s.root_id);
        if (n < MANY)
            at = put(out, at, KNELL_RECORD_SPAN, &s, sizeof s);
        if (logs)
            at = put(out, at, KNELL_RECORD_LOG, &l, sizeof l);
        at = put(out, at, KNELL_RECORD_TRANSACTION, &s, sizeof s);
    }
    h.used_bytes = (uint32_t)at;
    h.n_records = n * (n < MANY ? 2 : 1) + (logs ? n : 0);
    memcpy(out, &h, sizeof h);
    *ret_n = at;
    return out;
}

static void each_transaction_has_a_part(void)
{
    for (int logs = 0; logs < 2; logs++) {
        size_t n, n_part;
        uint8_t *bytes = segment(3, logs, &n), *part;
        struct knell_segment_head h;
        for (uint32_t i = 0; i < 3 + (uint32_t)logs; i++) {
            CHECK_INT(split_part(bytes, n, i, &part, &n_part), 0);
            memcpy(&h, part, sizeof h);
            CHECK_INT(h.n_records, logs && !i ? 3 : 2);
            CHECK_INT(h.used_bytes, n_part);
            CHECK_INT(h.event_id[12], i);
            free(part);
        }
        CHECK_INT(split_part(bytes, n, 3 + (uint32_t)logs, &part, &n_part), -ENODATA);
        CHECK_INT(split_part(bytes, 100, 0, &part, &n_part), -EBADMSG);
        free(bytes);
    }
}

static void a_list_is_not_believed(void)
{
    size_t n, n_list, n_part, at = 0;
    uint8_t *bytes = segment(3, false, &n), *list = NULL;
    const uint8_t *part;
    unsigned n_parts = 0;
    CHECK_INT(split_list(bytes, n, &list, &n_list), 0);
    while (split_next(list, n_list, &at, &part, &n_part) == 1)
        n_parts++;
    CHECK_INT(n_parts, 3);
    CHECK_INT(at, n_list);
    for (size_t cut = 1; cut < n_list; cut += 7) {
        uint8_t *less = malloc(cut); /* of exactly this size: for the sanitizer */
        int r;
        memcpy(less, list, cut);
        for (at = 0; (r = split_next(less, cut, &at, &part, &n_part)) == 1;)
            CHECK(part + n_part <= less + cut);
        CHECK(r == -EBADMSG || (!r && at == cut));
        free(less);
    }
    memset(list, 0xff, 8);
    at = 0;
    CHECK_INT(split_next(list, n_list, &at, &part, &n_part), -EBADMSG);
    free(list);
    free(bytes);
    bytes = segment(1, false, &n);
    CHECK_INT(split_list(bytes, n, &list, &n_list), -ENODATA);
    free(bytes);
}

/* As an event calls it, or servers tell of two. */
static void a_transaction_has_the_events_release(void)
{
    static const struct worker_options options;
    struct worker_result r = {0};
    size_t n;
    uint8_t *bytes = segment(1, true, &n);
    CHECK_INT(segment_process(bytes, n, &options, &r), 0);
    CHECK(memmem(r.items, r.n_items, "\"release\":\"team_app@1\"", 22));
    CHECK(memmem(r.items, r.n_items, "{\"value\":\"team_app@1\"", 21));
    CHECK(!memmem(r.items, r.n_items, "team/app", 8));
    worker_result_done(&r);
    free(bytes);
}

/* A program that is asked before events are sent sees none of these, and stops none. */
static void no_program_is_asked(void)
{
    const char *argv[] = {"/bin/false", NULL};
    for (int logs = 0; logs < 2; logs++) {
        const struct worker_options o = {.before_send = argv,
            .hook_timeout_ms = 5000,
            .otlp = true,
            .no_sentry = logs};
        struct worker_result r = {0};
        size_t n;
        uint8_t *bytes = segment(1, logs, &n);
        CHECK_INT(worker_run(bytes, n, &o, NULL, &r), 0);
        CHECK_INT(r.outcome, WORKER_READY);
        CHECK(r.n_otlp > 0 && (r.n_items > 0) == !logs);
        worker_result_done(&r);
        free(bytes);
    }
}

static struct queued {
    struct spool_name all[2 * MANY];
    int n;
} queued;

static int find(void *ctx, const char *file, const struct spool_name *name)
{
    (void)ctx;
    (void)file;
    if (split_is_due(name) && queued.n < 2 * MANY)
        queued.all[queued.n++] = *name;
    return 0;
}

/* Every segment of new/ once. Returns how many were due, those that failed in *ret. */
static int split_all(const struct spool *s, int *ret)
{
    *ret = queued.n = 0;
    CHECK_INT(spool_each(s, SPOOL_NEW, find, NULL), 0);
    for (int i = 0; i < queued.n; i++)
        *ret += split_one(s, &queued.all[i], NULL, NULL) < 0;
    return queued.n;
}

static void a_folder_is_split_once(void)
{
    struct spool *s = NULL;
    size_t n;
    uint8_t *bytes = segment(MANY, false, &n);
    struct spool_name name = {.time_ms = 1763673247123, .segment = true};
    char file[KNELL_SPOOL_NAME_BYTES + 1], path[KNELL_SPOOL_NAME_BYTES + 32];
    name.event_id[0] = 0xab;
    spool_name_format(&name, file);
    snprintf(path, sizeof path, "new/%s", file);
    CHECK_INT(spool_open(test_tmpdir(), true, &s), 0);
    test_write_file(s->path, path, bytes, n);
    int n_failed;
    CHECK_INT(split_all(s, &n_failed), 1);
    CHECK_INT(test_count_files(s->path, "new"), MANY);
    CHECK_INT(split_all(s, &n_failed), 1); /* the first part, which cannot be told */
    CHECK_INT(n_failed, 0);
    CHECK_INT(test_count_files(s->path, "new"), MANY);
    spool_close(s);
    free(bytes);
}

/* Half of it must not be sent beside the whole. */
static void what_cannot_be_split_stays_whole(void)
{
    struct spool *s = NULL;
    size_t n;
    uint8_t *bytes = segment(4, false, &n);
    struct spool_name name = {.time_ms = 1763673247123, .segment = true};
    char file[KNELL_SPOOL_NAME_BYTES + 1], path[KNELL_SPOOL_NAME_BYTES + 32];
    CHECK_INT(spool_open(test_tmpdir(), true, &s), 0);
    for (uint8_t i = 0; i < 3; i += 2) { /* the segment, and what is in the third's way */
        name.event_id[0] = 0xab;
        name.event_id[12] = i;
        name.signature = i ? SPLIT_PART : 0;
        spool_name_format(&name, file);
        snprintf(path, sizeof path, i ? "new/%s/x" : "new/%s", file);
        test_write_file(s->path, path, bytes, n);
    }
    int n_failed;
    CHECK_INT(split_all(s, &n_failed), 1);
    CHECK_INT(n_failed, 1);
    CHECK_INT(test_count_files(s->path, "new"), 2);
    spool_close(s);
    free(bytes);
}

TEST_MAIN(TEST(each_transaction_has_a_part), TEST(a_list_is_not_believed),
    TEST(a_transaction_has_the_events_release), TEST(no_program_is_asked),
    TEST(a_folder_is_split_once), TEST(what_cannot_be_split_stays_whole))
