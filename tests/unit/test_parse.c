#include "dump.h"
#include "test.h"

#include "uploader/report/parse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct crash *read_dump(struct dump *d, int expected)
{
    size_t n;
    const uint8_t *bytes = dump_finish(d, &n);
    struct crash *c = NULL;
    struct report_error why = {0};
    CHECK_INT(report_read(bytes, n, &c, &why), expected);
    CHECK(expected ? c == NULL && why.what : c != NULL && !why.what);
    return c;
}

static void reads_what_was_written(void)
{
    struct dump *d = dump_example();
    struct crash *c = read_dump(d, 0);
    CHECK_INT(c->n_threads, 2);
    CHECK_INT(c->crashed_thread, 0);
    CHECK_INT(c->threads[0].tid, 4712);
    CHECK(c->threads[0].crashed && !c->threads[1].crashed);
    CHECK_STR(c->threads[0].name, "worker");
    CHECK_INT(crash_thread_pc(c, &c->threads[0]), 0x401000);
    CHECK_INT(crash_thread_sp(c, &c->threads[0]), 0x7ffe0000);
    CHECK_INT(c->signal.signo, 11);
    CHECK_INT(c->pid, 4711);
    CHECK_INT(c->n_modules, 2);
    CHECK_STR(c->modules[0].path, "/usr/bin/exampled");
    CHECK_INT(c->modules[0].n_build_id, 20);
    CHECK_INT(c->modules[0].build_id[0], 0xd9);
    CHECK_STR(c->journal->release, "exampled@2.4.1");
    CHECK_STR(c->os_description, "Linux 6.1.0 #1 SMP x86_64");
    CHECK_INT(c->n_damages, 0);
    char text[32];
    CHECK(crash_text_value(&c->os_release, "VERSION_ID", '=', text, sizeof text));
    CHECK_STR(text, "12");
    CHECK(crash_text_value(&c->proc_status, "VmRSS", ':', text, 4));
    CHECK_STR(text, "12 ");
    CHECK(!crash_text_value(&c->os_release, "VERSION", '=', text, sizeof text));
    crash_free(c);
    dump_free(d);
}

static void finds_modules_and_memory(void)
{
    struct dump *d = dump_example();
    dump_memory(d, 0x1000, "abcdefgh", 8);
    dump_memory(d, 0x1004, "EFGHijkl", 8); /* overlaps: the first one counts */
    dump_memory(d, 0x1002, "xx", 2);       /* inside */
    struct crash *c = read_dump(d, 0);
    CHECK_INT(crash_module_at(c, 0x3fffff), -1);
    CHECK_INT(crash_module_at(c, 0x400000), 0);
    CHECK_INT(crash_module_at(c, 0x40ffff), 0);
    CHECK_INT(crash_module_at(c, 0x410000), -1);
    CHECK_INT(crash_module_at(c, 0x500000), 1);
    CHECK(!memcmp(crash_memory_at(c, 0x1000, 8), "abcdefgh", 8));
    CHECK(!memcmp(crash_memory_at(c, 0x1008, 4), "ijkl", 4));
    CHECK(!crash_memory_at(c, 0x1004, 8)); /* in two ranges */
    CHECK(!crash_memory_at(c, 0x100c, 1));
    CHECK(!crash_memory_at(c, 0xfff, 1));
    CHECK(!crash_memory_at(c, UINT64_MAX, 8));
    CHECK(crash_memory_at(c, 0x7ffe0000, 64)); /* the stack of a thread */
    crash_free(c);
    dump_free(d);
}

