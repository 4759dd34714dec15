/**
 * What a program does to knell's surroundings must cost it nothing, and its reports
 * little: see victim_host.c.
 *
 * usage: test_host VICTIM [NAME...]
 */
#include "run.h"
#include "test.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

static char victim[512];

static void check(struct run *r, const char *args, int n_reports, int signo)
{
    run_victim(victim, args, 0, r);
    CHECK(r->status >= 0 && WIFSIGNALED(r->status));
    CHECK_INT(WTERMSIG(r->status), signo);
    CHECK_INT(r->n_reports, n_reports);
    CHECK_STR(r->refused, NULL);
}

static void resets_all_its_signals(void)
{
    struct run r;
    check(&r, "resets_all_signals", 2, SIGABRT);
    CHECK_STR(r.out, "alive\n");
    run_done(&r);
}

static void takes_all_real_time_signals(void)
{
    struct run r;
    check(&r, "takes_all_real_time_signals", 2, SIGSEGV);
    CHECK_STR(r.out, "heard nothing\n");
    CHECK_INT(r.crash ? r.crash->n_threads : 0, 2);
    run_done(&r);
}

/* Told while it writes a report of an error; dies of it as soon as that is written. */
static void told_to_abort(void)
{
    struct run r;
    check(&r, "told_to_abort", 2, SIGABRT);
    CHECK_STR(r.out, "");
    run_done(&r);
}

static void told_to_abort_from_outside(void)
{
    struct run r;
    check(&r, "told_to_abort_from_outside", 2, SIGABRT);
    CHECK_STR(r.out, "");
    run_done(&r);
}

/* While it writes that of its crash: nothing of the report is lost. */
static void told_to_abort_as_it_dies(void)
{
    struct run r;
    check(&r, "told_to_abort_as_it_dies", 1, SIGSEGV);
    if (CHECK(r.crash)) {
        CHECK_INT(r.crash->signal.signo, SIGSEGV);
        CHECK_INT(r.crash->n_notes, 0);
    }
    run_done(&r);
}

/* Eight faults that its handler recovers from are enough; the crash is told. They cost
 * the program nothing that it would miss. */
static void recovers_often(void)
{
    struct run r;
    check(&r, "recovers_often", 9, SIGABRT);
    CHECK_STR(r.out, "descriptors 0 limit 1\n");
    run_done(&r);
}

/* Crash handlers of the program's own, each with its way to end it: one death, one
 * report, and none at the next start. */
static void previous_handler_ends_it(void)
{
    static const struct {
        const char *args;
        int signo;
    } cases[] = {{"previous_aborts", SIGABRT}, {"previous_resets", SIGSEGV},
        {"previous_raises", SIGSEGV}, {"previous_exits", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run r;
        run_victim(victim, cases[i].args, 0, &r);
        CHECK_INT(r.status, cases[i].signo ? cases[i].signo : 3 << 8);
        CHECK_STR(r.out, "previous\n");
        CHECK_INT(r.n_reports, 1);
        run_adopt(&r);
        CHECK_INT(r.n_reports, 1);
        CHECK(!r.has_journal && r.n_live_dumps == 0);
        CHECK_INT(r.crash ? r.crash->signal.signo : 0, SIGSEGV);
        run_done(&r);
    }
}

static bool is_told(const struct run *r, const char *text)
{
    const struct crash_text *j = &r->crash->journal_image;
    return memmem(j->text, j->n_bytes, text, strlen(text));
}

/* Knell's descriptors have become the program's: a child closes none of them, and what it
 * says stays its own. */
static void reuses_descriptors_and_forks(void)
{
    struct run r;
    check(&r, "reuses_and_forks", 1, SIGABRT);
    CHECK_STR(r.out, "child has its descriptors\n");
    if (CHECK(r.crash && r.crash->journal)) {
        CHECK(is_told(&r, "of the parent") && !is_told(&r, "of the child"));
        CHECK_INT(r.crash->journal->pid, r.crash->pid);
    }
    run_done(&r);
}

/* The end closes none and cuts none, and leaves nothing behind. */
static void reuses_descriptors_and_stops(void)
{
    struct run r;
    run_victim(victim, "reuses_and_stops", 0, &r);
    CHECK_INT(r.status, 92 << 8);
    CHECK_STR(r.out, "lost 0, 1048576 bytes\n");
    CHECK(!r.has_journal && r.n_live_dumps == 0);
    run_done(&r);
}

/* A plugin brought it and is gone; what was registered with libc is still there. */
static void is_unloaded(void)
{
    struct run r;
    run_victim(UNLOADS, LIBRARY, 0, &r);
    CHECK_INT(r.status, 0);
    CHECK_INT(r.n_reports, 0);
    CHECK(!r.has_journal && r.n_live_dumps == 0);
    run_done(&r);
}

static void starts_and_stops_while_it_recovers(void)
{
    struct run r;
    run_victim(victim, "starts_and_stops_while_it_recovers", 0, &r);
    CHECK_INT(r.status, 92 << 8);
    CHECK_STR(r.out, "recovered\n");
    run_done(&r);
}

static void forks_beside_the_loader(void)
{
    struct run r;
    run_victim(victim, "forks_beside_the_loader", 0, &r);
    CHECK_INT(r.status, 0);
    CHECK_INT(r.n_reports, 1);
    CHECK(r.crash && r.crash->n_modules >= 3 && r.crash->threads[0].n_frames >= 3);
    run_done(&r);
}

static void loads_an_odd_object(void)
{
    struct run r;
    check(&r, "loads_an_odd_object", 1, SIGABRT);
    run_done(&r);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {TEST(resets_all_its_signals),
        TEST(takes_all_real_time_signals), TEST(told_to_abort),
        TEST(told_to_abort_as_it_dies), TEST(told_to_abort_from_outside),
        TEST(recovers_often), TEST(previous_handler_ends_it),
        TEST(reuses_descriptors_and_forks), TEST(reuses_descriptors_and_stops),
        TEST(is_unloaded), TEST(starts_and_stops_while_it_recovers),
        TEST(forks_beside_the_loader), TEST(loads_an_odd_object)};
    if (argc < 2 || !realpath(argv[1], victim))
        return 2;
    return test_run(tests, sizeof tests / sizeof *tests, argc - 1, argv + 1);
}
