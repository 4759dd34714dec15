/* Every public function with what its documentation does not ask for: NULL, nothing,
 * too much, bytes that are no text, the wrong order, before the start and after the stop.
 * The process lives on, and each call says so when it was given nothing to do. */
#include "test.h"
#include "tmpdir.h"

#include <errno.h>
#include <knell/knell.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static char huge[1 << 20];

static void nothing_at_all(void)
{
    struct knell_outgoing out;
    const struct knell_trace_headers none = {0};
    struct knell_user nobody = {.n_extra = 3};
    struct knell_error e = KNELL_ERROR_INIT;
    struct knell_data data = knell_text(NULL, NULL);
    knell_set_tag(NULL, NULL);
    knell_set_tag(NULL, "x");
    knell_set_tag("", "x");
    knell_set_tag("key", NULL);
    knell_set_user(NULL);
    knell_set_user(&nobody);
    knell_set_context(NULL, NULL, 5);
    knell_set_context("group", NULL, 5);
    knell_set_context("", &data, 1);
    knell_set_extra(data);
    knell_set_fingerprint(NULL, 7);
    knell_set_fingerprint((const char *const[]){NULL, NULL}, 2);
    knell_set_transaction(NULL);
    knell_attach_bytes(NULL, "x", 1);
    knell_attach_bytes("name", NULL, 100);
    knell_attach_file(NULL, NULL);
    knell_attach_file("name", "");
    knell_scope_bind(NULL);
    knell_scope_free(NULL);
    knell_scope_set_tag(NULL, "a", "b");
    knell_scope_set_user(NULL, &nobody);
    knell_scope_set_context(NULL, "a", &data, 1);
    knell_scope_set_extra(NULL, data);
    knell_add_breadcrumb((enum knell_level)0, NULL, NULL);
    knell_add_breadcrumb_data(KNELL_LEVEL_INFO, NULL, NULL, NULL, 4);
    knell_log(KNELL_LEVEL_INFO, "%s", "");
    knell_log_data(KNELL_LEVEL_INFO, NULL, NULL, 4);
    knell_log_data(KNELL_LEVEL_INFO, "x", NULL, 4);
    knell_span_set_data(NULL, data);
    knell_span_set_tag(NULL, "a", "b");
    knell_span_finish(NULL, KNELL_SPAN_OK);
    knell_transaction_discard(NULL);
    knell_trace_outgoing(NULL, NULL);
    knell_trace_outgoing(NULL, &out);
    CHECK_STR(out.baggage, "");
    struct knell_span *t = knell_transaction_start(NULL, NULL, &none);
    knell_span_set_data(t, data);
    knell_span_set_tag(t, NULL, NULL);
    knell_span_finish(knell_span_start(t, NULL, NULL), KNELL_SPAN_OK);
    knell_span_finish(t, (enum knell_span_status)77);
    knell_beat(NULL);
    knell_beat_pause(NULL);
    knell_unwatch(NULL);
    CHECK_STR(knell_capture_error(NULL).text, "");
    CHECK_STR(knell_capture_message(KNELL_LEVEL_INFO, NULL).text, "");
    e.size = 1;
    CHECK_STR(knell_capture_error(&e).text, "");
    CHECK_INT(knell_status(NULL), -EINVAL);
    CHECK_INT(knell_status(&(struct knell_status){.size = 0}), -EINVAL);
}

