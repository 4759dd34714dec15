/* Which span is open where: threads, nested ones, and scopes that are bound in turn. */
#include "test.h"
#include "tmpdir.h"

#include "crash/areas.h"

#include <knell/knell.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct knell_status status(void)
{
    struct knell_status s = KNELL_STATUS_INIT;
    (void)knell_status(&s);
    return s;
}

static enum knell_on_fork on_fork;
static double traces_rate = 1;

static void start(uint32_t max_thread_scopes)
{
    static char spool[300];
    struct knell_options o = KNELL_OPTIONS_INIT;
    o.on_fork = on_fork;
    (void)snprintf(spool, sizeof spool, "%s/spool", test_tmpdir());
    o.app = "test_spans";
    o.spool_dir = spool;
    o.dsn = "";
    o.start_uploader = KNELL_OFF;
    o.traces_sample_rate = traces_rate;
    o.max_thread_scopes = max_thread_scopes;
    CHECK_INT(knell_start(&o), 0);
}

/* The ids that an outgoing request of this thread would carry. */
static const char *open_here(void)
{
    static struct knell_outgoing out;
    knell_trace_outgoing(NULL, &out);
    return out.sentry_trace;
}

static void ids_of(const struct knell_span *s, char text[static 56])
{
    struct knell_outgoing out;
    knell_trace_outgoing(s, &out);
    memcpy(text, out.sentry_trace, sizeof out.sentry_trace);
}

static void the_innermost_of_a_scope_comes_back_with_it(void)
{
    char first[56], second[56];
    start(0);
    struct knell_scope *a = knell_scope_new(), *b = knell_scope_new();
    knell_scope_bind(a);
    struct knell_span *ta = knell_transaction_start("a", "x", NULL);
    struct knell_span *sa = knell_span_start(NULL, "db", "query");
    ids_of(sa, first);
    knell_scope_bind(b);
    CHECK_STR(open_here(), "");
    struct knell_span *tb = knell_transaction_start("b", "x", NULL);
    ids_of(tb, second);
    knell_scope_bind(a);
    CHECK_STR(open_here(), first);
    knell_span_finish(tb, KNELL_SPAN_OK); /* of a scope that is not bound */
    knell_span_finish(sa, KNELL_SPAN_OK);
    ids_of(ta, first);
    CHECK_STR(open_here(), first);
    knell_scope_bind(b);
    CHECK_STR(open_here(), "");
    knell_scope_bind(NULL);
    CHECK_STR(open_here(), "");
    knell_scope_free(a); /* with its transaction open */
    knell_scope_free(b);
    knell_span_finish(ta, KNELL_SPAN_OK);
    CHECK_INT(status().transactions, 2);
    knell_stop();
}

/* What was open before the scope was bound ends while it is. */
static void one_from_outside_may_end_inside(void)
{
    start(0);
    struct knell_scope *scope = knell_scope_new();
    struct knell_span *outer = knell_transaction_start("outer", "x", NULL);
    knell_scope_bind(scope);
    knell_span_finish(outer, KNELL_SPAN_OK);
    knell_scope_bind(NULL);
    CHECK_STR(open_here(), "");
    outer = knell_transaction_start("outer", "x", NULL);
    char ids[56];
    ids_of(outer, ids);
    knell_scope_bind(scope);
    CHECK_STR(open_here(), "");
    knell_scope_free(scope);
    CHECK_STR(open_here(), ids);
    knell_span_finish(outer, KNELL_SPAN_OK);
    knell_stop();
}

static void *finish(void *span)
{
    knell_span_finish(span, KNELL_SPAN_OK);
    return NULL;
}

static void *begin(void *ret)
{
    *(struct knell_span **)ret = knell_transaction_start("handed over", "x", NULL);
    return NULL;
}

static void another_thread_may_end_it(void)
{
    pthread_t t;
    struct knell_span *s = NULL;
    start(0);
    CHECK(!pthread_create(&t, NULL, begin, &s) && !pthread_join(t, NULL));
    CHECK(s != NULL);
    CHECK_STR(open_here(), "");
    CHECK(!pthread_create(&t, NULL, finish, s) && !pthread_join(t, NULL));
    s = knell_transaction_start("here", "x", NULL);
    CHECK(!pthread_create(&t, NULL, finish, s) && !pthread_join(t, NULL));
    CHECK_STR(open_here(), "");
    CHECK_INT(status().transactions, 2);
    knell_stop();
}

