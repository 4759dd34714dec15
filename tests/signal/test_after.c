/**
 * What becomes of a report after the death: the program is replaced before anybody reads
 * it; a copy without secrets leaves the machine.
 *
 * usage: test_after VICTIM OTHER_PROGRAM [NAME...]
 */
#include "run.h"
#include "test.h"
#include "tmpdir.h"
#include "uploader/report/parse.h"
#include "uploader/report/unwind.h"
#include "uploader/worker/sanitize.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char victim[512], other[512];

/* The victim says this in a buffer of its stack and in its heap. */
static const char secret[] = "correct-horse-battery-staple";

static bool copy_over(const char *from, const char *to)
{
    char command[2200];
    (void)snprintf(command, sizeof command, "cp '%s' '%s.new' && mv '%s.new' '%s'", from,
        to, to, to);
    return system(command) == 0;
}

/* What the handler writes last is the sum of all that it wrote. */
static void a_changed_report_is_known(void)
{
    struct run r;
    struct knell_md_header h = {0};
    run_victim(victim, "-t 3 null_write", 0, &r);
    if (CHECK(r.crash) && CHECK(r.n_bytes > sizeof h)) {
        memcpy(&h, r.bytes, sizeof h);
        CHECK(h.checksum && !r.crash->is_changed);
        uint64_t end =
            h.directory_rva + (uint64_t)h.n_streams * sizeof(struct knell_md_directory);
        const uint64_t places[] = {h.directory_rva / 2, sizeof h, end - 1};
        for (size_t i = 0; i < 3; i++) {
            struct crash *c = NULL;
            r.bytes[places[i]] ^= 0x10;
            int err = report_read(r.bytes, r.n_bytes, &c, NULL);
            CHECK(err || c->is_changed);
            crash_free(c);
            r.bytes[places[i]] ^= 0x10;
        }
    }
    run_done(&r);
}

/* The file now has another build-id: its frame information would lead astray. What the
 * handler saw while it was still the right one takes its place. */
static void a_program_was_replaced(void)
{
    char program[512];
    struct run r;
    struct crash *c = NULL;
    (void)snprintf(program, sizeof program, "%s/upgraded", test_tmpdir());
    if (!CHECK(copy_over(victim, program)))
        return;
    run_victim(program, "null_write", 0, &r);
    if (CHECK(r.crash) && CHECK(copy_over(other, program)) &&
        CHECK_INT(report_read(r.bytes, r.n_bytes, &c, NULL), 0)) {
        const struct report_unwind_options all = {0};
        CHECK_INT(report_unwind(c, &all), 0);
        const struct crash_thread *a = &r.crash->threads[0], *b = &c->threads[0];
        CHECK(a->n_frames >= 54 && a->n_frames == b->n_frames);
        for (uint32_t i = 0; i < a->n_frames && i < b->n_frames; i++) {
            CHECK_INT(a->frames[i].pc, b->frames[i].pc);
            /* Module 0 is the program. */
            if (i && a->frames[i].module == 0)
                CHECK_INT(b->frames[i].trust, CRASH_TRUST_PREWALKED);
        }
        crash_free(c);
    }
    run_done(&r);
}

static bool holds(const uint8_t *bytes, size_t n, const char *text)
{
    return memmem(bytes, n, text, strlen(text)) != NULL;
}

/* Nine of ten frames are still found, and those are the same. */
static void check_frames(const struct crash *a, const struct crash *b)
{
    const struct crash_thread *before = &a->threads[0], *after = &b->threads[0];
    uint32_t same = 0;
    for (uint32_t i = 0; i < before->n_frames && i < after->n_frames; i++)
        same += before->frames[i].pc == after->frames[i].pc;
    CHECK(before->n_frames >= 54);
    CHECK(same * 10 >= before->n_frames * 9);
}

static void secrets_are_taken_out(void)
{
    struct run r;
    struct crash *c = NULL;
    uint8_t *clean = NULL;
    run_victim(victim, "-t 3 with_secrets", 0, &r);
    if (CHECK(r.crash) && CHECK_INT(sanitize_report(r.crash, &clean), 0)) {
        CHECK(holds(r.bytes, r.n_bytes, secret)); /* or this proves nothing */
        CHECK(!holds(clean, r.n_bytes, secret));
        CHECK(!holds(clean, r.n_bytes, "battery"));
        if (CHECK_INT(report_read(clean, r.n_bytes, &c, NULL), 0)) {
            /* Not with the handler's frames, which nobody touched. */
            c->n_prewalked = 0;
            const struct report_unwind_options all = {0};
            CHECK_INT(report_unwind(c, &all), 0);
            check_frames(r.crash, c);
            crash_free(c);
        }
    }
    free(clean);
    run_done(&r);
}

