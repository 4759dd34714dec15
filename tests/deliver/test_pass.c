/* One pass over a spool with each destination and each outcome of the worker. */
#include "fake.h"

#include "uploader/deliver/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <knell/journal.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DSN "http://key@127.0.0.1:%d/7"

static char *slurp(const char *dir, const char *file)
{
    char path[512];
    static char text[1 << 16];
    snprintf(path, sizeof path, "%s/%s", dir, file);
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    text[n] = 0;
    if (f)
        fclose(f);
    return text;
}

static void delivers_to_a_server(void)
{
    const char *out = test_tmpdir();
    struct ingest s = ingest_start(&(struct ingest_options){.dir = out});
    struct fake *f = fake_new(NULL);
    fake_destination(f, "http://key:secret@127.0.0.1:%d/base/7", s.port);
    fake_reports(f, 1, "MDMP");
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(f->result.sent, 1);
    CHECK_INT(f->result.remaining, 0);
    CHECK_INT(fake_count(f, "sent"), 1);
    CHECK_INT(fake_total(f), 1);
    const char *head = slurp(out, "000001.head");
    CHECK(strstr(head, "POST /base/api/7/envelope/ HTTP/1.1\r\n") == head);
    CHECK(
        strstr(head, "X-Sentry-Auth: Sentry sentry_version=7, sentry_client=knell/0.1.0, "
                     "sentry_key=key, sentry_secret=secret\r\n"));
    CHECK(strstr(head, "Content-Type: application/x-sentry-envelope\r\n"));
    CHECK(!strstr(head, "Expect"));
    CHECK(!strstr(head, "Content-Encoding")); /* not to this machine */
    CHECK(!strstr(head, "chunked"));
    const char *body = slurp(out, "000001.body");
    CHECK(strstr(body,
              "{\"event_id\":\"ab000000000000000000000000000000\",\"sent_at\":\"20") ==
          body);
    CHECK(strstr(body, "\"dsn\":\"http://key@127.0.0.1:"));
    CHECK(!strstr(body, "secret"));
    CHECK(strstr(body,
        "\"sdk\":{\"name\":\"knell\",\"version\":\"0.1.0\"}}\n{\"type\":\"event\""));
    fake_free(f);
    ingest_stop(&s);
}

/* A vendor's key is nothing for another vendor. */
static void headers_go_to_their_collector_alone(void)
{
    const char *out[2] = {test_tmpdir(), test_tmpdir()};
    struct fake *f = fake_new((const char *[]){"upload.otlp_headers=x-key=1", NULL});
    struct ingest s[2];
    for (int i = 0; i < 2; i++) {
        s[i] = ingest_start(&(struct ingest_options){.dir = out[i]});
        fake_destination(f, "otlp+http://127.0.0.1:%d", s[i].port);
    }
    f->destinations[1].otlp_own = true;
    fake_reports(f, 1, "MDMP");
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(f->result.sent, 1);
    CHECK(strstr(slurp(out[0], "000001.head"), "POST /v1/logs"));
    CHECK(!strstr(slurp(out[0], "000001.head"), "x-key"));
    CHECK(strstr(slurp(out[1], "000001.head"), "\r\nx-key: 1\r\n"));
    fake_free(f);
    ingest_stop(&s[0]);
    ingest_stop(&s[1]);
}

static void compresses_when_asked(void)
{
    const char *out = test_tmpdir();
    struct ingest s = ingest_start(&(struct ingest_options){.dir = out});
    struct fake *f = fake_new((const char *[]){"upload.compression=gzip", NULL});
    fake_destination(f, DSN, s.port);
    f->n_event_bytes = 20000;
    fake_reports(f, 3, "MDMP");
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(f->result.sent, 3);
    CHECK(strstr(slurp(out, "000002.head"), "Content-Encoding: gzip\r\n"));
    CHECK(s.counts->body_bytes < 3 * 15000);
    CHECK(strlen(slurp(out, "000002.body")) > 20000);
    fake_free(f);
    ingest_stop(&s);
}

static void writes_a_file_per_event(void)
{
    char text[600], dir[512];
    struct fake *f = fake_new(NULL);
    snprintf(dir, sizeof dir, "%s/out/er", test_tmpdir());
    snprintf(text, sizeof text, "file://%s", dir);
    fake_destination(f, text, 0);
    fake_reports(f, 5, "MDMP");
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(f->result.sent, 5);
    CHECK_INT(test_count_files(dir, ""), 5);
    const char *body = slurp(dir, "ab000000000000000000000000000004.envelope");
    CHECK(strstr(body, "{\"event_id\":\"ab000000000000000000000000000004\"") == body);
    CHECK(!strstr(body, "\"dsn\""));
    fake_free(f);
}

static void keeps_all_without_a_destination(void)
{
    struct fake *f = fake_new(NULL);
    fake_reports(f, 4, "MDMP");
    CHECK_INT(fake_run(f), 0);
    CHECK(f->result.disabled);
    CHECK_INT(f->n_worked, 0);
    CHECK_INT(fake_count(f, "new"), 0); /* or a path unit would run for ever */
    CHECK_INT(fake_count(f, "wait"), 4);
    struct ingest s = ingest_start(&(struct ingest_options){0});
    fake_destination(f, DSN, s.port);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "sent"), 4);
    ingest_stop(&s);
    fake_free(f);
}

