/**
 * Crash signals that others want: a handler put over knell's, beneath it by the preloaded
 * library, one that calls back, one that mends; and threads that are covered by talking.
 *
 * usage: test_handlers VICTIM PRELOAD_LIBRARY [NAME...]
 */
#include "run.h"
#include "test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char victim[512], preload[512];

static void check(const struct run *r, int n_reports, int status, const char *out)
{
    CHECK(r->status >= 0 && WIFSIGNALED(r->status));
    CHECK_INT(WTERMSIG(r->status), status);
    CHECK_INT(r->n_reports, n_reports);
    CHECK_STR(r->refused, NULL);
    CHECK(r->crash && r->crash->has_signal && r->crash->n_threads);
    if (out)
        CHECK_STR(r->out, out);
}

static void says_who_took_a_signal_and_takes_it_back(void)
{
    struct run r;
    run_victim(victim, "taken", 0, &r);
    check(&r, 1, SIGSEGV,
        "lost=0 \nlost=1 SIGSEGV goes to victim_handlers, not to knell\nlost=0 \n"
        "foreign\n");
    run_done(&r);
}

static void ends_what_goes_round(void)
{
    struct run r;
    run_victim(victim, "round", 0, &r);
    check(&r, 1, SIGSEGV, "round\n");
    run_done(&r);
}

/* One report before it is known that faults are mended here, then that of the abort. */
static void leaves_alone_what_is_mended(void)
{
    struct run r;
    run_victim(victim, "mended", 0, &r);
    check(&r, 2, SIGABRT, NULL);
    run_done(&r);
}

static void covers_a_thread_that_talks(void)
{
    struct run r;
    run_victim(victim, "worker", 0, &r);
    check(&r, 1, SIGSEGV, NULL);
    if (r.crash)
        CHECK(r.crash->threads[0].n_frames > 100);
    run_done(&r);
}

static void preloaded_of(const char *args, int n_reports, int signo)
{
    struct run r;
    (void)setenv("LD_PRELOAD", preload, 1);
    run_victim(victim, args, RUN_BARE, &r);
    (void)unsetenv("LD_PRELOAD");
    CHECK(r.status >= 0 && WIFSIGNALED(r.status));
    CHECK_INT(WTERMSIG(r.status), signo);
    CHECK_INT(r.n_reports, n_reports);
    CHECK_STR(r.out, "foreign\n");
    if (n_reports && CHECK(r.crash))
        CHECK_INT(r.crash->signal.code, SEGV_MAPERR);
    run_done(&r);
}

static void preloaded(const char *args, int n_reports)
{
    preloaded_of(args, n_reports, SIGSEGV);
}

static void takes_what_a_handler_ends_with_for_no_other_crash(void)
{
    preloaded_of("installs_and_kills", 1, SIGSEGV);
    preloaded_of("installs_and_aborts", 1, SIGABRT);
}

/* Without a word of knell in the program. What the next start finds in live/ counts. */
static void preloaded_leaves(const char *args, int n_reports)
{
    struct run r;
    (void)setenv("LD_PRELOAD", preload, 1);
    run_victim(victim, args, RUN_BARE, &r);
    (void)unsetenv("LD_PRELOAD");
    CHECK_INT(r.status, 0);
    run_adopt(&r);
    if (!CHECK_INT(r.n_reports, n_reports))
        printf("  %s: %s%s\n", args, r.out, r.err);
    if (n_reports && CHECK(r.crash && r.crash->n_threads)) {
        CHECK_INT(r.crash->signal.signo, SIGSEGV);
        CHECK(r.crash->threads[0].n_frames >= 3);
        CHECK(r.crash->n_modules >= 3);
    }
    run_done(&r);
}

static void covers_a_child_that_becomes_another_user(void)
{
    if (geteuid() != 0) {
        test_skip("needs privileges");
        return;
    }
    preloaded_leaves("drops_all", 1);
}

static void knows_an_end_from_a_death(void)
{
    preloaded_leaves("ends_by_exit", 0);
    preloaded_leaves("becomes_another", 0);
    preloaded_leaves("becomes_a_daemon", 0);
}

/* The same handler sees the same with and without knell. */
static void calls_it_as_the_kernel_does(void)
{
    static const char *const cases[] = {
        "own_stack", "alternate_stack", "restarts", "restarts_not"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run with, bare;
        run_victim(victim, cases[i], RUN_BARE, &bare);
        run_done(&bare);
        run_victim(victim, cases[i], 0, &with);
        CHECK_INT(with.status, bare.status);
        CHECK(bare.out[0]);
        CHECK_STR(with.out, bare.out);
        CHECK(with.n_reports >= 1);
        run_done(&with);
    }
}

static void keeps_handlers_of_a_program_that_does_not_know(void)
{
    preloaded("installs", 1);
    (void)setenv("KNELL_KEEP_SIGNALS", "0", 1);
    preloaded("installs", 0);
    (void)unsetenv("KNELL_KEEP_SIGNALS");
}

static void keeps_handlers_of_signal(void)
{
    preloaded("installs_with_signal", 1); /* and raised again: that is no other crash */
}

static void covers_workers_that_gave_up_root(void)
{
    struct run r;
    if (geteuid() != 0) {
        test_skip("needs root");
        return;
    }
    (void)setenv("LD_PRELOAD", preload, 1);
    (void)setenv("KNELL_COVER_FORKS", "1", 1);
    run_victim(victim, "drops", RUN_BARE, &r);
    (void)unsetenv("KNELL_COVER_FORKS");
    (void)unsetenv("LD_PRELOAD");
    CHECK_INT(r.status, 0);
    run_adopt(&r);
    CHECK_INT(r.n_reports, 1);
    if (CHECK(r.crash))
        CHECK_INT(r.crash->signal.signo, SIGSEGV);
    run_done(&r);
}

/* A wrapper such as env(1) becomes the program by execve(2): the program's death is one.
 */
static void tells_no_death_of_a_program_that_became_another(void)
{
    char args[1100];
    struct run r;
    (void)snprintf(args, sizeof args, "/usr/bin/env %s installs", victim);
    (void)setenv("LD_PRELOAD", preload, 1);
    run_victim("/usr/bin/env", args, RUN_BARE, &r);
    (void)unsetenv("LD_PRELOAD");
    CHECK_INT(r.n_reports, 1);
    run_adopt(&r);
    CHECK_INT(r.n_reports, 1);
    CHECK(!r.has_journal);
    run_done(&r);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {TEST(says_who_took_a_signal_and_takes_it_back),
        TEST(ends_what_goes_round), TEST(leaves_alone_what_is_mended),
        TEST(covers_a_thread_that_talks),
        TEST(keeps_handlers_of_a_program_that_does_not_know),
        TEST(keeps_handlers_of_signal),
        TEST(takes_what_a_handler_ends_with_for_no_other_crash),
        TEST(calls_it_as_the_kernel_does), TEST(covers_workers_that_gave_up_root),
        TEST(tells_no_death_of_a_program_that_became_another),
        TEST(covers_a_child_that_becomes_another_user), TEST(knows_an_end_from_a_death)};
    if (argc < 3 || !realpath(argv[1], victim) || !realpath(argv[2], preload))
        return 2;
    return test_run(tests, sizeof tests / sizeof *tests, argc - 2, argv + 2);
}
