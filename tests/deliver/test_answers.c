/* Every row of the answer table against a scripted server: where the report is after the
 * pass, whether an attempt was counted, and how many requests the server got. */
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define DSN "http://key@127.0.0.1:%d/7"

struct row {
    const char *script;
    const char *state; /* of both reports after the pass; sent, wait or bad */
    int attempts;      /* of the first one, in its name */
    uint64_t min_wait_s, max_wait_s; /* not before; of a report in wait/ */
    uint64_t n_requests;             /* with two reports queued, one at a time */
};

enum { HOUR = 3600, DAY = 86400 };

static const struct row rows[] = {
    {"200", "sent", 0, 0, 0, 2},
    {"202", "sent", 0, 0, 0, 2},
    {"204/body=", "sent", 0, 0, 0, 2},
    {"200/body=", "sent", 0, 0, 0, 2},
    {"200/body=ok", "sent", 0, 0, 0, 2},
    /* A captive portal is not success. */
    {"200/type=text%2Fhtml/body=<html>Log in<%2Fhtml>", "wait", 0, HOUR - 10,
        HOUR * 11 / 10, 1},
    {"huge", "wait", 0, HOUR - 10, HOUR * 11 / 10, 1},
    {"429/retry-after=100", "wait", 0, 95, 111, 1},
    {"429/retry-after=12.5", "wait", 0, 10, 15, 1},
    {"429/retry-after=999999999999", "wait", 0, DAY - 10, DAY + 10, 1},
    {"429/retry-after=-5", "wait", 0, 55, 67, 1},
    {"429/retry-after=soon", "wait", 0, 55, 67, 1},
    {"429/retry-after=Thu%2C 01 Jan 1970 00:00:00 GMT", "wait", 0, 0, 3, 1},
    {"429/retry-after=Fri%2C 01 Jan 2100 00:00:00 GMT", "wait", 0, DAY - 10, DAY + 10, 1},
    {"429", "wait", 0, 55, 67, 1},
    {"429/limits=300:error:key", "wait", 0, 295, 331, 1},
    {"429/limits=300::organization", "wait", 0, 295, 331, 1},
    {"429/limits=10:error:key%2C 300:default;security:org", "wait", 0, 295, 331, 1},
    {"429/limits=9999:session:key", "wait", 0, 55, 67, 1},
    {"429/limits=77777777:error:key", "wait", 0, DAY - 10, DAY + 10, 1},
    {"408", "wait", 1, 0, 67, 2},
    {"425", "wait", 1, 0, 67, 2},
    {"500", "wait", 1, 0, 67, 2},
    {"502", "wait", 1, 0, 67, 2},
    {"503", "wait", 1, 0, 67, 2},
    {"503/retry-after=1000", "wait", 1, 995, 1101, 1},
    {"504", "wait", 1, 0, 67, 2},
    {"599", "wait", 1, 0, 67, 2},
    {"418", "wait", 1, 0, 67, 2},
    {"301/location=http:%2F%2F127.0.0.1:1%2F", "wait", 0, HOUR - 10, HOUR * 11 / 10, 1},
    {"302/location=%2Fother", "wait", 0, HOUR - 10, HOUR * 11 / 10, 1},
    {"307/location=https:%2F%2F127.0.0.1:1%2F", "wait", 0, HOUR - 10, HOUR * 11 / 10, 1},
    {"308", "wait", 0, HOUR - 10, HOUR * 11 / 10, 1},
    {"303/location=https:%2F%2Fevil.example%2F", "wait", 0, HOUR - 10, HOUR * 11 / 10, 1},
    {"401", "wait", 0, HOUR - 10, HOUR * 11 / 10, 1},
    {"402", "wait", 0, HOUR - 10, HOUR * 11 / 10, 1},
    {"405", "wait", 0, HOUR - 10, HOUR * 11 / 10, 1},
    {"407", "wait", 0, HOUR - 10, HOUR * 11 / 10, 1},
    {"410", "wait", 0, HOUR - 10, HOUR * 11 / 10, 1},
    {"403", "wait", 0, HOUR - 10, HOUR * 11 / 10, 1},
    {"404", "wait", 0, HOUR - 10, HOUR * 11 / 10, 1},
    {"400", "bad", 0, 0, 0, 2},
    {"406", "bad", 0, 0, 0, 2},
    {"411", "bad", 0, 0, 0, 2},
    {"415", "bad", 0, 0, 0, 2},
    {"422", "bad", 0, 0, 0, 2},
    /* Once more and smaller, each. */
    {"413", "bad", 0, 0, 0, 4},
    {"reset", "wait", 0, 0, 67, 1},
    {"partial", "wait", 0, 0, 67, 1},
    {"short", "wait", 1, 0, 67, 2},
    {"bomb", "wait", 1, 0, 67, 2},
    {"hang", "wait", 1, 0, 67, 2},
};