static void consent_has_the_last_word(void)
{
    struct ingest s = ingest_start(&(struct ingest_options){0});
    struct fake *f = fake_new(NULL);
    fake_destination(f, DSN, s.port);
    fake_reports(f, 3, "MDMP");
    test_write_file(f->path, "consent", "ask\n", 4);
    CHECK_INT(fake_run(f), 0);
    CHECK(f->result.disabled);
    CHECK_INT(fake_count(f, "hold"), 3);
    CHECK_INT(s.counts->connections, 0);
    test_write_file(f->path, "consent", "yes\n", 4);
    /* One that a person holds stays. */
    fake_report(f, "hold", 77, "MDMP", NULL);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "sent"), 3);
    CHECK_INT(fake_count(f, "hold"), 1);
    test_write_file(f->path, "consent", "whatever\n", 9);
    fake_reports(f, 1, "MDMP");
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(s.counts->requests, 3);
    fake_free(f);
    ingest_stop(&s);
}

/* It may never come. What a person holds stays beside. */
static void what_waits_for_consent_has_its_limits(void)
{
    struct fake *f = fake_new((const char *[]){"spool.max_reports=10", NULL});
    struct spool_name same = {.signature = 0x77, .signo = 6};
    fake_destination(f, DSN, 1);
    test_write_file(f->path, "consent", "no\n", 3);
    fake_report(f, "hold", 1000, "MDMP", &same);
    fake_report(f, "sent", 1001, "MDMP", NULL);
    for (unsigned i = 0; i < 100; i += 20) {
        for (unsigned k = i; k < i + 20; k++)
            fake_report(f, "new", k, "MDMP", &same);
        CHECK_INT(fake_run(f), 0);
        CHECK_INT(fake_count(f, "hold"), 10 + 1);
    }
    CHECK_INT(fake_count(f, "new") + fake_count(f, "wait"), 0);
    fake_free(f);
}

static void take_consent_back(void *ctx, uint64_t done, uint64_t total)
{
    const struct fake *f = ctx;
    (void)total;
    if (done == 3)
        test_write_file(f->path, "consent", "no\n", 3);
}

/* In the middle of a pass, with a connection that is open: nothing more leaves. */
static void consent_can_be_taken_back_at_any_time(void)
{
    struct ingest s = ingest_start(&(struct ingest_options){0});
    struct fake *f = fake_new((const char *[]){"upload.concurrency=1", NULL});
    fake_destination(f, DSN, s.port);
    fake_reports(f, 50, "MDMP");
    f->options.progress = take_consent_back;
    f->options.progress_ctx = f;
    CHECK_INT(fake_run(f), 0);
    CHECK(f->result.disabled);
    CHECK(s.counts->requests >= 2 && s.counts->requests <= 4);
    CHECK_INT(fake_count(f, "sent"), s.counts->requests);
    CHECK_INT(fake_count(f, "hold"), 50 - fake_count(f, "sent"));
    CHECK_INT(fake_count(f, "work"), 0);
    fake_free(f);
    ingest_stop(&s);
}

static void quarantines_what_the_worker_refuses_or_drops(void)
{
    const char *out = test_tmpdir();
    struct ingest s = ingest_start(&(struct ingest_options){.dir = out});
    struct fake *f = fake_new(NULL);
    fake_destination(f, DSN, s.port);
    fake_report(f, "new", 1, "REFUSE", NULL);
    fake_report(f, "new", 2, "DROP", NULL);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "bad"), 4);
    CHECK_INT(s.counts->requests, 0);
    /* The next event tells of them. */
    fake_report(f, "new", 3, "MDMP", NULL);
    fake_report(f, "new", 4, "MDMP", NULL);
    CHECK_INT(fake_run(f), 0);
    const char *body = slurp(out, "000001.body");
    CHECK(strstr(body, "\n{\"type\":\"client_report\",\"length\":"));
    CHECK(strstr(body,
        "{\"reason\":\"internal_sdk_error\",\"category\":\"error\",\"quantity\":1}"));
    CHECK(strstr(
        body, "{\"reason\":\"event_processor\",\"category\":\"error\",\"quantity\":1}"));
    CHECK(!strstr(slurp(out, "000002.body"), "client_report"));
    fake_free(f);
    ingest_stop(&s);
}

static unsigned times(const char *text, const char *word)
{
    unsigned n = 0;
    for (; (text = strstr(text, word)); text++)
        n++;
    return n;
}

/* A drop that comes while the first try is out rides with the second one, if at all, and
 * is then told for good. */
static void a_drop_is_told_once(void)
{
    const char *out = test_tmpdir();
    struct ingest s =
        ingest_start(&(struct ingest_options){.dir = out, .script = "413/delay=500,200"});
    struct fake *f = fake_new(NULL);
    fake_destination(f, DSN, s.port);
    fake_report(f, "new", 1, "DROP", NULL);
    CHECK_INT(fake_run(f), 0);
    fake_report(f, "new", 2, "BIG", NULL);
    fake_report(f, "new", 3, "DROP", NULL);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(s.counts->requests, 2);
    CHECK(strstr(slurp(out, "000002.body"), "\"event_processor\""));
    unsigned told = times(slurp(out, "000002.body"), "\"quantity\":2") ? 2 : 1;
    fake_report(f, "new", 4, "MDMP", NULL);
    CHECK_INT(fake_run(f), 0);
    told += times(slurp(out, "000003.body"), "\"quantity\":1");
    CHECK_INT(told, 2);
    fake_free(f);
    ingest_stop(&s);
}

