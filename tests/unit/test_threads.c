/* All that may be said by any thread at any time, said by many at once, while knell
 * starts and stops. Of use with ThreadSanitizer and AddressSanitizer above all. */
#include "test.h"
#include "tmpdir.h"

#include <knell/knell.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { N_THREADS = 6, N_ROUNDS = 100 };

static bool over;

static void scopes(int thread, int i)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%d %d", thread, i);
    const struct knell_data d = knell_text("text", text);
    const struct knell_user user = {.id = text, .extra = &d, .n_extra = 1};
    knell_set_tag("shared", text);
    knell_set_user(&user);
    knell_set_context("group", &d, 1);
    knell_set_extra(d);
    knell_attach_bytes("bytes", text, sizeof text);
    (void)knell_scope_push();
    knell_set_tag("own", text);
    knell_set_transaction(text);
    knell_scope_pop();
    struct knell_scope *scope = knell_scope_new();
    knell_scope_set_tag(scope, "peer", text);
    knell_scope_bind(scope);
    knell_set_tag("peer", text);
    knell_scope_free(scope);
}

static void spans(int thread, int i)
{
    struct knell_span *t = knell_transaction_start("GET /", "http.server", NULL);
    struct knell_span *s = knell_span_start(NULL, "db", "select");
    knell_span_set_data(s, knell_int("i", i));
    knell_span_finish(s, KNELL_SPAN_OK);
    struct knell_outgoing out;
    knell_trace_outgoing(t, &out);
    if (i % 7 == thread)
        knell_transaction_discard(t);
    else
        knell_span_finish(t, KNELL_SPAN_OK);
}

static void others(int thread, int i)
{
    struct knell_status s = KNELL_STATUS_INIT;
    struct knell_error e = KNELL_ERROR_INIT;
    e.type = thread % 2 ? "Odd" : "Even";
    e.all_threads = i % 2;
    knell_add_breadcrumb(KNELL_LEVEL_INFO, "thread", e.type);
    knell_log(KNELL_LEVEL_INFO, "%d of %d", i, thread);
    if (i % 50 == 0) {
        (void)knell_capture_error(&e);
        (void)knell_capture_message(KNELL_LEVEL_WARNING, "from a thread");
        (void)knell_status(&s);
        (void)knell_rearm();
        struct knell_heart *h = knell_watch("short", 3600000);
        knell_beat(h);
        knell_unwatch(h);
    }
}

static void *say(void *arg)
{
    int thread = (int)(intptr_t)arg;
    for (int i = 0; !__atomic_load_n(&over, __ATOMIC_RELAXED); i++) {
        scopes(thread, i);
        spans(thread, i);
        others(thread, i);
    }
    return NULL;
}

/* A span that goes from thread to thread, its transaction ending first. */
static void *finish_later(void *span)
{
    knell_span_set_data(span, knell_int("late", 1));
    knell_span_finish(span, KNELL_SPAN_OK);
    return NULL;
}

static void *start_and_stop(void *spool)
{
    struct knell_options o = KNELL_OPTIONS_INIT;
    o.app = "test_threads";
    o.spool_dir = spool;
    o.dsn = "";
    o.start_uploader = KNELL_OFF;
    o.traces_sample_rate = 1;
    o.logs = o.sessions = KNELL_ON;
    for (int i = 0; i < 5; i++) {
        CHECK_INT(knell_start(&o), 0);
        struct knell_status s = KNELL_STATUS_INIT;
        for (int k = 0; k < N_ROUNDS; k++) {
            pthread_t t;
            struct knell_span *root = knell_transaction_start("root", "x", NULL);
            knell_add_breadcrumb(KNELL_LEVEL_INFO, "round", "another one");
            struct knell_span *span = knell_span_start(root, "op", "over there");
            CHECK(!pthread_create(&t, NULL, finish_later, span));
            knell_span_finish(root, KNELL_SPAN_OK);
            CHECK(!pthread_join(t, NULL));
        }
        CHECK_INT(knell_status(&s), 0);
        CHECK(s.armed && s.transactions > 0 && s.breadcrumbs > 0);
        knell_stop();
    }
    return NULL;
}

static void all_at_once(void)
{
    char spool[300];
    pthread_t t[N_THREADS];
    (void)snprintf(spool, sizeof spool, "%s/spool", test_tmpdir());
    for (int i = 0; i < N_THREADS; i++)
        CHECK(!pthread_create(&t[i], NULL, say, (void *)(intptr_t)i));
    (void)start_and_stop(spool);
    __atomic_store_n(&over, true, __ATOMIC_RELAXED);
    for (int i = 0; i < N_THREADS; i++)
        CHECK(!pthread_join(t[i], NULL));
    CHECK_INT(test_count_files(spool, "live"), 0);
}

TEST_MAIN(TEST(all_at_once))