static void stopping_and_starting_again(void)
{
    start(0);
    struct knell_scope *scope = knell_scope_new();
    knell_scope_bind(scope);
    struct knell_span *s = knell_transaction_start("of the first run", "x", NULL);
    knell_stop();
    CHECK(!knell_transaction_start("while stopped", "x", NULL));
    CHECK_STR(open_here(), "");
    start(0);
    CHECK_STR(open_here(), "");
    knell_scope_free(scope);
    knell_span_finish(s, KNELL_SPAN_OK);
    knell_stop();
}

static void *with_a_scope(void *unused)
{
    (void)unused;
    struct knell_scope *scope = knell_scope_new();
    knell_scope_bind(scope);
    knell_set_tag("kept", "yes"); /* in the scope itself, if nowhere else */
    (void)knell_scope_push();
    knell_set_tag("lost", "yes");
    knell_scope_pop();
    knell_scope_pop(); /* one too many */
    knell_set_tag("kept", "still");
    knell_scope_bind(NULL);
    knell_scope_pop();
    return scope;
}

/* More threads than the journal has room for: what is set in a bound scope stays in it
 * for a thread that has room. */
static void scopes_of_threads_without_room(void)
{
    pthread_t t;
    void *scope = NULL;
    start(1);
    CHECK_INT(knell_scope_push(), 0); /* takes the only block */
    CHECK(!pthread_create(&t, NULL, with_a_scope, NULL) && !pthread_join(t, &scope));
    uint64_t lost = status().scope_lost;
    CHECK(lost > 0);
    knell_scope_bind(scope);
    knell_set_tag("now", "fits");
    CHECK_INT(status().scope_lost, lost);
    knell_scope_free(scope);
    knell_scope_pop();
    knell_stop();
}

static bool over;

static void *add_data(void *span)
{
    while (!__atomic_load_n(&over, __ATOMIC_RELAXED))
        knell_span_set_data(span, knell_int("n", 1));
    return NULL;
}

/* A transaction is sent by the process that began it, once; and another thread may be at
 * work on it while one forks. */
static void a_fork_child_leaves_it_to_the_parent(void)
{
    pthread_t t;
    on_fork = KNELL_FORK_COVER;
    start(0);
    struct knell_span *s = knell_transaction_start("of the parent", "x", NULL);
    CHECK(!pthread_create(&t, NULL, add_data, s));
    for (int i = 0; i < 30; i++) {
        int end = -1;
        pid_t pid = fork();
        if (!pid) {
            (void)alarm(60); /* rather than for ever */
            knell_span_finish(knell_span_start(s, "y", "z"), KNELL_SPAN_OK);
            knell_span_finish(s, KNELL_SPAN_OK);
            s = knell_transaction_start("of the child", "x", NULL);
            knell_span_finish(s, KNELL_SPAN_OK);
            _exit(status().transactions != 1);
        }
        CHECK(waitpid(pid, &end, 0) == pid && WIFEXITED(end) && !WEXITSTATUS(end));
    }
    __atomic_store_n(&over, true, __ATOMIC_RELAXED);
    CHECK(!pthread_join(t, NULL));
    knell_span_finish(s, KNELL_SPAN_OK);
    CHECK_INT(status().transactions, 1);
    knell_stop();
    on_fork = KNELL_FORK_SILENT;
}

/* Where nobody sends, transactions must neither fill the disk nor keep errors out. */
static void a_spool_that_nobody_empties(void)
{
    enum { N = 3000, N_ERRORS = 40 };
    char folder[400], name[128], type[16];
    start(0);
    (void)snprintf(folder, sizeof folder, "%s/new", status().spool);
    for (unsigned i = 0; i < N; i++) {
        (void)snprintf(
            name, sizeof name, "%010u000-%012x-%032x-s00.a00.n0000000000.seg", i, 0, i);
        test_write_file(folder, name, "x", 1);
    }
    for (int i = 0; i < N_ERRORS; i++) {
        struct knell_error e = KNELL_ERROR_INIT;
        (void)snprintf(type, sizeof type, "Type%d", i);
        e.type = type;
        knell_span_finish(knell_transaction_start("t", "x", NULL), KNELL_SPAN_OK);
        CHECK(*knell_capture_error(&e).text);
    }
    CHECK_INT(status().captured, N_ERRORS);
    CHECK(status().n_waiting <= 2000 + N_ERRORS + 16);
    CHECK(status().spans_lost > 0);
    knell_stop();
}