static struct spool_name name_in(
    const struct fake *f, enum spool_state state, size_t *ret_n)
{
    struct spool *s = NULL;
    struct spool_list l = {0};
    struct spool_name n = {0};
    CHECK_INT(spool_open(f->path, true, &s), 0);
    CHECK_INT(spool_list_add(s, state, &l), 0);
    *ret_n = l.n;
    for (size_t i = 0; i < l.n; i++) {
        if (l.names[i].event_id[15] == 0)
            n = l.names[i];
    }
    spool_list_done(&l);
    spool_close(s);
    return n;
}

static void check_row(const struct row *row)
{
    /* Only a server that hangs is given up soon: a busy machine may be late for others.
     */
    const char *const quick[] = {strcmp(row->script, "hang")
                                     ? "upload.total_timeout=60s"
                                     : "upload.total_timeout=300ms",
        "upload.concurrency=1", "upload.max_response=64K", NULL};
    struct ingest s = ingest_start(&(struct ingest_options){.script = row->script});
    struct fake *f = fake_new(quick);
    fake_destination(f, DSN, s.port);
    fake_reports(f, 2, "MDMP");
    uint64_t now = (uint64_t)time(NULL);
    size_t n = 0;
    bool ok = CHECK_INT(fake_run(f), 0);
    struct spool_name name =
        name_in(f, (enum spool_state)spool_state_parse(row->state), &n);
    ok &= CHECK_INT(n, 2);
    ok &= CHECK_INT(fake_total(f), 2);
    ok &= CHECK_INT(s.counts->requests, row->n_requests);
    ok &= CHECK_INT(name.attempts, row->attempts);
    if (!strcmp(row->state, "wait")) {
        ok &= CHECK(name.not_before_s >= now + row->min_wait_s);
        ok &= CHECK(name.not_before_s <= now + row->max_wait_s + 5);
    }
    /* Whatever it was, it arrives once the server is well; but what was refused for good.
     */
    if (!strcmp(row->state, "wait")) {
        uint64_t before = s.counts->requests;
        ok &= CHECK_INT(fake_run(f), 0);
        if (name.not_before_s > now + 10)
            ok &= CHECK_INT(s.counts->requests, before); /* it rests */
        ingest_stop(&s);
        s = ingest_start(&(struct ingest_options){0});
        destination_done(&f->destinations[0]);
        f->n_destinations = 0;
        fake_destination(f, DSN, s.port);
        fake_forgive(f);
        ok &= CHECK_INT(fake_run(f), 0);
        ok &= CHECK_INT(fake_count(f, "sent"), 2);
    }
    if (!ok)
        printf("in the row of script \"%s\"\n", row->script);
    fake_free(f);
    ingest_stop(&s);
}

static void every_row_of_the_table(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_row(&rows[i]);
}

/* What a collector means by its answers is not what Sentry means. */
static void every_row_of_a_collector(void)
{
    static const struct {
        const char *script, *state;
    } collector[] = {{"200/body={}", "sent"}, {"200/body=", "sent"},
        {"200/body={\"partialSuccess\":{\"errorMessage\":\"old\"}}", "sent"},
        {"200/body={\"partialSuccess\":{\"rejectedLogRecords\":\"1\"}}", "bad"},
        {"200/type=text%2Fhtml/body=<html>", "wait"}, {"400", "bad"}, {"401", "wait"},
        {"403", "wait"}, {"404", "wait"}, {"408", "bad"}, {"413", "bad"},
        {"429/retry-after=100", "wait"}, {"500", "bad"}, {"501", "bad"}, {"502", "wait"},
        {"503", "wait"}, {"504", "wait"}, {"reset", "wait"}, {"301", "wait"}};
    for (size_t i = 0; i < sizeof collector / sizeof *collector; i++) {
        struct ingest s =
            ingest_start(&(struct ingest_options){.script = collector[i].script});
        struct fake *f = fake_new(NULL);
        fake_destination(f, "otlp+http://127.0.0.1:%d", s.port);
        fake_reports(f, 1, "MDMP");
        bool ok = CHECK_INT(fake_run(f), 0);
        ok &= CHECK_INT(
            fake_count(f, collector[i].state), strcmp(collector[i].state, "bad") ? 1 : 2);
        ok &= CHECK_INT(fake_total(f), 1);
        if (!ok)
            printf("in the row of script \"%s\"\n", collector[i].script);
        fake_free(f);
        ingest_stop(&s);
    }
}