static void refuses_by_name(void)
{
    struct {
        size_t at;
        uint32_t value;
        int expected;
        const char *what;
    } cases[] = {
        {0, 0x504d444e, -EBADMSG, "header: magic"},
        {4, 0xa794, -EPROTONOSUPPORT, "header: version"},
        {8, 65, -E2BIG, "number of streams"},
        {12, 0x7fffffff, -EBADMSG, "directory"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dump *d = dump_example();
        size_t n;
        uint8_t *bytes = (uint8_t *)(uintptr_t)dump_finish(d, &n);
        memcpy(bytes + cases[i].at, &cases[i].value, 4);
        struct crash *c = NULL;
        struct report_error why = {0};
        CHECK_INT(report_read(bytes, n, &c, &why), cases[i].expected);
        CHECK_STR(why.what, cases[i].what);
        dump_free(d);
    }
    static const uint8_t zeros[4096];
    struct crash *c = NULL;
    CHECK_INT(report_read(zeros, sizeof zeros, &c, NULL), -ENODATA);
    CHECK_INT(report_read(zeros, 31, &c, NULL), -EBADMSG);
    CHECK_INT(report_read(zeros, 0, &c, NULL), -EBADMSG);
    CHECK_INT(report_read(zeros, (size_t)KNELL_MAX_REPORT_BYTES + 1, &c, NULL), -E2BIG);
}

static void refuses_a_stream_twice(void)
{
    struct dump *d = dump_example();
    dump_stream_text(d, KNELL_STREAM_LINUX_MAPS, "again");
    CHECK(!read_dump(d, -EBADMSG));
    dump_free(d);
}

static void refuses_counts_beyond_the_limits(void)
{
    static const struct {
        uint32_t type, n;
    } cases[] = {
        {KNELL_STREAM_THREAD_LIST, KNELL_MAX_THREADS + 1},
        {KNELL_STREAM_MODULE_LIST, KNELL_MAX_MODULES + 1},
        {KNELL_STREAM_MEMORY_LIST, KNELL_MAX_MEMORY_RANGES + 1},
        {KNELL_STREAM_THREAD_NAMES, UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dump *d = dump_new();
        dump_stream(d, cases[i].type, &cases[i].n, 4);
        CHECK(!read_dump(d, -E2BIG));
        dump_free(d);
    }
}

/* What no memory would be enough for is the report's fault and not this machine's. */
static void refuses_more_than_its_bound(void)
{
    enum { SLOTS = 2 << 20 };
    size_t n_block = sizeof(struct knell_journal_block) + SLOTS * 32ul;
    size_t n = sizeof(struct knell_journal_head) + n_block;
    uint8_t *image = calloc(1, n);
    struct knell_journal_head h = {.magic = KNELL_JOURNAL_MAGIC,
        .version = KNELL_JOURNAL_VERSION,
        .head_bytes = sizeof h,
        .areas = {{.type = KNELL_AREA_BLOCKS,
            .offset = sizeof h,
            .n_bytes = (uint32_t)n_block}}};
    struct knell_journal_block k = {.type = KNELL_BLOCK_CRUMBS,
        .n_bytes = (uint32_t)n_block,
        .n_slots = SLOTS,
        .slot_bytes = 32};
    memcpy(image, &h, sizeof h);
    memcpy(image + sizeof h, &k, sizeof k);
    struct dump *d = dump_new();
    dump_stream(d, KNELL_STREAM_JOURNAL, image, n);
    CHECK(!read_dump(d, -E2BIG));
    dump_free(d);
    free(image);
}

static void keeps_what_is_whole(void)
{
    struct dump *d = dump_example();
    struct knell_frames_head frames = {.n_frames = 100}; /* and none follow */
    dump_stream(d, KNELL_STREAM_FRAMES, &frames, sizeof frames);
    struct crash *c = read_dump(d, 0);
    CHECK_INT(c->n_damages, 1);
    CHECK_STR(c->damages[0].what, "frames");
    CHECK_INT(c->n_prewalked, 0);
    CHECK_INT(c->n_threads, 2);
    crash_free(c);
    dump_free(d);
}

/* One bit anywhere: refused, or told. */
static void every_changed_bit_is_seen(void)
{
    struct dump *d = dump_example();
    size_t n, n_told = 0;
    const uint8_t *sound = dump_finish(d, &n);
    uint8_t *bytes = malloc(n);
    struct crash *c = NULL;
    memcpy(bytes, sound, n);
    dump_seal(bytes, n);
    CHECK_INT(report_read(bytes, n, &c, NULL), 0);
    CHECK(c && !c->is_changed && !c->n_damages);
    crash_free(c);
    for (size_t i = 0; i < 8 * n; i++) {
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
        c = NULL;
        int err = report_read(bytes, n, &c, NULL);
        if (!err && !CHECK(c->is_changed && c->n_damages))
            printf("bit %zu of byte %zu\n", i % 8, i / 8);
        n_told += !err;
        crash_free(c);
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    CHECK(n_told > 4 * n);
    free(bytes);
    dump_free(d);
}

static void every_truncation_is_clean(void)
{
    struct dump *d = dump_example();
    size_t n;
    const uint8_t *bytes = dump_finish(d, &n);
    for (size_t k = 0; k < n; k++) {
        uint8_t *cut = malloc(k ? k : 1); /* of exactly this size: for the sanitizer */
        memcpy(cut, bytes, k);
        struct crash *c = NULL;
        int err = report_read(cut, k, &c, NULL);
        CHECK((err == 0) == (c != NULL));
        crash_free(c);
        free(cut);
    }
    dump_free(d);
}

TEST_MAIN(TEST(reads_what_was_written), TEST(finds_modules_and_memory),
    TEST(refuses_by_name), TEST(refuses_a_stream_twice),
    TEST(refuses_counts_beyond_the_limits), TEST(refuses_more_than_its_bound),
    TEST(keeps_what_is_whole), TEST(every_truncation_is_clean),
    TEST(every_changed_bit_is_seen))