/* Spans, sessions and logs that a server refuses are no lost crashes. */
static void a_refused_segment_is_counted_as_what_it_is(void)
{
    const char *out = test_tmpdir();
    struct ingest s =
        ingest_start(&(struct ingest_options){.dir = out, .script = "400,200"});
    struct fake *f = fake_new(NULL);
    struct spool_name segment = {.segment = true, .signature = 1};
    fake_destination(f, DSN, s.port);
    fake_report(f, "new", 1, "SEGMENT", &segment);
    fake_report(f, "new", 2, "REFUSE", &segment);
    fake_report(f, "new", 3, "DROP", &segment);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "bad"), 6);
    fake_report(f, "new", 4, "MDMP", NULL);
    CHECK_INT(fake_run(f), 0);
    const char *body = slurp(out, "000002.body");
    CHECK(strstr(body, "{\"reason\":\"send_error\",\"category\":\"transaction\""));
    CHECK(strstr(body, "{\"reason\":\"send_error\",\"category\":\"session\""));
    CHECK(strstr(body, "{\"reason\":\"send_error\",\"category\":\"log_item\""));
    CHECK(!strstr(body, "\"category\":\"error\""));
    fake_free(f);
    ingest_stop(&s);
}

static int lister_says, n_listed;

static int list_nothing(
    void *ctx, const uint8_t *bytes, size_t n, uint8_t **ret, size_t *ret_n)
{
    (void)ctx;
    (void)bytes;
    (void)n;
    (void)ret;
    (void)ret_n;
    n_listed++;
    return lister_says;
}

/* Servers keep one transaction of an envelope: half of it would be lost. */
static void a_segment_that_cannot_be_split_now_waits(void)
{
    struct ingest s = ingest_start(&(struct ingest_options){0});
    struct fake *f = fake_new(NULL);
    const struct spool_name segment = {.segment = true};
    fake_destination(f, DSN, s.port);
    f->worker.split = list_nothing;
    fake_report_bytes(f, "new", 0, "SEGMENT", 7, &segment);
    static const int errors[] = {-EPIPE, -EIO, -ENOMEM, -ECHILD, -ECHILD};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        lister_says = errors[i];
        CHECK_INT(fake_run(f), 0);
        CHECK_INT(f->n_worked, 0);
        CHECK_INT(f->result.remaining, 1);
        CHECK_INT(fake_count(f, "new"), 1);
    }
    lister_says = -ECHILD; /* the third time: let it be claimed, to be put away or sent */
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "sent"), 1);
    fake_free(f);
    ingest_stop(&s);
}

static int (*usual_begin)(void *, const uint8_t *, size_t, const struct worker_options *);
static int n_listed_before_late;

static int begin_while_one_comes(
    void *ctx, const uint8_t *bytes, size_t n, const struct worker_options *options)
{
    struct fake *f = ctx;
    const struct spool_name segment = {.segment = true};
    if (!memcmp(bytes, "MDMP", 4))
        fake_report_bytes(f, "new", 0, "SEGMENT", 7, &segment);
    else
        n_listed_before_late = n_listed;
    return usual_begin(ctx, bytes, n, options);
}

static void a_segment_that_comes_during_a_pass_is_split(void)
{
    struct ingest s = ingest_start(&(struct ingest_options){0});
    struct fake *f = fake_new(NULL);
    fake_destination(f, DSN, s.port);
    usual_begin = f->worker.begin;
    f->worker.begin = begin_while_one_comes;
    f->worker.split = list_nothing;
    lister_says = -ENODATA;
    n_listed = n_listed_before_late = 0;
    fake_report(f, "new", 1, "MDMP", NULL);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(f->result.sent, 2);
    CHECK_INT(n_listed_before_late, 1);
    fake_free(f);
    ingest_stop(&s);
}

static void three_deaths_of_the_worker_quarantine(void)
{
    struct ingest s = ingest_start(&(struct ingest_options){0});
    struct fake *f = fake_new((const char *[]){"upload.retry_base=0", NULL});
    fake_destination(f, DSN, s.port);
    fake_report(f, "new", 1, "DIE", NULL);
    fake_report(f, "new", 2, "MDMP", NULL);
    for (int i = 1; i <= 3; i++) {
        CHECK_INT(fake_count(f, "bad"), 0);
        CHECK_INT(fake_run(f), 0);
    }
    CHECK_INT(fake_count(f, "bad"), 2);
    CHECK_INT(fake_count(f, "sent"), 1); /* the other one went its way */
    fake_free(f);
    ingest_stop(&s);
}