/* In any file of the spool: the report, and the journal with its last words. */
static bool anywhere(const struct run *r, const char *pattern)
{
    char command[400];
    (void)snprintf(
        command, sizeof command, "LC_ALL=C grep -rqaP '%s' '%s'", pattern, r->spool);
    return system(command) == 0;
}

/* Vector registers, by way of which memory is copied, are memory. */
static void registers_with_secrets_stay_out_of_the_spool(void)
{
    static const char bytes[] = "\\xa5{16}";
    struct run r;
    run_victim(victim, "with_vectors", 0, &r);
    if (r.status == 77 << 8) {
        test_skip(r.err);
        run_done(&r);
        return;
    }
    CHECK(anywhere(&r, bytes));
    run_done(&r);
    (void)setenv("KNELL_SANITIZE", "1", 1);
    run_victim(victim, "with_vectors", 0, &r);
    (void)unsetenv("KNELL_SANITIZE");
    CHECK(r.crash && !anywhere(&r, bytes));
    run_done(&r);
}

/* Where the program asks for it they do not even reach the disk, and no frame is lost. */
static void secrets_stay_out_of_the_spool(void)
{
    struct run r;
    uint32_t n_frames[3] = {0};
    run_victim(victim, "-t 3 with_secrets", 0, &r);
    CHECK(anywhere(&r, "battery"));
    for (uint32_t i = 0; r.crash && i < r.crash->n_threads && i < 3; i++)
        n_frames[i] = r.crash->threads[i].n_frames;
    run_done(&r);
    (void)setenv("KNELL_SANITIZE", "1", 1);
    run_victim(victim, "-t 3 with_secrets", 0, &r);
    (void)unsetenv("KNELL_SANITIZE");
    CHECK(r.n_bytes && !anywhere(&r, "battery"));
    CHECK_STR(r.refused, NULL);
    if (CHECK(r.crash) && CHECK_INT(r.crash->n_threads, 3)) {
        const struct crash_thread *t = &r.crash->threads[0];
        CHECK(t->n_frames >= 54);
        for (uint32_t i = 0; i < 3; i++)
            CHECK_INT(r.crash->threads[i].n_frames, n_frames[i]);
        CHECK_INT(r.crash->n_prewalked, t->n_frames);
        for (uint32_t i = 0; i < t->n_frames && i < r.crash->n_prewalked; i++)
            CHECK_INT(t->frames[i].pc, r.crash->prewalked[i]);
    }
    run_done(&r);
}

/* Above the main thread's stack lie its arguments and environment, with tokens in them.
 */
static void the_environment_stays_out_of_the_spool(void)
{
    static const unsigned worlds[] = {0, RUN_NO_PROC};
    (void)setenv("A_TOKEN", "walnut-sash-window", 1);
    for (size_t i = 0; i < 2; i++) {
        struct run r;
        const char *missing = surroundings_missing(worlds[i]);
        if (missing) {
            test_skip(missing);
            break;
        }
        run_victim(victim, "null_write", worlds[i], &r);
        CHECK(r.crash && r.crash->threads[0].n_stack > 1000);
        CHECK(r.n_bytes && !holds(r.bytes, r.n_bytes, "walnut-sash"));
        CHECK(!anywhere(&r, "walnut-sash"));
        run_done(&r);
    }
    (void)unsetenv("A_TOKEN");
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {TEST(a_changed_report_is_known),
        TEST(a_program_was_replaced), TEST(secrets_are_taken_out),
        TEST(secrets_stay_out_of_the_spool), TEST(the_environment_stays_out_of_the_spool),
        TEST(registers_with_secrets_stay_out_of_the_spool)};
    if (argc < 3 || !realpath(argv[1], victim) || !realpath(argv[2], other))
        return 2;
    return test_run(tests, sizeof tests / sizeof *tests, argc - 2, argv + 2);
}