static void too_much_of_everything(void)
{
    static const char odd[] = "caf\xe9 \xff\xfe \xed\xa0\x80 \xf8\x88 \x01\x1b[31m\t";
    struct knell_data values[200];
    const char *parts[200];
    for (size_t i = 0; i < 200; i++) {
        values[i] =
            i % 2 ? knell_text(huge, huge) : knell_double(odd, i % 4 ? NAN : HUGE_VAL);
        parts[i] = i % 2 ? huge : odd;
    }
    values[3].type = (enum knell_data_type)99;
    values[3].value.text = odd; /* taken as a text */
    const struct knell_user user = {huge, odd, huge, odd, values, 200};
    struct knell_scope *scope = knell_scope_new();
    for (int round = 0; round < 3; round++) {
        knell_set_tag(huge, huge);
        knell_set_tag(odd, odd);
        knell_set_user(&user);
        knell_set_context(huge, values, 200);
        knell_set_context(odd, values, 200);
        knell_set_extra(values[1]);
        knell_set_extra(values[3]);
        knell_set_fingerprint(parts, 200);
        knell_set_level((enum knell_level) - 5);
        knell_set_transaction(huge);
        knell_attach_bytes(huge, huge, sizeof huge);
        knell_attach_file(huge, huge);
        knell_attach_file(odd, "/nowhere");
        knell_add_breadcrumb_data((enum knell_level)300, huge, huge, values, 200);
        knell_add_breadcrumb(KNELL_LEVEL_INFO, odd, odd);
        knell_log((enum knell_level)300, "%s", huge);
        knell_log_data(KNELL_LEVEL_FATAL, odd, values, 200);
        knell_scope_bind(round % 2 ? NULL : scope);
    }
    knell_scope_set_user(scope, &user);
    knell_scope_set_context(scope, odd, values, 200);
    const struct knell_trace_headers in = {huge, huge, odd};
    struct knell_span *t = knell_transaction_start(huge, odd, &in), *s[1100];
    knell_span_set_data(t, values[1]);
    for (size_t i = 0; i < 1100; i++)
        s[i] = knell_span_start(NULL, huge, odd);
    struct knell_outgoing out;
    knell_trace_outgoing(NULL, &out);
    CHECK(strlen(out.baggage) < sizeof out.baggage);
    for (size_t i = 0; i < 1100; i++)
        knell_span_finish(s[i], KNELL_SPAN_OK); /* outermost first */
    knell_span_finish(t, KNELL_SPAN_OK);
    struct knell_error e = KNELL_ERROR_INIT;
    e.type = e.domain = odd;
    e.message = e.operation = huge;
    e.details = values;
    e.n_details = 200;
    e.code = INT64_MIN;
    e.level = (enum knell_level)1000;
    (void)knell_capture_error(&e);
    (void)knell_capture_message((enum knell_level) - 1, odd);
    struct knell_heart *h[40];
    for (size_t i = 0; i < 40; i++)
        h[i] = knell_watch(i ? huge : NULL, i ? UINT32_MAX : 3600000);
    for (size_t i = 0; i < 40; i++) {
        knell_unwatch(h[i]);
        knell_beat(h[i]);
        knell_unwatch(h[i]);
    }
    knell_scope_bind(scope);
    knell_scope_bind(scope); /* again */
    for (int i = 0; i < 40; i++)
        (void)knell_scope_push();
    knell_set_tag("deep", "down");
    for (int i = 0; i < 50; i++)
        knell_scope_pop();
    knell_scope_free(scope);
}

static void everything(void)
{
    errno = 4242;
    nothing_at_all();
    too_much_of_everything();
    CHECK_INT(errno, 4242);
}

static int start(const char *spool)
{
    struct knell_options o = KNELL_OPTIONS_INIT;
    o.app = "test_misuse";
    o.spool_dir = spool;
    o.dsn = "";
    o.start_uploader = KNELL_OFF;
    o.traces_sample_rate = 1;
    o.logs = KNELL_ON;
    return knell_start(&o);
}

static void before_during_and_after(void)
{
    char spool[300];
    struct knell_status s = KNELL_STATUS_INIT;
    (void)snprintf(spool, sizeof spool, "%s/spool", test_tmpdir());
    everything();
    CHECK_INT(knell_rearm(), -ENODEV);
    CHECK_INT(knell_status(&s), 0);
    CHECK(!s.armed && s.scope_lost == 0 && s.cut == 0);
    CHECK_INT(start(spool), 0);
    everything();
    CHECK_INT(knell_status(&s), 0);
    CHECK(s.armed && s.cut > 0 && s.scope_lost > 0 && s.spans_lost > 0);
    knell_stop();
    everything();
    CHECK_INT(start(spool), 0);
    everything();
    knell_stop();
    knell_stop();
}

/* A child of a daemon that is silent in its children. */
static void in_a_fork_child(void)
{
    char spool[300];
    int status = -1;
    (void)snprintf(spool, sizeof spool, "%s/spool", test_tmpdir());
    CHECK_INT(start(spool), 0);
    knell_add_breadcrumb(KNELL_LEVEL_INFO, "parent", "forks");
    pid_t pid = fork();
    if (!pid) {
        everything();
        knell_stop();
        everything();
        exit(test_failures() != 0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status));
    CHECK_INT(test_count_files(spool, "new"), 0); /* nothing of the child's */
    CHECK_INT(test_count_files(spool, "live"), 2);
    knell_stop();
}

static bool over;

/* All that takes a lock of knell's, and what writes without one. */
static void take_locks(void)
{
    struct knell_status s = KNELL_STATUS_INIT;
    const struct knell_user user = {.id = "somebody"};
    struct knell_heart *h = knell_watch("loop", 3600000);
    knell_unwatch(h);
    knell_set_user(&user);
    knell_log(KNELL_LEVEL_INFO, "a line");
    (void)knell_rearm();
    (void)knell_status(&s);
}

static void *take_locks_all_the_time(void *unused)
{
    while (!__atomic_load_n(&over, __ATOMIC_RELAXED))
        take_locks();
    return unused;
}

