#include "test.h"

#include "uploader/report/last_words.h"
#include "uploader/report/obituary.h"
#include "uploader/report/parse.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

enum { MODULES_AT = sizeof(struct knell_journal_head) + KNELL_CRASH_AREA_BYTES };

/* A journal of head, last words and two modules. */
static struct image {
    struct knell_journal_head head;
    struct knell_journal_crash crash;
    struct knell_journal_modules modules;
    struct {
        struct knell_journal_module m;
        char rest[24]; /* build-id of 4, path */
    } all[2];
} image;

static void seal(void)
{
    struct knell_journal_crash *c = &image.crash;
    c->sum = knell_journal_sum(&c->tid,
        offsetof(struct knell_journal_crash, step) -
            offsetof(struct knell_journal_crash, tid),
        c->tid);
    image.modules.sum =
        knell_journal_sum(image.all, image.modules.n_bytes, image.modules.n_bytes);
}

static void make(void)
{
    image = (struct image){0};
    struct knell_journal_head *h = &image.head;
    *h = (struct knell_journal_head){.magic = KNELL_JOURNAL_MAGIC,
        .version = KNELL_JOURNAL_VERSION,
        .head_bytes = sizeof *h,
        .total_bytes = sizeof image,
        .used_bytes = sizeof *h,
        .state = KNELL_RUN_CRASHING,
        .pid = 4711};
    h->areas[0] = (struct knell_journal_area){
        KNELL_AREA_CRASH, sizeof *h, KNELL_CRASH_AREA_BYTES, 0};
    h->areas[1] = (struct knell_journal_area){
        KNELL_AREA_MODULES, MODULES_AT, sizeof image.modules + sizeof image.all, 0};
    image.crash = (struct knell_journal_crash){.tid = 4712,
        .signo = SIGSEGV,
        .code = SEGV_MAPERR,
        .arch = KNELL_MINIDUMP_ARCH_AMD64,
        .n_context = sizeof(struct knell_md_context_amd64),
        .address = 0x10,
        .pc = 0x401000,
        .stack_start = 0x7ffe0000,
        .step = KNELL_STEP_OPEN,
        .n_stack = 256};
    struct knell_md_context_amd64 *context = (void *)image.crash.context;
    context->flags = KNELL_MINIDUMP_CONTEXT_AMD64;
    context->rip = 0x401000;
    context->rsp = 0x7ffe0080;
    image.modules.n_bytes = sizeof image.all;
    for (int i = 0; i < 2; i++) {
        image.all[i].m =
            (struct knell_journal_module){.base = 0x400000 + 0x100000u * (unsigned)i,
                .size = 0x2000,
                .n_build_id = 4,
                .n_path = 6,
                .n_bytes = sizeof image.all[i]};
        memcpy(image.all[i].rest, "\1\2\3\4/bin/", 9);
        image.all[i].rest[9] = (char)('a' + i);
    }
    seal();
}

static struct crash *report(struct last_words *w, uint8_t **ret_bytes)
{
    struct crash *c = NULL;
    size_t n = 0;
    *ret_bytes = NULL;
    CHECK_INT(last_words_report(w, &image.head, (const uint8_t *)&image,
                  sizeof image.head, ret_bytes, &n),
        0);
    CHECK_INT(report_read(*ret_bytes, n, &c, NULL), 0);
    return c;
}

static bool find(struct last_words *ret)
{
    return last_words_find((const uint8_t *)&image, sizeof image, &image.head, ret);
}

static void become_a_report(void)
{
    struct last_words w;
    uint8_t *bytes;
    make();
    if (!CHECK(find(&w)))
        return;
    struct crash *c = report(&w, &bytes);
    if (c) {
        CHECK_INT(c->signal.signo, SIGSEGV);
        CHECK_INT(c->signal.address, 0x10);
        CHECK_INT(c->pid, 4711);
        CHECK_INT(c->n_threads, 1);
        CHECK_INT(c->threads[0].tid, 4712);
        CHECK(c->threads[0].crashed);
        CHECK_INT(crash_thread_pc(c, &c->threads[0]), 0x401000);
        CHECK_INT(c->threads[0].n_stack, 256);
        CHECK_INT(c->n_modules, 2);
        CHECK_STR(c->modules[1].path, "/bin/b");
        CHECK_INT(c->modules[1].n_build_id, 4);
        CHECK_INT(c->notes[0].step, KNELL_STEP_OPEN);
        CHECK_INT(c->notes[0].reason, KNELL_NOTE_ENDED);
    }
    crash_free(c);
    free(bytes);
}

static void torn_ones_do_not_count(void)
{
    struct last_words w;
    make();
    image.crash.address++;
    CHECK(!find(&w));
    make();
    image.crash.sum = 0;
    CHECK(!find(&w));
    make();
    image.head.areas[0].offset = sizeof image - 8;
    CHECK(!find(&w));
    make();
    image.crash.arch = 7;
    seal();
    CHECK(!find(&w));
    make();
    image.crash.signo = 1000;
    seal();
    CHECK(!find(&w));
}

static void lengths_are_not_believed(void)
{
    struct last_words w;
    uint8_t *bytes;
    for (int i = 0; i < 5; i++) {
        make();
        uint32_t n_modules = 0;
        if (i == 0)
            image.crash.n_stack = UINT32_MAX;
        else if (i == 1)
            image.modules.n_bytes = UINT32_MAX;
        else if (i == 2)
            image.all[0].m.n_path = UINT16_MAX;
        else if (i == 3)
            image.all[0].m.n_bytes = 8;
        else
            image.all[1].m.n_bytes = 4096;
        if (i != 1)
            seal();
        n_modules = i == 0 ? 2 : i == 4 ? 1 : 0;
        if (!CHECK(find(&w)))
            continue;
        struct crash *c = report(&w, &bytes);
        if (CHECK(c)) {
            CHECK_INT(c->threads[0].n_stack, i == 0 ? 0 : 256);
            CHECK_INT(c->n_modules, n_modules);
        }
        crash_free(c);
        free(bytes);
    }
}

/* A crash was reported, and a handler of the program's own ended the process; or it went
 * on, and died of something else. */
static void a_death_is_told_once(void)
{
    const uint64_t crashed = 1700000000ull * 1000000000u, minute = 60ull * 1000000000u;
    const struct {
        uint32_t state;
        int32_t signo;
        uint64_t last_sign;
        int result;
    } cases[] = {{KNELL_RUN_RUNNING, SIGSEGV, crashed - minute, -ENODATA},
        {KNELL_RUN_RUNNING, SIGSEGV, crashed + 1000000, -ENODATA},
        {KNELL_RUN_RUNNING, SIGSEGV, crashed + minute, 0},
        {KNELL_RUN_RUNNING, 0, crashed, 0}, {KNELL_RUN_RUNNING, SIGABRT, crashed, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct spool_live_name live = {0};
        struct spool_name name = {0};
        uint8_t *bytes = NULL;
        size_t n = 0;
        make();
        image.head.state = cases[i].state;
        image.head.crash_signo = cases[i].signo;
        image.head.heartbeat_ns = cases[i].last_sign;
        image.crash.time_ns = crashed;
        seal();
        CHECK_INT(obituary_write(NULL, (const uint8_t *)&image, sizeof image, &live, NULL,
                      0, &name, &bytes, &n),
            cases[i].result);
        free(bytes);
    }
}

TEST_MAIN(TEST(a_death_is_told_once), TEST(become_a_report), TEST(torn_ones_do_not_count),
    TEST(lengths_are_not_believed))
