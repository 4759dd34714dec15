/* SIGKILL before and after each system call of a pass (every eleventh in the short form);
 * then a second pass must find everything, send it, and leave a sound spool. */
#include "fake.h"

#include "uploader/spool/tend.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define DSN "http://key@127.0.0.1:%d/7"

struct scenario {
    const char *name;
    void (*set_up)(struct fake *f, int port);
    const char *script;
    int n_reports;
};

static void one_report(struct fake *f, int port)
{
    fake_destination(f, DSN, port);
    fake_report(f, "new", 1, "MDMP", NULL);
}

static void folder(struct fake *f, int port)
{
    char text[600];
    (void)port;
    snprintf(text, sizeof text, "file://%s/out", f->path);
    fake_destination(f, text, 0);
    fake_report(f, "new", 1, "MDMP", NULL);
}

static void two_destinations(struct fake *f, int port)
{
    folder(f, port);
    fake_destination(f, DSN, port);
}

static void refused_and_leftover(struct fake *f, int port)
{
    fake_destination(f, DSN, port);
    fake_report(f, "new", 1, "REFUSE", NULL);
    fake_report(f, "work", 2, "MDMP", NULL);
}

static void committed_in_live(struct fake *f, int port)
{
    static const uint32_t header[] = {0x504d444d, 0xa793, 0, 32, 0, 1700000000, 0, 0};
    fake_destination(f, DSN, port);
    test_write_file(f->path, "live/00000001-1-1-ab0000000000000000000000000000ff.dmp",
        header, sizeof header);
}

/* Every so many system calls; 1 with the argument "all". */
static long step = 11;

/* Runs a pass in a child; kills it at its @want-th system call (counted from the moment
 * it runs, -1: never). Returns how many it made, or -1 when it was killed. */
static long traced_pass(struct fake *f, long want, bool after)
{
    pid_t pid = fork();
    if (!pid) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
            _exit(77);
        raise(SIGSTOP);
        _exit(fake_run(f) ? 1 : 0);
    }
    int status;
    long n = 0;
    bool inside = false;
    waitpid(pid, &status, 0);
    if (!WIFSTOPPED(status))
        return -77;
    ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    for (;;) {
        ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
        waitpid(pid, &status, 0);
        if (WIFEXITED(status) || WIFSIGNALED(status))
            return n;
        if (WSTOPSIG(status) != (SIGTRAP | 0x80))
            continue;
        inside = !inside;
        n += inside;
        if (n == want && inside == !after) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            return -1;
        }
    }
}

static void count_finding(void *ctx, const struct tend_finding *t)
{
    /* The made-up reports are four bytes long. */
    if (!strcmp(t->what, "too short"))
        return;
    ++*(int *)ctx;
    printf("verify: %s/%s: %s\n", spool_state_name(t->state), t->file, t->what);
}

static bool is_sound(const struct fake *f)
{
    struct spool *s = NULL;
    int n = 0;
    if (!CHECK_INT(spool_open(f->path, false, &s), 0))
        return false;
    CHECK(tend_verify(s, count_finding, &n) >= 0);
    spool_close(s);
    return CHECK_INT(n, 0);
}

static bool check_after_kill(const struct scenario *sc, long at, bool after)
{
    struct ingest s = ingest_start(&(struct ingest_options){.script = sc->script});
    struct fake *f = fake_new((const char *[]){"upload.retry_base=1s", NULL});
    sc->set_up(f, s.port);
    bool ok = true, killed = traced_pass(f, at, after) == -1;
    uint64_t requests = s.counts->requests;
    ingest_stop(&s);
    /* The server is well now, and listens where it did. */
    s = ingest_start(&(struct ingest_options){.port = 0});
    for (size_t i = 0; i < f->n_destinations; i++) {
        if (f->destinations[i].kind == DESTINATION_SENTRY) {
            destination_done(&f->destinations[i]);
            f->n_destinations--;
            fake_destination(f, DSN, s.port);
        }
    }
    fake_forgive(f);
    ok &= CHECK_INT(fake_run(f), 0);
    ok &= CHECK_INT(fake_total(f), sc->n_reports);
    ok &= CHECK_INT(fake_count(f, "sent") + fake_count(f, "bad") / 2, sc->n_reports);
    ok &= CHECK_INT(fake_count(f, "live"), 0);
    ok &= CHECK(requests + s.counts->requests <= (uint64_t)sc->n_reports + 1);
    ok &= is_sound(f);
    if (!ok)
        printf("scenario %s, killed %s system call %ld\n", sc->name,
            after ? "after" : "before", at);
    fake_free(f);
    ingest_stop(&s);
    return killed;
}

static void run_scenario(const struct scenario *sc)
{
    struct ingest s = ingest_start(&(struct ingest_options){.script = sc->script});
    struct fake *f = fake_new((const char *[]){"upload.retry_base=1s", NULL});
    sc->set_up(f, s.port);
    long n = traced_pass(f, -1, false);
    fake_free(f);
    ingest_stop(&s);
    if (n < 0) {
        test_skip("ptrace is not allowed here");
        return;
    }
    CHECK(n > 20);
    long killed = 0;
    for (long i = 1; i <= n; i += step) {
        killed += check_after_kill(sc, i, false);
        killed += check_after_kill(sc, i, true);
    }
    /* A pass may take a call more or less; nearly all must have been hit. */
    CHECK(killed > n / step);
    printf("%s: %ld system calls, %ld kills\n", sc->name, n, killed);
}

static void killed_while_sending(void)
{
    run_scenario(&(struct scenario){"sent", one_report, "200", 1});
}

static void killed_while_deferring(void)
{
    run_scenario(&(struct scenario){"deferred", one_report, "503", 1});
}

static void killed_at_a_limit(void)
{
    run_scenario(&(struct scenario){"limited", one_report, "429", 1});
}

static void killed_while_writing_to_a_folder(void)
{
    run_scenario(&(struct scenario){"folder", folder, "200", 1});
}

static void killed_between_two_destinations(void)
{
    run_scenario(&(struct scenario){"two destinations", two_destinations, "503", 1});
}

static void killed_while_cleaning_up(void)
{
    run_scenario(&(struct scenario){"left over", refused_and_leftover, "200", 2});
}

static void killed_while_adopting(void)
{
    run_scenario(&(struct scenario){"adopted", committed_in_live, "200", 1});
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {TEST(killed_while_sending),
        TEST(killed_while_deferring), TEST(killed_at_a_limit),
        TEST(killed_while_writing_to_a_folder), TEST(killed_between_two_destinations),
        TEST(killed_while_cleaning_up), TEST(killed_while_adopting)};
    if (argc > 1 && !strcmp(argv[1], "all"))
        step = 1;
    return test_run(tests, sizeof tests / sizeof *tests, 1, argv);
}
