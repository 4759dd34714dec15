/* Threads that end by pthread_cancel(3), or with everything still open: nothing of
 * knell's stays locked, and nothing of theirs gets in the way of another thread. */
#include "crash/self.h"
#include "test.h"
#include "tmpdir.h"
#include "uploader/report/journal.h"

#include <fcntl.h>
#include <glob.h>
#include <knell/knell.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char spool[300];
static struct knell_options options;

static void new_place(void)
{
    (void)snprintf(spool, sizeof spool, "%s/spool", test_tmpdir());
    options = (struct knell_options)KNELL_OPTIONS_INIT;
    options.app = "test_cancel";
    options.spool_dir = spool;
    options.dsn = "";
    options.start_uploader = KNELL_OFF;
    options.traces_sample_rate = 1;
    options.logs = options.sessions = KNELL_ON;
    options.max_thread_scopes = 1;
}

static void begin(void)
{
    CHECK_INT(knell_start(&options), 0);
}

static void capture(void)
{
    struct knell_error e = KNELL_ERROR_INIT;
    CHECK(*knell_capture_error(&e).text);
    e.all_threads = 1;
    CHECK(*knell_capture_error(&e).text);
    CHECK(*knell_capture_message(KNELL_LEVEL_ERROR, "on the way out").text);
}

/* Enough for a segment to be handed over and another one to be made. */
static void trace(void)
{
    for (int i = 0; i < 4000; i++) {
        struct knell_span *t = knell_transaction_start("leaving", "x", NULL);
        knell_span_finish(knell_span_start(t, "y", "z"), KNELL_SPAN_OK);
        knell_span_finish(t, KNELL_SPAN_OK);
        knell_log(KNELL_LEVEL_INFO, "line %d", i);
    }
}

static void scope(void)
{
    struct knell_scope *s = knell_scope_new();
    knell_set_tag("global", "tag");
    knell_attach_file(NULL, "relative");
    knell_scope_bind(s);
    knell_set_tag("of", "the scope");
    (void)knell_scope_push();
    knell_scope_pop();
    knell_scope_free(s);
}

static void ask(void)
{
    struct knell_status s = KNELL_STATUS_INIT;
    CHECK_INT(knell_status(&s), 0);
    CHECK(s.armed && s.n_waiting > 0);
    CHECK(knell_rearm() >= 0);
}

static void watch(void)
{
    struct knell_heart *h = knell_watch("loop", 3600000);
    CHECK(h != NULL);
    knell_beat(h);
    knell_beat_pause(h);
    knell_unwatch(h);
}

static void (*const calls[])(void) = {
    begin, capture, trace, scope, ask, watch, knell_stop, begin, knell_stop};
enum { N_CALLS = sizeof calls / sizeof *calls };
static int n_done;

static void *cancelled(void *unused)
{
    (void)pthread_cancel(pthread_self()); /* from the next point on where one ends */
    for (int i = 0; i < N_CALLS; i++) {
        calls[i]();
        n_done++;
    }
    pthread_testcancel();
    return unused;
}

/* What a thread is first seen with is made then. */
static void *cancelled_before_its_first_call(void *unused)
{
    (void)pthread_cancel(pthread_self());
    trace();
    n_done++;
    pthread_testcancel();
    return unused;
}

/* Should one of the calls be such a point, the rest of them is not done. */
static void none_of_the_calls_ends_a_cancelled_thread(void)
{
    for (int debug = 0; debug < 2; debug++) {
        pthread_t t;
        void *result = NULL;
        int err = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        new_place();
        options.debug = debug ? KNELL_ON : KNELL_OFF;
        n_done = 0;
        (void)dup2(null, STDERR_FILENO);
        CHECK(!pthread_create(&t, NULL, cancelled, NULL) && !pthread_join(t, &result));
        (void)dup2(err, STDERR_FILENO);
        (void)close(err);
        (void)close(null);
        if (!CHECK_INT(n_done, N_CALLS))
            _exit(1); /* locks may be held: whatever comes now might wait for ever */
        CHECK(result == PTHREAD_CANCELED);
    }
    pthread_t t;
    options.debug = KNELL_OFF;
    begin();
    CHECK(!pthread_create(&t, NULL, cancelled_before_its_first_call, NULL));
    CHECK(!pthread_join(t, NULL));
    if (!CHECK_INT(n_done, N_CALLS + 1))
        _exit(1);
    knell_stop();
}

/* The value of a tag as a report of this thread would show it, "" for none. */
static void tag_of_here(const char *key, char value[static 64])
{
    char pattern[320];
    glob_t found = {0};
    struct stat st;
    struct arena *arena = arena_new(8 << 20);
    const struct journal *j = NULL;
    value[0] = '\0';
    (void)snprintf(pattern, sizeof pattern, "%s/live/*.jnl", spool);
    CHECK(!glob(pattern, 0, NULL, &found));
    int fd = open(found.gl_pathc ? found.gl_pathv[0] : "", O_RDONLY | O_CLOEXEC);
    CHECK(!fstat(fd, &st));
    uint8_t *image = malloc((size_t)st.st_size);
    CHECK_INT(read(fd, image, (size_t)st.st_size), st.st_size);
    CHECK_INT(journal_read(arena, image, (size_t)st.st_size, (uint32_t)gettid(), &j), 0);
    for (uint32_t i = 0; j && i < j->n_facts; i++) {
        if (!strcmp(j->facts[i].key, key))
            (void)snprintf(value, 64, "%s", j->facts[i].value.text);
    }
    (void)close(fd);
    free(image);
    globfree(&found);
    arena_free(arena);
}

static pthread_barrier_t barrier;