/* A service between two others leaves it to them unless it was told a rate. */
static void who_decides_what_others_sample(void)
{
#define IDS "0123456789abcdef0123456789abcdef-0123456789abcdef"
    static const struct {
        double rate;
        const char *variable, *incoming, *flag, *sampled;
        int n_sent;
    } cases[] = {{0, NULL, IDS "-1", "-1", NULL, 0}, {0, NULL, IDS "-0", "-0", NULL, 0},
        {0, NULL, IDS, "", NULL, 0}, {0, NULL, NULL, "", NULL, 0},
        {0, "nonsense", IDS "-1", "-1", NULL, 0}, {0, "0", IDS "-1", "-0", "false", 0},
        {KNELL_RATE_NONE, "1", IDS "-1", "-0", "false", 0},
        {1, NULL, IDS "-0", "-0", "false", 0}, {1, NULL, IDS, "-1", "true", 1},
        {1, NULL, NULL, "-1", "true", 1}, {0, "1", NULL, "-1", "true", 1}};
#undef IDS
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct knell_trace_headers in = {.sentry_trace = cases[i].incoming};
        struct knell_outgoing out;
        traces_rate = cases[i].rate;
        (void)(cases[i].variable
                   ? setenv("SENTRY_TRACES_SAMPLE_RATE", cases[i].variable, 1)
                   : unsetenv("SENTRY_TRACES_SAMPLE_RATE"));
        start(0);
        struct knell_span *t = knell_transaction_start("between", "x", &in);
        struct knell_span *s = knell_span_start(t, "http.client", "y");
        knell_trace_outgoing(s, &out);
        CHECK_STR(out.sentry_trace + 32 + 1 + 16, cases[i].flag);
        CHECK_STR(out.traceparent + 3 + 32 + 1 + 16,
            strcmp(cases[i].flag, "-1") ? "-00" : "-01");
        const char *sampled = strstr(out.baggage, "sentry-sampled=");
        if (CHECK(!sampled == !cases[i].sampled) && sampled)
            CHECK(!strncmp(sampled + 15, cases[i].sampled, strlen(cases[i].sampled)));
        knell_span_finish(s, KNELL_SPAN_OK);
        knell_span_finish(t, KNELL_SPAN_OK);
        CHECK_INT(status().transactions, cases[i].n_sent);
        CHECK_INT(status().transactions_sampled_out, !cases[i].n_sent);
        knell_stop();
    }
    (void)unsetenv("SENTRY_TRACES_SAMPLE_RATE");
    traces_rate = 1;
}

/* Of the largest transactions the last spans are missing, not the whole. */
static void a_large_transaction_is_sent_without_its_last_spans(void)
{
    static const struct {
        int n, n_name, n_data, n_lost; /* each record has 74 bytes more, and a length */
    } cases[] = {{1000, 100, 0, 0}, {1000, 176, 0, 1000 - 204800 / 254},
        {400, 200, 421, 400 - 204800 / 704}, {1200, 1, 0, 200}};
    char name[201], data[422];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        start(0);
        memset(name, 'n', sizeof name);
        memset(data, 'd', sizeof data);
        name[cases[i].n_name] = data[cases[i].n_data] = '\0';
        struct knell_span *t = knell_transaction_start("large", "x", NULL);
        for (int k = 0; k < cases[i].n; k++) {
            struct knell_span *s = knell_span_start(t, "db", name);
            if (*data)
                knell_span_set_data(s, knell_text("k", data));
            knell_span_finish(s, KNELL_SPAN_OK);
        }
        knell_span_finish(t, KNELL_SPAN_OK);
        CHECK_INT(status().transactions, 1);
        CHECK_INT(status().spans_lost, cases[i].n_lost);
        knell_stop();
    }
}

/* Its members are told to lie on lines of a cache, and the compiler believes it. */
static void what_all_threads_share_is_aligned(void)
{
    void *between[8];
    for (int i = 0; i < 8; i++) {
        start(0);
        CHECK_INT((uintptr_t)kn_areas_current() % alignof(struct kn_areas), 0);
        knell_stop();
        between[i] = malloc(40); /* so that the next one lies elsewhere */
    }
    for (int i = 0; i < 8; i++)
        free(between[i]);
}

TEST_MAIN(TEST(a_fork_child_leaves_it_to_the_parent),
    TEST(who_decides_what_others_sample),
    TEST(a_large_transaction_is_sent_without_its_last_spans),
    TEST(what_all_threads_share_is_aligned), TEST(a_spool_that_nobody_empties),
    TEST(the_innermost_of_a_scope_comes_back_with_it),
    TEST(one_from_outside_may_end_inside), TEST(another_thread_may_end_it),
    TEST(stopping_and_starting_again), TEST(scopes_of_threads_without_room))