static void a_dead_destination_does_not_hold_back_the_others(void)
{
    struct ingest good = ingest_start(&(struct ingest_options){0});
    struct ingest ill = ingest_start(&(struct ingest_options){.script = "503"});
    struct fake *f = fake_new((const char *[]){"upload.breaker_failures=100", NULL});
    fake_destination(f, DSN, good.port);
    fake_destination(f, DSN, ill.port);
    fake_reports(f, 5, "MDMP");
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(good.counts->requests, 5);
    CHECK_INT(ill.counts->requests, 5);
    CHECK_INT(fake_count(f, "wait"), 5);
    CHECK_INT(fake_count(f, "done"), 5);
    fake_forgive(f);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(good.counts->requests, 5); /* not once more */
    CHECK_INT(ill.counts->requests, 10);
    ingest_stop(&ill);
    /* The same destination comes back to life. */
    ill = ingest_start(&(struct ingest_options){.port = 0});
    destination_done(&f->destinations[1]);
    f->n_destinations = 1;
    fake_destination(f, DSN, ill.port);
    fake_forgive(f);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "sent"), 5);
    CHECK_INT(fake_count(f, "done"), 0);
    CHECK_INT(good.counts->requests, 5);
    fake_free(f);
    ingest_stop(&ill);
    ingest_stop(&good);
}

static void a_large_event_is_trimmed_and_sent_once_more(void)
{
    const char *out = test_tmpdir();
    struct ingest s =
        ingest_start(&(struct ingest_options){.dir = out, .script = "413,200,3*413,200"});
    struct fake *f = fake_new(NULL);
    fake_destination(f, DSN, s.port);
    fake_report(f, "new", 1, "BIG", NULL);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "sent"), 1);
    CHECK(!strstr(slurp(out, "000002.body"), "attachment"));
    fake_report(f, "new", 2, "BIG", NULL);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(s.counts->requests, 5);
    CHECK_INT(fake_count(f, "bad"), 2);
    fake_free(f);
    ingest_stop(&s);
}

/* Each destination gets as much as it takes, and the others wait for none of it. */
static void a_large_event_is_trimmed_for_those_who_ask(void)
{
    const char *out = test_tmpdir(), *otlp_out = test_tmpdir();
    struct ingest strict =
        ingest_start(&(struct ingest_options){.dir = out, .script = "413,413,200"});
    struct ingest never = ingest_start(&(struct ingest_options){.script = "413"});
    struct ingest slow =
        ingest_start(&(struct ingest_options){.script = "200/delay=300"});
    struct ingest logs = ingest_start(
        &(struct ingest_options){.dir = otlp_out, .script = "413,200/body={}"});
    struct fake *f = fake_new(NULL);
    fake_destination(f, DSN, strict.port);
    fake_destination(f, DSN, never.port);
    fake_destination(f, DSN, slow.port);
    fake_destination(f, "otlp+http://127.0.0.1:%d", logs.port);
    fake_report(f, "new", 1, "BIG", NULL);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "sent"), 1);
    CHECK_INT(fake_total(f), 1);
    CHECK_INT(f->n_worked, 2);
    CHECK_INT(strict.counts->requests, 3);
    CHECK(!strstr(slurp(out, "000003.body"), "attachment"));
    CHECK(strstr(slurp(out, "000002.body"), "\"threads\":0"));
    CHECK(strstr(slurp(out, "000003.body"), "\"threads\":1"));
    CHECK_INT(never.counts->requests, 3);
    CHECK_INT(slow.counts->requests, 1);
    CHECK(slow.counts->body_bytes > 1 << 20);
    CHECK_INT(logs.counts->requests, 2);
    CHECK(strstr(slurp(otlp_out, "000002.body"), "\"threads\":1"));
    CHECK(strstr(slurp(f->path, "log"), "\"what\":\"rejected\""));
    fake_free(f);
    ingest_stop(&strict);
    ingest_stop(&never);
    ingest_stop(&slow);
    ingest_stop(&logs);
}

/* The worker that was to make it smaller dies: the one who asked waits, nobody else. */
static void no_smaller_event_can_be_made(void)
{
    struct ingest strict = ingest_start(&(struct ingest_options){.script = "413"});
    struct ingest good = ingest_start(&(struct ingest_options){0});
    struct fake *f = fake_new(NULL);
    fake_destination(f, DSN, strict.port);
    fake_destination(f, DSN, good.port);
    fake_report(f, "new", 1, "DIE SMALL", NULL);
    fake_report(f, "new", 2, "REFUSE SMALL", NULL);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "wait"), 1);
    CHECK_INT(fake_count(f, "sent"), 1);
    CHECK_INT(strict.counts->requests, 2);
    CHECK_INT(good.counts->requests, 2);
    fake_forgive(f);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(good.counts->requests, 2); /* not once more */
    fake_free(f);
    ingest_stop(&strict);
    ingest_stop(&good);
}

/* It dies each time: three are enough, as for the event itself. */
static void no_smaller_event_is_tried_for_ever(void)
{
    struct ingest strict = ingest_start(&(struct ingest_options){.script = "413"});
    struct fake *f = fake_new(NULL);
    fake_destination(f, DSN, strict.port);
    fake_report(f, "new", 1, "DIE SMALL", NULL);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(fake_count(f, "bad"), 0);
        CHECK_INT(fake_run(f), 0);
        fake_forgive(f);
    }
    CHECK_INT(fake_count(f, "bad"), 2);
    fake_free(f);
    ingest_stop(&strict);
}