static void limits_on_a_200_are_obeyed(void)
{
    struct ingest s =
        ingest_start(&(struct ingest_options){.script = "200/limits=600:error:key"});
    struct fake *f = fake_new((const char *[]){"upload.concurrency=1", NULL});
    fake_destination(f, DSN, s.port);
    fake_reports(f, 5, "MDMP");
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(s.counts->requests, 1);
    CHECK_INT(fake_count(f, "sent"), 1);
    CHECK_INT(fake_count(f, "wait"), 4);
    /* And by the next process, too; also for what comes new. */
    fake_report(f, "new", 9, "MDMP", NULL);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(s.counts->requests, 1);
    fake_free(f);
    ingest_stop(&s);
}

static void limits_of_other_kinds_do_not_hold_crashes_back(void)
{
    struct ingest s = ingest_start(&(struct ingest_options){
        .script = "200/limits=600:session:key%2C 600:transaction;unknown:org%2C x::"});
    struct fake *f = fake_new(NULL);
    fake_destination(f, DSN, s.port);
    fake_reports(f, 5, "MDMP");
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(s.counts->requests, 5);
    fake_free(f);
    ingest_stop(&s);
}

/* A server that takes no transactions says so for a day at a time: segments do not pile
 * up for it. */
static void what_a_server_never_takes_is_left_out(void)
{
    const char *out = test_tmpdir();
    struct spool_name segment = {.segment = true};
    struct ingest s = ingest_start(&(struct ingest_options){
        .dir = out, .script = "200/limits=86400:transaction;session:org,200"});
    struct fake *f = fake_new((const char *[]){"upload.concurrency=1", NULL});
    fake_destination(f, DSN, s.port);
    fake_report(f, "new", 1, "SEGMENT", &segment);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(s.counts->requests, 1);
    fake_report(f, "new", 2, "SEGMENT", &segment);
    fake_report(f, "new", 3, "LOGS", &segment);
    fake_report(f, "new", 4, "MDMP", NULL);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "sent"), 4);
    CHECK_INT(s.counts->requests, 4);
    char body[4096] = "";
    size_t n_transactions = 0, n_reports = 0;
    for (int i = 2; i <= 4; i++) {
        char path[600];
        snprintf(path, sizeof path, "%s/%06d.body", out, i);
        FILE *b = fopen(path, "r");
        size_t n = b ? fread(body, 1, sizeof body - 1, b) : 0;
        body[n] = 0;
        n_transactions += strstr(body, "\"type\":\"transaction\"") != NULL;
        n_reports += strstr(body, "\"reason\":\"ratelimit_backoff\",\"category\":"
                                  "\"transaction\",\"quantity\":1") != NULL;
        if (b)
            fclose(b);
    }
    CHECK_INT(n_transactions, 0);
    CHECK_INT(n_reports, 1);
    fake_free(f);
    ingest_stop(&s);
    /* Not worth a request at all; and a short limit is waited for. */
    s = ingest_start(&(struct ingest_options){
        .script = "200/limits=86400:log_item:org,200/limits=60:log_item:org,200"});
    f = fake_new((const char *[]){"upload.concurrency=1", NULL});
    fake_destination(f, DSN, s.port);
    fake_report(f, "new", 1, "LOGS", &segment);
    CHECK_INT(fake_run(f), 0);
    fake_report(f, "new", 2, "LOGS", &segment);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(s.counts->requests, 1);
    CHECK_INT(fake_count(f, "sent"), 2);
    fake_forgive(f);
    fake_report(f, "new", 3, "LOGS", &segment);
    CHECK_INT(fake_run(f), 0);
    fake_report(f, "new", 4, "LOGS", &segment);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(s.counts->requests, 2);
    CHECK_INT(fake_count(f, "wait"), 1);
    fake_free(f);
    ingest_stop(&s);
}

