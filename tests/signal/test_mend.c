/* Files of knell's that lose their pages: the daemon lives on, and dies as ever. */
#include "test.h"
#include "tmpdir.h"

#include <glob.h>
#include <knell/knell.h>
#include <knell/spool.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static char spool[300];

static void say(int n)
{
    const struct knell_user user = {.id = "somebody", .email = "a@example.org"};
    const struct knell_data value = knell_int("n", n);
    char text[32];
    for (int i = 0; i < n; i++) {
        (void)snprintf(text, sizeof text, "%d", i % 50);
        knell_add_breadcrumb_data(KNELL_LEVEL_INFO, "category", text, &value, 1);
        knell_set_tag(text, text);
        knell_set_user(&user);
        knell_set_context(text, &value, 1);
        if (!knell_scope_push()) {
            knell_set_context(text, &value, 1);
            knell_scope_pop();
        }
        knell_log(KNELL_LEVEL_INFO, "line %d", i);
        struct knell_span *t = knell_transaction_start(text, "x", NULL);
        knell_span_finish(knell_span_start(t, "y", text), KNELL_SPAN_OK);
        knell_span_finish(t, KNELL_SPAN_OK);
    }
}

static void start(void)
{
    struct knell_options o = KNELL_OPTIONS_INIT;
    o.app = "test_mend";
    o.spool_dir = spool;
    o.start_uploader = KNELL_OFF;
    o.traces_sample_rate = 1;
    o.logs = o.sessions = KNELL_ON;
    CHECK_INT(knell_start(&o), 0);
}

static void new_place(void)
{
    (void)snprintf(spool, sizeof spool, "%s/spool", test_tmpdir());
}

/* The only file of a kind. @n_left  bytes to cut it to; -1: it stays as it is */
static void the_only(const char *folder, const char *suffix, off_t n_left)
{
    char pattern[320];
    glob_t found = {0};
    (void)snprintf(pattern, sizeof pattern, "%s/%s/*%s", spool, folder, suffix);
    CHECK(!glob(pattern, 0, NULL, &found) && found.gl_pathc == 1);
    if (n_left >= 0 && found.gl_pathc)
        CHECK(!truncate(found.gl_pathv[0], n_left));
    globfree(&found);
}

static const struct {
    const char *suffix;
    int n_before;
    off_t n_left;
} cases[] = {{KNELL_JOURNAL_SUFFIX, 0, 0}, {KNELL_JOURNAL_SUFFIX, 100, 0},
    {KNELL_JOURNAL_SUFFIX, 1000, 4096}, {KNELL_JOURNAL_SUFFIX, 1000, 65536},
    {KNELL_SEGMENT_SUFFIX, 10, 0}, {KNELL_SEGMENT_SUFFIX, 10, 4096}};
enum { N_CASES = sizeof cases / sizeof *cases };

static void the_daemon_lives_on(void)
{
    for (size_t i = 0; i < N_CASES; i++) {
        int status = -1;
        new_place();
        start();
        say(cases[i].n_before);
        the_only("live", cases[i].suffix, cases[i].n_left);
        say(1000);
        struct knell_error e = KNELL_ERROR_INIT;
        (void)knell_capture_error(&e);
        struct knell_status s = KNELL_STATUS_INIT;
        CHECK_INT(knell_status(&s), 0);
        CHECK_INT(s.journal, strcmp(cases[i].suffix, KNELL_JOURNAL_SUFFIX) != 0);
        pid_t pid = fork();
        if (!pid) {
            (void)alarm(60);
            say(10);
            _exit(0);
        }
        CHECK(waitpid(pid, &status, 0) == pid && !status);
        knell_stop();
        start();
        CHECK_INT(knell_status(&s), 0);
        CHECK(s.armed && s.journal);
        knell_stop();
    }
}

static void it_dies_as_ever(void)
{
    for (size_t i = 0; i < N_CASES; i++) {
        int status = -1;
        new_place();
        pid_t pid = fork();
        if (!pid) {
            start();
            say(cases[i].n_before);
            the_only("live", cases[i].suffix, cases[i].n_left);
            (void)raise(SIGSEGV);
            _exit(0);
        }
        CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
              WTERMSIG(status) == SIGSEGV);
        the_only("new", KNELL_SPOOL_SUFFIX, -1);
    }
}

TEST_MAIN(TEST(the_daemon_lives_on), TEST(it_dies_as_ever))