/* One refuses it now, the other one later: nobody has it. */
static void what_all_refuse_is_not_sent(void)
{
    struct ingest first = ingest_start(&(struct ingest_options){.script = "400"});
    struct ingest second = ingest_start(&(struct ingest_options){.script = "503,400"});
    struct fake *f = fake_new(NULL);
    fake_destination(f, DSN, first.port);
    fake_destination(f, DSN, second.port);
    fake_report(f, "new", 1, "MDMP", NULL);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "wait"), 1);
    fake_forgive(f);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(f->result.sent, 0);
    CHECK_INT(fake_count(f, "bad"), 2);
    CHECK_INT(fake_count(f, "done"), 0);
    CHECK_INT(first.counts->requests, 1);
    CHECK_INT(second.counts->requests, 2);
    fake_free(f);
    ingest_stop(&first);
    ingest_stop(&second);
}

/* Client reports have a limit of their own. */
static void a_limit_of_client_reports_is_kept(void)
{
    const char *out = test_tmpdir();
    struct ingest s = ingest_start(&(struct ingest_options){
        .dir = out, .script = "200/limits=600:internal:key,200"});
    struct fake *f = fake_new(NULL);
    fake_destination(f, DSN, s.port);
    for (unsigned i = 0; i < 4; i += 2) {
        fake_report(f, "new", i + 1, "DROP", NULL);
        CHECK_INT(fake_run(f), 0);
        fake_report(f, "new", i + 2, "MDMP", NULL);
        CHECK_INT(fake_run(f), 0);
    }
    CHECK_INT(s.counts->requests, 2);
    CHECK(strstr(slurp(out, "000001.body"), "client_report"));
    CHECK(!strstr(slurp(out, "000002.body"), "client_report"));
    fake_free(f);
    ingest_stop(&s);
}

static void hostile_files_are_quarantined(void)
{
    struct ingest s = ingest_start(&(struct ingest_options){0});
    struct fake *f = fake_new(NULL);
    fake_destination(f, DSN, s.port);
    fake_report(f, "new", 1, "MDMP", NULL);
    static const char base[] =
        "1763673247123-8f3a1c2e55d0-00112233445566778899aabbccddee%02x-"
        "s11.a00.n0000000000.dmp";
    char file[512], name[128];
    for (unsigned i = 0; i < 5; i++) {
        snprintf(name, sizeof name, base, i);
        snprintf(file, sizeof file, "%s/new/%s", f->path, name);
        if (i == 0)
            CHECK_INT(symlink("/etc/passwd", file), 0);
        else if (i == 1)
            CHECK_INT(mkfifo(file, 0600), 0);
        else if (i == 2)
            CHECK_INT(mkdir(file, 0700), 0);
        else if (i == 3) {
            test_write_file(f->path, "other", "MDMP", 4);
            char other[512];
            snprintf(other, sizeof other, "%s/other", f->path);
            CHECK_INT(link(other, file), 0);
        } else {
            int fd = open(file, O_CREAT | O_WRONLY, 0600);
            CHECK_INT(ftruncate(fd, 4ll << 30), 0);
            close(fd);
        }
    }
    test_write_file(f->path, "new/\x1b[31m evil\n", "x", 1);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "new"), 0);
    CHECK_INT(fake_count(f, "work"), 0);
    CHECK_INT(fake_count(f, "bad"), 12);
    CHECK_INT(fake_count(f, "sent"), 1);
    CHECK_INT(f->n_worked, 1);
    fake_free(f);
    ingest_stop(&s);
}

/* What is quarantined keeps its name, and need not be called like a report. */
static void quarantine_is_bounded_whatever_the_names(void)
{
    static char bytes[8192];
    struct fake *f = fake_new((const char *[]){"spool.retain_bad_bytes=1", NULL});
    test_write_file(f->path, "bad/0badb007-4711-99-ab000000000000000000000000000001.dmp",
        bytes, sizeof bytes);
    test_write_file(f->path, "bad/0badb007-4711-99-ab000000000000000000000000000001.why",
        "damaged\n", 8);
    test_write_file(f->path, "bad/evil", bytes, sizeof bytes);
    test_write_file(f->path, "bad/evil.why", "not a report's name\n", 20);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "bad"), 0);
    fake_free(f);
}

/* A full disk is no reason to forget what could not be sent yet. */
static void want_of_room_loses_no_first_reports(void)
{
    struct ingest s = ingest_start(&(struct ingest_options){0});
    struct fake *f = fake_new((const char *[]){
        "spool.keep_free=4000000G", "spool.keep_free_inodes=4000000000", NULL});
    struct spool_name same = {.signature = 0x77, .signo = 6};
    fake_destination(f, DSN, s.port);
    ingest_stop(&s); /* nobody listens there now */
    for (unsigned i = 0; i < 5; i++)
        fake_report(f, "new", i, "MDMP", i < 3 ? &same : NULL);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(f->result.evicted, 0);
    CHECK_INT(fake_count(f, "wait"), 5);
    fake_free(f);
}

static void leftovers_of_a_dead_uploader_are_sent(void)
{
    struct ingest s = ingest_start(&(struct ingest_options){0});
    struct fake *f = fake_new(NULL);
    fake_destination(f, DSN, s.port);
    fake_report(f, "work", 1, "MDMP", NULL);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "sent"), 1);
    CHECK_INT(s.counts->requests, 1);
    /* One that had arrived, and missed its rename only: the log knows. */
    char a[512], b[512], name[KNELL_SPOOL_NAME_BYTES + 1];
    struct spool *sp = NULL;
    CHECK_INT(spool_open(f->path, true, &sp), 0);
    struct spool_list l = {0};
    CHECK_INT(spool_list_add(sp, SPOOL_SENT, &l), 0);
    spool_name_format(&l.names[0], name);
    spool_list_done(&l);
    spool_close(sp);
    snprintf(a, sizeof a, "%s/sent/%s", f->path, name);
    snprintf(b, sizeof b, "%s/work/%s", f->path, name);
    CHECK_INT(rename(a, b), 0);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(s.counts->requests, 1);
    CHECK_INT(fake_count(f, "sent"), 1);
    fake_free(f);
    ingest_stop(&s);
}