/* Its 429 is about the session alone: the event is there. */
static void an_event_that_was_taken_without_its_session_arrived(void)
{
    const char *out = test_tmpdir();
    char path[600], body[4096];
    struct ingest s = ingest_start(
        &(struct ingest_options){.dir = out, .script = "429/limits=600:session:key,200"});
    struct fake *f = fake_new((const char *[]){"upload.concurrency=1", NULL});
    fake_destination(f, DSN, s.port);
    for (unsigned i = 1; i <= 2; i++) {
        fake_report(f, "new", i, "RUN", NULL);
        CHECK_INT(fake_run(f), 0);
        CHECK_INT(s.counts->requests, i);
        CHECK_INT(fake_count(f, "sent"), (int)i);
        snprintf(path, sizeof path, "%s/%06u.body", out, i);
        FILE *b = fopen(path, "r");
        size_t n = b ? fread(body, 1, sizeof body - 1, b) : 0;
        body[n] = 0;
        CHECK_INT(strstr(body, "\"type\":\"session\"") != NULL, i == 1);
        if (b)
            fclose(b);
    }
    fake_free(f);
    ingest_stop(&s);
}

static void attachments_stay_home_when_limited(void)
{
    struct ingest s =
        ingest_start(&(struct ingest_options){.script = "200/limits=600:attachment:key"});
    struct fake *f = fake_new((const char *[]){"upload.concurrency=1", NULL});
    fake_destination(f, DSN, s.port);
    fake_reports(f, 2, "BIG");
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(s.counts->requests, 2);
    CHECK(s.counts->body_bytes > 1u << 20 && s.counts->body_bytes < 3u << 19);
    fake_free(f);
    ingest_stop(&s);
}

static void three_failures_rest_the_host(void)
{
    struct ingest s = ingest_start(&(struct ingest_options){.script = "503"});
    struct fake *f = fake_new((const char *[]){"upload.retry_base=1h", NULL});
    fake_destination(f, DSN, s.port);
    fake_reports(f, 100, "MDMP");
    CHECK_INT(fake_run(f), 0);
    CHECK(s.counts->requests >= 3 && s.counts->requests <= 3 + 4);
    CHECK_INT(fake_count(f, "wait"), 100);
    CHECK_INT(fake_count(f, "new"), 0);
    fake_free(f);
    ingest_stop(&s);
}

/* A key that one project does not take is no reason to keep reports from another one. */
static void a_refusal_rests_its_own_destination(void)
{
    struct ingest s = ingest_start(&(struct ingest_options){.forbidden = "/api/2/"});
    struct fake *f = fake_new((const char *[]){"upload.concurrency=1", NULL});
    struct spool_name same = {.signature = 0x77, .signo = 6};
    fake_destination(f, "http://key@127.0.0.1:%d/1", s.port);
    fake_destination(f, "http://key@127.0.0.1:%d/2", s.port);
    for (unsigned i = 0; i < 10; i++)
        fake_report(f, "new", i, "MDMP", &same);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(s.counts->requests, 10 + 1);
    CHECK_INT(fake_count(f, "wait"), 10);
    fake_make_due(f);
    CHECK_INT(fake_run(f), 0); /* it rests */
    CHECK_INT(s.counts->requests, 10 + 1);
    fake_forgive(f);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(s.counts->requests, 10 + 2);
    CHECK_INT(fake_count(f, "wait"), 10);
    fake_free(f);
    ingest_stop(&s);
}

static void a_refused_connection_costs_one_try_and_no_attempt(void)
{
    struct ingest s = ingest_start(&(struct ingest_options){0});
    struct fake *f = fake_new((const char *[]){"upload.concurrency=1", NULL});
    fake_destination(f, DSN, s.port);
    ingest_stop(&s); /* nobody listens there now */
    fake_reports(f, 50, "MDMP");
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "wait"), 50);
    size_t n;
    CHECK_INT(name_in(f, SPOOL_WAIT, &n).attempts, 0);
    CHECK_INT(f->n_worked, 1);
    fake_free(f);
}

static void a_missing_socket_or_name_is_unreachable(void)
{
    static const char *const where[] = {
        "http://k@knell-test.invalid/1", "https://k@127.0.0.1:%d/1"};
    for (size_t i = 0; i < 2; i++) {
        /* TLS to a server that speaks none. */
        struct ingest s = ingest_start(&(struct ingest_options){.script = "hang"});
        struct fake *f = fake_new((const char *[]){"upload.connect_timeout=1s", NULL});
        fake_destination(f, where[i], s.port);
        fake_reports(f, 3, "MDMP");
        CHECK_INT(fake_run(f), 0);
        CHECK_INT(fake_count(f, "wait"), 3);
        CHECK_INT(s.counts->requests, 0);
        fake_free(f);
        ingest_stop(&s);
    }
}

