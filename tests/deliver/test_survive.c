/* Nothing lost: N queued reports, a server that fails in each way, then one that is well.
 * N is 200, or argv[1]: 1000 in the long form. And fifty uploaders at once. */
#include "fake.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define DSN "http://key@127.0.0.1:%d/7"

static unsigned n_reports = 200;

static void heal_and_check(struct fake *f, struct ingest *s, const char *how)
{
    bool ok = CHECK_INT(fake_total(f), n_reports);
    ok &= CHECK_INT(fake_count(f, "bad"), 0);
    ingest_stop(s);
    *s = ingest_start(&(struct ingest_options){0});
    destination_done(&f->destinations[0]);
    f->n_destinations = 0;
    fake_destination(f, DSN, s->port);
    fake_forgive(f);
    f->config.values.total_timeout_ms = 60000; /* of a machine with much else to do */
    ok &= CHECK_INT(fake_run(f), 0);
    ok &= CHECK_INT(fake_count(f, "sent"), n_reports);
    if (!ok)
        printf("with \"%s\"\n", how);
}

static void all_survive(const char *script)
{
    struct ingest s = ingest_start(&(struct ingest_options){.script = script});
    struct fake *f = fake_new(
        (const char *[]){"upload.total_timeout=200ms", "upload.retry_base=1s", NULL});
    fake_destination(f, DSN, s.port);
    fake_reports(f, n_reports, "MDMP");
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "sent"), 0);
    heal_and_check(f, &s, script);
    fake_free(f);
    ingest_stop(&s);
}

static void survive_500(void)
{
    all_survive("500");
}

static void survive_503(void)
{
    all_survive("503");
}

static void survive_429(void)
{
    all_survive("429");
}

static void survive_hang(void)
{
    all_survive("hang");
}

static void survive_reset(void)
{
    all_survive("reset");
}

static void survive_refused(void)
{
    struct ingest s = ingest_start(&(struct ingest_options){0});
    struct fake *f = fake_new(NULL);
    fake_destination(f, DSN, s.port);
    ingest_stop(&s);
    fake_reports(f, n_reports, "MDMP");
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "sent"), 0);
    heal_and_check(f, &s, "refused");
    fake_free(f);
    ingest_stop(&s);
}

/* The uploader is killed again and again, at moments that nobody chose. */
static void survive_kills(void)
{
    struct ingest s =
        ingest_start(&(struct ingest_options){.script = "200/delay=2", .dir = NULL});
    struct fake *f = fake_new(NULL);
    fake_destination(f, DSN, s.port);
    fake_reports(f, n_reports, "MDMP");
    unsigned seed = 1, kills = 0;
    while (fake_count(f, "sent") < (int)n_reports && kills < 400) {
        pid_t pid = fork();
        if (!pid) {
            int r = fake_run(f);
            _exit(r ? 1 : 0);
        }
        usleep(1000 + (unsigned)rand_r(&seed) % 30000);
        kill(pid, SIGKILL);
        int status;
        waitpid(pid, &status, 0);
        if (!WIFSIGNALED(status))
            break;
        kills++;
        if (!CHECK_INT(fake_total(f), n_reports))
            break;
    }
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "sent"), n_reports);
    CHECK(kills > 0);
    /* At most what was in flight is sent again at each kill. */
    CHECK(s.counts->requests <= n_reports + kills * 4);
    printf("%u kills, %llu duplicates\n", kills,
        (unsigned long long)s.counts->requests - n_reports);
    fake_free(f);
    ingest_stop(&s);
}

static void a_stopped_uploader_puts_back_what_it_had(void)
{
    static volatile sig_atomic_t stop = 1;
    struct ingest s = ingest_start(&(struct ingest_options){0});
    struct fake *f = fake_new(NULL);
    fake_destination(f, DSN, s.port);
    f->options.stop = &stop;
    fake_reports(f, 10, "MDMP");
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "work"), 0);
    CHECK_INT(fake_total(f), 10);
    fake_free(f);
    ingest_stop(&s);
}

static void fifty_uploaders_at_once(void)
{
    enum { N = 50 };
    struct ingest s = ingest_start(&(struct ingest_options){.script = "200/delay=5"});
    struct fake *f = fake_new(NULL);
    fake_destination(f, DSN, s.port);
    fake_reports(f, n_reports, "MDMP");
    pid_t pids[N];
    for (int i = 0; i < N; i++) {
        pids[i] = fork();
        if (!pids[i]) {
            int r = fake_run(f);
            _exit(r == -EBUSY ? 8 : r ? 1 : 0);
        }
    }
    int done = 0, busy = 0;
    for (int i = 0; i < N; i++) {
        int status = 0;
        waitpid(pids[i], &status, 0);
        done += WIFEXITED(status) && WEXITSTATUS(status) == 0;
        busy += WIFEXITED(status) && WEXITSTATUS(status) == 8;
    }
    CHECK_INT(done + busy, N);
    CHECK(done >= 1);
    CHECK_INT(fake_count(f, "sent"), n_reports);
    CHECK_INT(s.counts->requests, n_reports); /* none twice */
    fake_free(f);
    ingest_stop(&s);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {TEST(survive_refused), TEST(survive_500),
        TEST(survive_503), TEST(survive_429), TEST(survive_hang), TEST(survive_reset),
        TEST(survive_kills), TEST(a_stopped_uploader_puts_back_what_it_had),
        TEST(fifty_uploaders_at_once)};
    if (argc > 1)
        n_reports = (unsigned)atoi(argv[1]);
    return test_run(tests, sizeof tests / sizeof *tests, 1, argv);
}