/* Which a thread that is not in the child may hold there. */
static void a_fork_child_waits_for_nobody(void)
{
#ifdef __SANITIZE_ADDRESS__
    test_skip("its allocator's lock is not let go of in a fork child");
    return;
#endif
    char spool[300];
    pthread_t t;
    (void)snprintf(spool, sizeof spool, "%s/spool", test_tmpdir());
    CHECK_INT(start(spool), 0);
    CHECK(!pthread_create(&t, NULL, take_locks_all_the_time, NULL));
    for (int i = 0; i < 300; i++) {
        int status = -1;
        pid_t pid = fork();
        if (!pid) {
            (void)alarm(30); /* rather than for ever */
            take_locks();
            knell_stop();
            _exit(0);
        }
        if (!CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status)))
            break;
    }
    __atomic_store_n(&over, true, __ATOMIC_RELAXED);
    CHECK(!pthread_join(t, NULL));
    knell_stop();
}

static sig_atomic_t n_handled;

static void leave_breadcrumb(int signo)
{
    (void)signo;
    knell_add_breadcrumb(KNELL_LEVEL_INFO, "handler", "from a signal handler");
    n_handled++;
}

/* It interrupts the same function at any instruction. */
static void breadcrumbs_from_a_signal_handler(void)
{
    enum { N_HANDLED = 500 };
    char spool[300];
    struct sigaction sa = {.sa_handler = leave_breadcrumb}, before;
    const struct itimerval often = {{0, 50}, {0, 50}}, never = {{0, 0}, {0, 0}};
    struct knell_status s = KNELL_STATUS_INIT;
    uint64_t n = 0;
    (void)snprintf(spool, sizeof spool, "%s/spool", test_tmpdir());
    CHECK_INT(start(spool), 0);
    knell_add_breadcrumb(KNELL_LEVEL_INFO, "thread", "first");
    CHECK(!sigaction(SIGALRM, &sa, &before) && !setitimer(ITIMER_REAL, &often, NULL));
    for (; n_handled < N_HANDLED; n++)
        knell_add_breadcrumb(KNELL_LEVEL_INFO, "thread", "from the thread");
    CHECK(!setitimer(ITIMER_REAL, &never, NULL));
    CHECK(!sigaction(SIGALRM, &before, NULL) && !knell_status(&s));
    CHECK_INT(s.breadcrumbs, n + (uint64_t)n_handled + 1);
    CHECK_INT(s.breadcrumbs_lost, 0);
    knell_stop();
}

/* Also while knell starts and stops, where locks are held for long. */
static void breadcrumbs_from_a_signal_handler_of_one_who_starts(void)
{
    char spool[300];
    struct sigaction sa = {.sa_handler = leave_breadcrumb}, before;
    const struct itimerval often = {{0, 50}, {0, 50}}, never = {{0, 0}, {0, 0}};
    (void)snprintf(spool, sizeof spool, "%s/spool", test_tmpdir());
    (void)setenv("KNELL_SESSIONS", "1", 1);
    n_handled = 0;
    CHECK(!sigaction(SIGALRM, &sa, &before) && !setitimer(ITIMER_REAL, &often, NULL));
    for (int i = 0; i < 20; i++) {
        CHECK_INT(start(spool), 0);
        knell_stop();
    }
    CHECK(!setitimer(ITIMER_REAL, &never, NULL));
    CHECK(!sigaction(SIGALRM, &before, NULL) && n_handled > 0);
    (void)unsetenv("KNELL_SESSIONS");
}

static void a_start_that_fails(void)
{
    CHECK(start("/proc/no/such") < 0);
    everything();
    CHECK(start(huge) < 0);
    everything();
}

/* The daemon need not have been told to ignore SIGPIPE. */
static void nobody_reads_what_debug_says(void)
{
    int fds[2], status = -1;
    char spool[300];
    (void)snprintf(spool, sizeof spool, "%s/spool", test_tmpdir());
    pid_t pid = fork();
    if (!pid) {
        sigset_t pending;
        (void)signal(SIGPIPE, SIG_DFL);
        if (pipe(fds) || dup2(fds[1], STDERR_FILENO) < 0 || close(fds[0]))
            _exit(1);
        (void)setenv("KNELL_DEBUG", "1", 1);
        int r = start(spool);
        knell_stop();
        _exit(r || sigpending(&pending) || sigismember(&pending, SIGPIPE));
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status));
}

static void with_huge(void)
{
    memset(huge, 'x', sizeof huge - 1);
}

TEST_MAIN(TEST(with_huge), TEST(before_during_and_after),
    TEST(nobody_reads_what_debug_says), TEST(in_a_fork_child),
    TEST(a_fork_child_waits_for_nobody), TEST(breadcrumbs_from_a_signal_handler),
    TEST(breadcrumbs_from_a_signal_handler_of_one_who_starts), TEST(a_start_that_fails))