/* As if the clock had gone well for two days. */
static void steady_for_days(const struct fake *f)
{
    struct ledger *l = NULL;
    struct spool *s = NULL;
    uint64_t now_s = (uint64_t)time(NULL);
    CHECK_INT(spool_open(f->path, true, &s), 0);
    CHECK_INT(ledger_load(s->fd, now_s, 1, &l), 0);
    l->seen_s = now_s;
    l->steady_s = now_s - 2 * 86400;
    l->dirty = true;
    CHECK_INT(ledger_save(l, s->fd), 0);
    ledger_free(l);
    spool_close(s);
}

/* A clock that jumped makes all that waits look old. */
static void no_report_becomes_a_number_by_the_clock_alone(void)
{
    struct ingest s = ingest_start(&(struct ingest_options){0});
    struct fake *f = fake_new((const char *[]){"throttle.per_signature=1/1h", NULL});
    fake_destination(f, DSN, s.port);
    struct spool_name same = {.signature = 0x77, .signo = 6, .time_ms = 1600000000000};
    for (unsigned i = 0; i < 3; i++)
        fake_report(f, "new", i, "MDMP", &same);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(f->result.dropped, 0);
    CHECK_INT(fake_count(f, "sent"), 1);
    CHECK_INT(fake_count(f, "wait"), 2);
    fake_free(f);
    ingest_stop(&s);
}

static void a_signature_is_throttled_and_told(void)
{
    const char *out = test_tmpdir();
    struct ingest s = ingest_start(&(struct ingest_options){.dir = out});
    struct fake *f = fake_new((const char *[]){"throttle.per_signature=3/1h", NULL});
    fake_destination(f, DSN, s.port);
    struct spool_name same = {.signature = 0x77, .signo = 6};
    for (unsigned i = 0; i < 10; i++) {
        same.time_ms = 0;
        fake_report(f, "new", i, "MDMP", &same);
    }
    same.time_ms = 1600000000000; /* long ago: becomes a number */
    for (unsigned i = 10; i < 14; i++)
        fake_report(f, "new", i, "MDMP", &same);
    steady_for_days(f);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(f->result.sent, 3);
    CHECK_INT(s.counts->requests, 3);
    int waiting = fake_count(f, "wait");
    CHECK_INT((uint64_t)waiting + f->result.dropped, 11);
    CHECK(f->result.dropped >= 1);
    f->options.all = true; /* a person asks for it: no throttle */
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "wait"), 0);
    char want[64];
    snprintf(want, sizeof want, "\"suppressed\":%d", 11 - waiting);
    CHECK(strstr(slurp(out, "000004.body"), want));
    fake_free(f);
    ingest_stop(&s);
}

/* What did not arrive was not sent: an outage must not use up what a signature may send,
 * or its old reports would become a number though the server has seen none. */
static void a_failure_is_not_counted_against_the_signature(void)
{
    struct ingest s = ingest_start(&(struct ingest_options){.script = "3*503,200"});
    struct fake *f = fake_new((const char *[]){"throttle.per_signature=3/1h",
        "upload.breaker_failures=100", "upload.retry_base=0", NULL});
    fake_destination(f, DSN, s.port);
    uint64_t now_ms = (uint64_t)time(NULL) * 1000, two_days_ms = 2 * 86400000;
    struct spool_name same = {
        .signature = 0x77, .signo = 6, .time_ms = now_ms - two_days_ms};
    for (unsigned i = 0; i < 3; i++)
        fake_report(f, "new", i, "MDMP", &same);
    steady_for_days(f);
    while (s.counts->requests < 3) {
        CHECK_INT(fake_run(f), 0);
        fake_make_due(f);
    }
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(f->result.dropped, 0);
    CHECK_INT(fake_count(f, "sent"), 3);
    fake_report(f, "new", 4, "MDMP", &same);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(f->result.dropped, 1);
    fake_free(f);
    ingest_stop(&s);
}

/* One destination that is down is no reason to flood the others, or to tell them of the
 * same missing reports again and again. */