static void delivers_over_a_unix_socket(void)
{
    char path[200], setting[256];
    snprintf(path, sizeof path, "%s/s", test_tmpdir());
    snprintf(setting, sizeof setting, "upload.unix_socket=%s", path);
    struct ingest s = ingest_start(&(struct ingest_options){.unix_path = path});
    struct fake *f = fake_new((const char *[]){setting, NULL});
    fake_destination(f, "https://k@sentry.example/1", 0);
    destination_done(&f->destinations[0]);
    f->n_destinations = 0;
    fake_destination(f, "http://k@sentry.example/1", 0);
    fake_reports(f, 3, "MDMP");
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(s.counts->requests, 3);
    fake_free(f);
    ingest_stop(&s);
}

static void a_proxy_is_used_elsewhere_and_not_here(void)
{
    struct ingest proxy = ingest_start(&(struct ingest_options){0});
    struct ingest here = ingest_start(&(struct ingest_options){0});
    char setting[128];
    snprintf(setting, sizeof setting, "upload.proxy=http://127.0.0.1:%d", proxy.port);
    struct fake *f = fake_new((const char *[]){setting, "upload.max_rate=0", NULL});
    fake_destination(f, "http://k@sentry.example/1", 0);
    fake_destination(f, DSN, here.port);
    fake_reports(f, 2, "MDMP");
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(proxy.counts->requests, 2);
    CHECK_INT(here.counts->requests, 2);
    fake_free(f);
    ingest_stop(&proxy);
    ingest_stop(&here);
}

static void a_slow_answer_is_waited_for_within_the_limits(void)
{
    struct ingest s = ingest_start(&(struct ingest_options){.script = "trickle"});
    struct fake *f = fake_new(
        (const char *[]){"upload.total_timeout=500ms", "upload.concurrency=1", NULL});
    fake_destination(f, DSN, s.port);
    fake_reports(f, 1, "MDMP");
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "wait"), 1);
    fake_free(f);
    ingest_stop(&s);
}

static void early_413_with_a_large_body(void)
{
    struct ingest s = ingest_start(&(struct ingest_options){.script = "early,200"});
    struct fake *f = fake_new(NULL);
    fake_destination(f, DSN, s.port);
    fake_report(f, "new", 1, "BIG", NULL);
    CHECK_INT(fake_run(f), 0);
    /* Either the answer was read in time (trimmed and sent), or the connection was reset
     * first (kept): never lost. */
    CHECK_INT(fake_count(f, "sent") + fake_count(f, "wait"), 1);
    CHECK_INT(fake_count(f, "bad"), 0);
    fake_free(f);
    ingest_stop(&s);
}

/* A slow line, or a proxy that resets what is too long for it: neither the end of this
 * report, nor in the way of others. */
static void a_long_request_that_breaks_off_is_trimmed_in_the_end(void)
{
    struct ingest s = ingest_start(&(struct ingest_options){.script = "cut"});
    struct fake *f = fake_new((const char *[]){"upload.concurrency=1", NULL});
    struct spool_name same = {.signature = 0x77, .signo = 6};
    fake_destination(f, DSN, s.port);
    fake_report(f, "new", 1, "MDMP", &same);
    CHECK_INT(fake_run(f), 0); /* the signature is known: the oldest goes first */
    fake_report(f, "new", 100, "BIG", &same);
    for (unsigned i = 2; i <= 6; i++)
        fake_report(f, "new", i, "MDMP", &same);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "sent"), 6);
    CHECK_INT(fake_count(f, "wait"), 1);
    for (int i = 0; i < 2; i++) {
        fake_make_due(f);
        CHECK_INT(fake_run(f), 0);
    }
    CHECK_INT(fake_count(f, "sent"), 7);
    CHECK_INT(s.counts->requests, 6 + 4);
    fake_free(f);
    ingest_stop(&s);
}

TEST_MAIN(TEST(every_row_of_the_table), TEST(every_row_of_a_collector),
    TEST(limits_on_a_200_are_obeyed),
    TEST(limits_of_other_kinds_do_not_hold_crashes_back),
    TEST(what_a_server_never_takes_is_left_out),
    TEST(an_event_that_was_taken_without_its_session_arrived),
    TEST(attachments_stay_home_when_limited), TEST(three_failures_rest_the_host),
    TEST(a_refusal_rests_its_own_destination),
    TEST(a_refused_connection_costs_one_try_and_no_attempt),
    TEST(a_missing_socket_or_name_is_unreachable), TEST(delivers_over_a_unix_socket),
    TEST(a_proxy_is_used_elsewhere_and_not_here),
    TEST(a_slow_answer_is_waited_for_within_the_limits),
    TEST(early_413_with_a_large_body),
    TEST(a_long_request_that_breaks_off_is_trimmed_in_the_end))