/* A destructor of the program's, made after knell's own and so called after it. */
static void pop_late(void *unused)
{
    (void)unused;
    (void)pthread_barrier_wait(&barrier); /* the block is another thread's by now */
    (void)pthread_barrier_wait(&barrier);
    knell_scope_pop();
    knell_set_tag("late", "tag");
    knell_add_breadcrumb(KNELL_LEVEL_INFO, "late", "crumb");
    struct knell_span *t = knell_transaction_start("late", "x", NULL);
    knell_span_finish(t, KNELL_SPAN_OK);
    knell_scope_bind(NULL);
}

static void *ends_with_open_scopes(void *key)
{
    CHECK_INT(knell_scope_push(), 0);
    knell_set_tag("whose", "the first thread's");
    CHECK_INT(knell_scope_push(), 0);
    CHECK(!pthread_setspecific(*(pthread_key_t *)key, "set"));
    return NULL;
}

static void a_thread_that_ended_touches_no_others_scope(void)
{
    pthread_t t;
    pthread_key_t key;
    char whose[64];
    new_place();
    begin();
    knell_add_breadcrumb(KNELL_LEVEL_INFO, "first", "so that knell's key is older");
    CHECK(
        !pthread_key_create(&key, pop_late) && !pthread_barrier_init(&barrier, NULL, 2));
    CHECK(!pthread_create(&t, NULL, ends_with_open_scopes, &key));
    (void)pthread_barrier_wait(&barrier);
    CHECK_INT(knell_scope_push(), 0); /* the only block there is */
    knell_set_tag("whose", "mine");
    CHECK_INT(knell_scope_push(), 0);
    knell_set_tag("deeper", "mine too");
    (void)pthread_barrier_wait(&barrier);
    CHECK(!pthread_join(t, NULL));
    tag_of_here("whose", whose);
    CHECK_STR(whose, "mine");
    tag_of_here("deeper", whose);
    CHECK_STR(whose, "mine too");
    tag_of_here("late", whose); /* of the process: the thread had no scope any more */
    CHECK_STR(whose, "tag");
    knell_scope_pop();
    knell_scope_pop();
    CHECK(!pthread_key_delete(key) && !pthread_barrier_destroy(&barrier));
    knell_stop();
}

static void *ends_with_a_bound_scope(void *scope)
{
    knell_scope_bind(scope);
    knell_set_tag("peer", "the first");
    return knell_transaction_start("handed over", "x", NULL);
}

static void *goes_on(void *scope)
{
    knell_scope_bind(scope);
    struct knell_span *inner = knell_span_start(NULL, "inner", "x");
    CHECK(inner); /* inside of the transaction that is open in the scope */
    knell_span_finish(inner, KNELL_SPAN_OK);
    knell_scope_bind(NULL);
    return NULL;
}

static void *binds_another(void *first)
{
    struct knell_scope *mine = knell_scope_new();
    char peer[64];
    knell_scope_bind(mine);
    knell_set_tag("peer", "the second");
    knell_scope_free(first); /* is not what is bound here */
    tag_of_here("peer", peer);
    CHECK_STR(peer, "the second");
    knell_scope_free(mine);
    tag_of_here("peer", peer);
    CHECK_STR(peer, "");
    return NULL;
}

/* The next thread gets the stack, and the memory of thread-locals, of the one before. */
static void a_scope_outlives_the_thread_that_bound_it(void)
{
    new_place();
    begin();
    for (int i = 0; i < 20; i++) {
        pthread_t t;
        void *span = NULL;
        struct knell_scope *scope = knell_scope_new();
        CHECK(!pthread_create(&t, NULL, ends_with_a_bound_scope, scope));
        CHECK(!pthread_join(t, &span) && span);
        CHECK(!pthread_create(&t, NULL, goes_on, scope) && !pthread_join(t, NULL));
        CHECK(!pthread_create(&t, NULL, binds_another, scope) && !pthread_join(t, NULL));
        knell_span_finish(span, KNELL_SPAN_OK); /* with its last reference */
    }
    knell_stop();
}

static void *bound_when_knell_stops(void *scope)
{
    knell_scope_bind(scope);
    struct knell_span *span = knell_transaction_start("open", "x", NULL);
    (void)pthread_barrier_wait(&barrier);
    (void)pthread_barrier_wait(&barrier); /* knell is stopped */
    knell_scope_bind(NULL);
    CHECK(!kn_self_tls.bound);
    (void)pthread_barrier_wait(&barrier);
    (void)pthread_barrier_wait(&barrier); /* the scope is freed */
    return span;
}

/* What is bound no more may be freed, by whomever, and the thread's end writes nothing
 * into it. */
static void a_scope_is_unbound_after_the_stop(void)
{
    pthread_t t;
    void *span = NULL;
    struct knell_scope *scope = knell_scope_new();
    new_place();
    begin();
    CHECK(!pthread_barrier_init(&barrier, NULL, 2));
    CHECK(!pthread_create(&t, NULL, bound_when_knell_stops, scope));
    (void)pthread_barrier_wait(&barrier);
    knell_stop();
    (void)pthread_barrier_wait(&barrier);
    (void)pthread_barrier_wait(&barrier);
    knell_scope_free(scope);
    (void)pthread_barrier_wait(&barrier);
    CHECK(!pthread_join(t, &span));
    knell_span_finish(span, KNELL_SPAN_OK);
    CHECK(!pthread_barrier_destroy(&barrier));
}

TEST_MAIN(TEST(none_of_the_calls_ends_a_cancelled_thread),
    TEST(a_thread_that_ended_touches_no_others_scope),
    TEST(a_scope_outlives_the_thread_that_bound_it),
    TEST(a_scope_is_unbound_after_the_stop))