static void a_throttle_holds_while_one_destination_is_down(void)
{
    const char *out = test_tmpdir();
    struct ingest good = ingest_start(&(struct ingest_options){.dir = out});
    struct ingest ill = ingest_start(&(struct ingest_options){.script = "503"});
    struct fake *f = fake_new((const char *[]){"throttle.per_signature=3/1h", NULL});
    struct spool_name same = {.signature = 0x77, .signo = 6};
    struct ledger *l = NULL;
    struct spool *s = NULL;
    fake_destination(f, DSN, good.port);
    fake_destination(f, DSN, ill.port);
    for (unsigned i = 0; i < 10; i++)
        fake_report(f, "new", i, "MDMP", &same);
    CHECK_INT(spool_open(f->path, true, &s), 0);
    CHECK_INT(ledger_load(s->fd, (uint64_t)time(NULL), 1, &l), 0);
    ledger_signature(l, 0x77)->n_suppressed = 5;
    l->dirty = true;
    CHECK_INT(ledger_save(l, s->fd), 0);
    ledger_free(l);
    spool_close(s);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(fake_run(f), 0);
        fake_make_due(f);
    }
    CHECK_INT(good.counts->requests, 3);
    CHECK_INT(fake_count(f, "wait"), 10);
    unsigned n_told = 0;
    for (unsigned i = 1; i <= 3; i++) {
        char file[32];
        snprintf(file, sizeof file, "%06u.body", i);
        n_told += times(slurp(out, file), "\"suppressed\":5");
    }
    CHECK_INT(n_told, 1);
    fake_free(f);
    ingest_stop(&ill);
    ingest_stop(&good);
}

/* What one destination has is no loss to tell of when another one never gets it. */
static void no_drop_is_told_of_what_arrived(void)
{
    const char *out = test_tmpdir();
    struct ingest good = ingest_start(&(struct ingest_options){.dir = out});
    struct ingest ill = ingest_start(&(struct ingest_options){.script = "503"});
    struct fake *f = fake_new((const char *[]){"spool.max_reports=1", NULL});
    fake_destination(f, DSN, good.port);
    fake_destination(f, DSN, ill.port);
    fake_reports(f, 4, "MDMP");
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(f->result.evicted, 3);
    CHECK_INT(good.counts->requests, 4);
    fake_report(f, "new", 9, "MDMP", NULL);
    CHECK_INT(fake_run(f), 0);
    CHECK(strstr(slurp(out, "000005.body"), "\"event_id\""));
    CHECK(!strstr(slurp(out, "000005.body"), "client_report"));
    fake_free(f);
    ingest_stop(&ill);
    ingest_stop(&good);
}

static volatile sig_atomic_t told_to_stop;

static void stop_after_the_first_answer(void *ctx, uint64_t done, uint64_t total)
{
    const struct fake *f = ctx;
    (void)done;
    (void)total;
    told_to_stop = strstr(slurp(f->path, "log"), "\"what\":\"sent\"") != NULL;
}

/* Told to stop while one destination has answered and another has not. */
static void a_stop_forgets_nothing_that_arrived(void)
{
    struct ingest good = ingest_start(&(struct ingest_options){0});
    struct ingest dumb = ingest_start(&(struct ingest_options){.script = "hang"});
    struct fake *f = fake_new((const char *[]){"upload.stop_grace=0", NULL});
    fake_destination(f, DSN, good.port);
    fake_destination(f, DSN, dumb.port);
    fake_report(f, "new", 1, "MDMP", NULL);
    told_to_stop = 0;
    f->options.stop = &told_to_stop;
    f->options.progress = stop_after_the_first_answer;
    f->options.progress_ctx = f;
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(good.counts->requests, 1);
    CHECK_INT(fake_count(f, "wait"), 1);
    ingest_stop(&dumb);
    dumb = ingest_start(&(struct ingest_options){0});
    destination_done(&f->destinations[1]);
    f->n_destinations = 1;
    fake_destination(f, DSN, dumb.port);
    f->options.stop = NULL;
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "sent"), 1);
    CHECK_INT(good.counts->requests, 1); /* not once more */
    CHECK_INT(dumb.counts->requests, 1);
    fake_free(f);
    ingest_stop(&dumb);
    ingest_stop(&good);
}

/* The same when the uploader was killed there: its log knows. */
static void a_killed_uploader_forgets_nothing_that_arrived(void)
{
    struct ingest good = ingest_start(&(struct ingest_options){0});
    struct ingest ill = ingest_start(&(struct ingest_options){0});
    struct fake *f = fake_new(NULL);
    fake_destination(f, DSN, good.port);
    fake_destination(f, DSN, ill.port);
    fake_report(f, "work", 1, "MDMP", NULL);
    char line[512];
    int n = snprintf(line, sizeof line,
        "{\"time_ms\":1,\"event_id\":\"ab000000000000000000000000000001\","
        "\"what\":\"sent\",\"destination\":\"%016llx\"}\n",
        (unsigned long long)f->destinations[0].id);
    test_write_file(f->path, "log", line, (size_t)n);
    /* And what it knew of a report that is gone is of no more use. */
    test_write_file(
        f->path, "done/ab000000000000000000000000000002-0000000000000001", "", 0);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "sent"), 1);
    CHECK_INT(good.counts->requests, 0); /* not once more */
    CHECK_INT(ill.counts->requests, 1);
    CHECK_INT(fake_count(f, "done"), 0);
    fake_free(f);
    ingest_stop(&ill);
    ingest_stop(&good);
}

static int begin_without_sent(
    void *ctx, const uint8_t *report, size_t n, const struct worker_options *options)
{
    const struct fake *f = ctx;
    char path[512];
    snprintf(path, sizeof path, "%s/sent", f->path);
    CHECK_INT(rmdir(path), 0);
    return usual_begin(ctx, report, n, options);
}

