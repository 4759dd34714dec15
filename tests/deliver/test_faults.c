/* The file system fails in each way at each place, the clock jumps: every report is still
 * there afterwards, and arrives once the trouble is over. */
#include "fake.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DSN "http://key@127.0.0.1:%d/7"
enum { N_REPORTS = 6 };

/* Runs PASS with FAULTS preloaded; returns its wait status. */
static int run_pass(const struct fake *f, const char *dsn, const char *call, int err,
    int first, int count)
{
    char text[32];
    pid_t pid = fork();
    if (!pid) {
        setenv("LD_PRELOAD", FAULTS_LIBRARY, 1);
        setenv("TMPDIR", f->path, 1); /* what it cannot remove, we do */
        setenv("FAULT_CALL", call, 1);
        setenv("FAULT_AFTER", f->path, 1);
        snprintf(text, sizeof text, "%d", err);
        setenv("FAULT_ERRNO", text, 1);
        snprintf(text, sizeof text, "%d", first);
        setenv("FAULT_FIRST", text, 1);
        snprintf(text, sizeof text, "%d", count);
        setenv("FAULT_COUNT", text, 1);
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 1);
        dup2(null, 2);
        execl(PASS_PROGRAM, PASS_PROGRAM, f->path, dsn, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    return status;
}

static void check(const char *call, int err, int first, int count, bool to_folder)
{
    struct ingest s = ingest_start(&(struct ingest_options){0});
    struct fake *f = fake_new(NULL);
    char dsn[600];
    if (to_folder)
        snprintf(dsn, sizeof dsn, "file://%s/out", f->path);
    else
        snprintf(dsn, sizeof dsn, "http://key@127.0.0.1:%d/7", s.port);
    fake_reports(f, N_REPORTS - 1, "MDMP");
    fake_report(f, "new", N_REPORTS, "REFUSE", NULL);
    int status = run_pass(f, dsn, call, err, first, count);
    bool ok = CHECK(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
    int there = fake_count(f, "new") + fake_count(f, "work") + fake_count(f, "wait") +
                fake_count(f, "sent");
    /* A quarantined one may lack its reason on a full disk. */
    ok &= CHECK(there + fake_count(f, "bad") >= N_REPORTS);
    fake_destination(f, dsn, 0);
    fake_forgive(f);
    ok &= CHECK_INT(fake_run(f), 0);
    ok &= CHECK_INT(fake_count(f, "sent"), N_REPORTS - 1);
    ok &= CHECK(fake_count(f, "bad") >= 1);
    if (!to_folder)
        ok &= CHECK(s.counts->requests >= N_REPORTS - 1);
    if (!ok)
        printf("%s, errno %d, calls %d to %d\n", call, err, first, first + count - 1);
    fake_free(f);
    ingest_stop(&s);
}

static void each_place(const char *call, int err)
{
    for (int first = 1; first <= 25; first += 4)
        check(call, err, first, 3, first % 8 == 1);
    check(call, err, 1, 1000000, false);
}

static void disk_full(void)
{
    each_place("write", ENOSPC);
    each_place("open", ENOSPC);
    check("mkdir", ENOSPC, 1, 100, true);
    check("write", EDQUOT, 1, 1000, true);
}

/* Sending needs no room, and makes some: the first upload of this machine. */
static void a_full_disk_holds_nothing_back(void)
{
    struct ingest s = ingest_start(&(struct ingest_options){0});
    struct fake *f = fake_new(NULL);
    char dsn[64];
    snprintf(dsn, sizeof dsn, DSN, s.port);
    fake_reports(f, N_REPORTS, "MDMP");
    test_write_file(f->path, "new/stranger", "x", 1); /* there is no room for a reason */
    test_write_file(f->path, "work/stranger", "x", 1);
    CHECK_INT(run_pass(f, dsn, "full", ENOSPC, 1, 1000000), 0);
    CHECK_INT(s.counts->requests, N_REPORTS);
    CHECK_INT(fake_count(f, "sent"), N_REPORTS);
    fake_free(f);
    ingest_stop(&s);
}

static void short_writes_and_interrupts(void)
{
    check("write", 0, 1, 1000000, true);
    check("write", EINTR, 1, 5, true);
    check("read", 0, 1, 1000000, true);
    check("read", EINTR, 1, 5, false);
}

static void input_output_errors(void)
{
    each_place("fsync", EIO);
    each_place("rename", EIO);
    each_place("read", EIO);
}

static void no_descriptors(void)
{
    each_place("open", EMFILE);
    check("open", ENFILE, 3, 20, true);
}

static void read_only(void)
{
    each_place("rename", EROFS);
    check("unlink", EROFS, 1, 100, false);
    check("open", EROFS, 8, 100, true);
}

static void clock_jumps(void)
{
    enum { TEN_YEARS = 10 * 365 * 86400 };
    check("clock", TEN_YEARS, 1, 1, false);
    check("clock", -TEN_YEARS, 1, 1, false);
    check("clock", -1700000000, 1, 1, true); /* about 1970 */
}

static void a_folder_vanishes(void)
{
    struct ingest s = ingest_start(&(struct ingest_options){0});
    struct fake *f = fake_new(NULL);
    fake_destination(f, DSN, s.port);
    fake_reports(f, 3, "MDMP");
    CHECK_INT(fake_run(f), 0);
    char path[512];
    snprintf(path, sizeof path, "%s/bad", f->path);
    CHECK_INT(rmdir(path), 0);
    fake_report(f, "new", 9, "REFUSE", NULL);
    CHECK_INT(fake_run(f), 0); /* made again */
    CHECK_INT(fake_count(f, "bad"), 2);
    CHECK_INT(fake_count(f, "sent"), 3);
    fake_free(f);
    ingest_stop(&s);
}

TEST_MAIN(TEST(disk_full), TEST(a_full_disk_holds_nothing_back),
    TEST(short_writes_and_interrupts), TEST(input_output_errors), TEST(no_descriptors),
    TEST(read_only), TEST(clock_jumps), TEST(a_folder_vanishes))
