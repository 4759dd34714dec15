/* A daemon whose disk is full or whose files may not grow runs on, with or without knell,
 * and can read why; what was written is whole. */
#include "telling.h"
#include "test.h"
#include "tmpdir.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The number behind a word of the line that begins with @line. */
static long status(const char *line, const char *word)
{
    const char *p = strstr(said, line);
    p = p ? strstr(p, word) : NULL;
    return p ? strtol(p + strlen(word), NULL, 10) : -1;
}

/* Without leave to write a single byte more the kernel sends SIGXFSZ, which ends a
 * program that does not expect it. */
static void files_that_may_not_grow(void)
{
    struct rlimit before;
    CHECK(!getrlimit(RLIMIT_FSIZE, &before));
    size_t n_armed = 0, n_not = 0;
    for (rlim_t kib = 0; kib <= 2048; kib = kib ? kib * 2 : 4) {
        /* Also a soft limit, which is the daemon's own business. */
        for (int soft = 0; soft < 2; soft++) {
            struct rlimit limit = {
                .rlim_cur = kib * 1024, .rlim_max = soft ? before.rlim_max : kib * 1024};
            char out_env[64];
            new_place();
            (void)snprintf(out_env, sizeof out_env, "SENTRY_TRACES_SAMPLE_RATE=1");
            pid_t pid = fork();
            if (!pid) {
                if (setrlimit(RLIMIT_FSIZE, &limit))
                    _exit(9);
                int how = tell_with("all", "stop", out_env);
                if (!WIFEXITED(how) || WEXITSTATUS(how) != 0)
                    _exit(1);
                if (strstr(said, "reason knell_start: File too large"))
                    _exit(2);
                _exit(status("end:", "armed ") == 1 ? 3 : 4);
            }
            int how;
            CHECK(waitpid(pid, &how, 0) == pid && WIFEXITED(how));
            CHECK(WEXITSTATUS(how) == 2 || WEXITSTATUS(how) == 3);
            n_armed += WEXITSTATUS(how) == 3;
            n_not += WEXITSTATUS(how) == 2;
            CHECK_INT(test_count_files(spool, "live"), 0);
            upload(); /* what there is can be sent, or there is nothing */
            CHECK_INT(test_count_files(spool, "bad"), 0);
        }
    }
    CHECK(n_armed > 0 && n_not > 0);
}

/* A small disk of our own; false, with a reason to skip, where none can be made. */
static bool small_disk(const char *at, const char *size)
{
    char options[64];
    (void)snprintf(options, sizeof options, "size=%s,mode=700", size);
    if (!unshare(CLONE_NEWNS) && !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
        !mount("tmpfs", at, "tmpfs", 0, options))
        return true;
    return false;
}

/* In a child: a mount namespace is for the rest of a process's life. Its status is 9 when
 * there is no disk to be had. */
static void on_small_disk(const char *size, void (*check)(void))
{
    int how;
    new_place();
    (void)snprintf(spool, sizeof spool, "%.200s/disk", test_tmpdir());
    (void)mkdir(spool, 0700);
    pid_t pid = fork();
    if (!pid) {
        if (!small_disk(spool, size))
            _exit(9);
        (void)strcat(spool, "/spool");
        int failures = test_failures();
        check();
        _exit(test_failures() != failures);
    }
    CHECK(waitpid(pid, &how, 0) == pid && WIFEXITED(how));
    if (WIFEXITED(how) && WEXITSTATUS(how) == 9)
        test_skip("no file system can be mounted here");
    else
        CHECK_INT(WEXITSTATUS(how), 0);
}

static void starts_without_knell(void)
{
    int how = tell_with("all", "stop", NULL);
    CHECK(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    CHECK(strstr(said, "reason knell_start: No space left on device") != NULL);
    CHECK_INT(test_count_files(spool, "live"), 0);
}

static void a_disk_that_is_full_at_start(void)
{
    on_small_disk("64k", starts_without_knell);
    on_small_disk("256k", starts_without_knell);
}

static void goes_on(void)
{
    int how = tell_with("full-disk", "stop", "SENTRY_TRACES_SAMPLE_RATE=1");
    CHECK(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    CHECK_INT(status("full:", "armed "), 1);
    CHECK_INT(status("full:", "failed "), 2);
    CHECK_INT(status("full:", "captured "), 0);
    CHECK_INT(status("full:", "lost "), 2); /* a line of log and a transaction */
    CHECK_INT(status("full:", "error "), -ENOSPC);
    CHECK(strstr(said, "reason a report could not be written: No space left") != NULL);
    CHECK_INT(status("room:", "captured "), 2);
    CHECK_INT(status("room:", "error "), 0);
    upload();
    CHECK_INT(envelopes_count(&got, "event"), 2);
    CHECK_INT(envelopes_count(&got, "log"), 1);
    CHECK_INT(envelopes_count(&got, "transaction"), 1);
    CHECK_INT(test_count_files(spool, "live"), 0);
    CHECK_INT(test_count_files(spool, "bad"), 0);
}

static void a_disk_that_fills_up(void)
{
    on_small_disk("16m", goes_on);
}

TEST_MAIN(TEST(files_that_may_not_grow), TEST(a_disk_that_is_full_at_start),
    TEST(a_disk_that_fills_up))