/* The same when the last rename is what is missing: who had it before is still known. */
static void who_has_a_report_is_known_until_it_has_left(void)
{
    struct ingest first = ingest_start(&(struct ingest_options){0});
    struct ingest second = ingest_start(&(struct ingest_options){0});
    struct fake *f = fake_new(NULL);
    char mark[128];
    fake_destination(f, DSN, first.port);
    fake_destination(f, DSN, second.port);
    fake_report(f, "wait", 1, "MDMP", NULL);
    snprintf(mark, sizeof mark, "done/ab000000000000000000000000000001-%016llx",
        (unsigned long long)f->destinations[0].id);
    test_write_file(f->path, mark, "", 0);
    usual_begin = f->worker.begin;
    f->worker.begin = begin_without_sent;
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "work"), 1);
    f->worker.begin = usual_begin;
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "sent"), 1);
    CHECK_INT(fake_count(f, "done"), 0);
    CHECK_INT(first.counts->requests, 0);
    CHECK_INT(second.counts->requests, 1);
    fake_free(f);
    ingest_stop(&second);
    ingest_stop(&first);
}

static int cannot_begin(
    void *ctx, const uint8_t *report, size_t n, const struct worker_options *options)
{
    (void)ctx;
    (void)report;
    (void)n;
    (void)options;
    return -EACCES;
}

/* A program that must not be started here says nothing about the reports. */
static void a_worker_that_cannot_begin_is_no_fault_of_the_report(void)
{
    struct ingest s = ingest_start(&(struct ingest_options){0});
    struct fake *f = fake_new(NULL);
    fake_destination(f, DSN, s.port);
    fake_reports(f, 2, "MDMP");
    f->worker.begin = cannot_begin;
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "bad"), 0);
    CHECK_INT(fake_count(f, "wait"), 2);
    fake_free(f);
    ingest_stop(&s);
}

static int dies_of_a_journal(void *ctx, const uint8_t *image, size_t n,
    const struct spool_live_name *live, const uint8_t *slot, size_t n_slot,
    struct spool_name *name, uint8_t **ret, size_t *ret_n)
{
    struct fake *f = ctx;
    (void)image;
    (void)n;
    (void)live;
    (void)slot;
    (void)n_slot;
    (void)name;
    (void)ret;
    (void)ret_n;
    f->n_worked++;
    return -ECHILD;
}

/* The sender does not read it, and the worker dies of it three times. */
static void a_journal_that_ends_its_reader_is_put_away(void)
{
    const struct knell_journal_head h = {.magic = KNELL_JOURNAL_MAGIC,
        .version = KNELL_JOURNAL_VERSION,
        .head_bytes = sizeof h,
        .total_bytes = sizeof h,
        .state = KNELL_RUN_RUNNING};
    struct fake *f = fake_new(NULL);
    test_write_file(f->path, "live/0badb007-4711-99-ab000000000000000000000000000001.jnl",
        &h, sizeof h);
    CHECK_INT(fake_run(f), 0); /* nobody reads it */
    CHECK_INT(fake_count(f, "live"), 1);
    f->worker.obituary = dies_of_a_journal;
    for (int i = 1; i <= 2; i++) {
        CHECK_INT(fake_run(f), 0);
        CHECK_INT(f->n_worked, i);
        CHECK_INT(f->result.remaining, 1);
        CHECK_INT(fake_count(f, "live"), 1);
    }
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(fake_count(f, "live"), 0);
    CHECK_INT(fake_count(f, "bad"), 2);
    fake_free(f);
}

TEST_MAIN(TEST(delivers_to_a_server), TEST(compresses_when_asked),
    TEST(headers_go_to_their_collector_alone), TEST(writes_a_file_per_event),
    TEST(keeps_all_without_a_destination), TEST(consent_has_the_last_word),
    TEST(what_waits_for_consent_has_its_limits),
    TEST(consent_can_be_taken_back_at_any_time),
    TEST(quarantines_what_the_worker_refuses_or_drops), TEST(a_drop_is_told_once),
    TEST(a_refused_segment_is_counted_as_what_it_is),
    TEST(a_segment_that_cannot_be_split_now_waits),
    TEST(a_segment_that_comes_during_a_pass_is_split),
    TEST(three_deaths_of_the_worker_quarantine),
    TEST(a_dead_destination_does_not_hold_back_the_others),
    TEST(a_large_event_is_trimmed_and_sent_once_more),
    TEST(a_large_event_is_trimmed_for_those_who_ask), TEST(no_smaller_event_can_be_made),
    TEST(no_smaller_event_is_tried_for_ever), TEST(what_all_refuse_is_not_sent),
    TEST(a_limit_of_client_reports_is_kept), TEST(hostile_files_are_quarantined),
    TEST(quarantine_is_bounded_whatever_the_names),
    TEST(want_of_room_loses_no_first_reports),
    TEST(leftovers_of_a_dead_uploader_are_sent), TEST(a_signature_is_throttled_and_told),
    TEST(no_report_becomes_a_number_by_the_clock_alone),
    TEST(a_failure_is_not_counted_against_the_signature),
    TEST(a_throttle_holds_while_one_destination_is_down),
    TEST(no_drop_is_told_of_what_arrived), TEST(a_stop_forgets_nothing_that_arrived),
    TEST(a_killed_uploader_forgets_nothing_that_arrived),
    TEST(who_has_a_report_is_known_until_it_has_left),
    TEST(a_worker_that_cannot_begin_is_no_fault_of_the_report),
    TEST(a_journal_that_ends_its_reader_is_put_away))
