/* What a daemon says comes out of the uploader: every kind of it, read from envelopes. */
#include "telling.h"
#include "test.h"
#include "tmpdir.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void scope_of_a_crash(void)
{
    int status = tell("scope", "segv");
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    upload();
    CHECK_INT(envelopes_count(&got, "event"), 1);
    const cJSON *e = event(0);
    check_scope(e);
    /* Those of the crashed thread's innermost scope lie over the others. */
    CHECK_STR(json_text(e, "tags/route"), "connection");
    CHECK_STR(json_text(e, "tags/peer"), "10.0.0.7");
    CHECK_STR(json_text(e, "tags/seen_by"), "");
    CHECK_STR(json_text(e, "tags/temporary"), "");
    CHECK_STR(json_text(e, "exception/values/0/type"), "SIGSEGV");
    CHECK_INT(strlen(json_text(e, "contexts/trace/trace_id")), 32);
    CHECK_INT(envelopes_count(&got, "attachment"), 1);
    CHECK_STR(got.all[got.n - 1].filename, "config.txt");
    CHECK_STR(got.all[got.n - 1].text, "a=1\n");
}

static size_t ids_said(char ids[][33], size_t room)
{
    size_t n = 0;
    for (const char *p = said; (p = strstr(p, "id ")) && n < room; p += 3) {
        (void)sscanf(p + 3, "%32[0-9a-f]", ids[n]);
        n += ids[n][0] != 0;
    }
    return n;
}

static void check_query_failed(const cJSON *e)
{
    CHECK_STR(json_text(e, "exception/values/0/value"), "connection refused");
    CHECK_STR(json_text(e, "exception/values/0/mechanism/type"), "generic");
    CHECK(cJSON_IsTrue(json_at(e, "exception/values/0/mechanism/handled")));
    CHECK_STR(top_function(json_at(e, "exception/values/0/stacktrace")), "fail_query");
    CHECK_STR(json_text(e, "level"), "error");
    CHECK_STR(json_text(e, "tags/domain"), "database");
    CHECK_STR(json_text(e, "tags/operation"), "login");
    CHECK_STR(json_text(e, "tags/code"), "111");
    CHECK_STR(json_text(e, "extra/query"), "select 1");
    CHECK_INT(json_number(e, "extra/attempt"), 2);
    CHECK_INT(cJSON_GetArraySize(json_at(e, "threads/values")), 1);
}

static void handled_errors_and_messages(void)
{
    char ids[64][33] = {""};
    int status = tell("errors", "stop");
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    size_t n = ids_said(ids, 64);
    upload();
    CHECK_INT(n, 3 + 1 + 1 + 1); /* of 20 equal ones a burst of 3 */
    CHECK_INT(envelopes_count(&got, "event"), n);
    for (size_t i = 0; i < n; i++) {
        bool found = false;
        for (size_t k = 0; k < n; k++)
            found |= !strcmp(json_text(event(k), "event_id"), ids[i]);
        CHECK(found);
    }
    check_query_failed(event_of_type("QueryFailed"));
    const cJSON *all = event_of_type("Everybody");
    CHECK_STR(json_text(all, "level"), "fatal");
    CHECK_INT(cJSON_GetArraySize(json_at(all, "threads/values")), 2);
    CHECK(!event_of_type("Expected"));
    CHECK_STR(json_text(event_of_type("Tolerable"), "level"), "warning");
    const cJSON *message = NULL;
    for (size_t i = 0; i < n; i++) {
        if (json_at(event(i), "logentry"))
            message = event(i);
    }
    CHECK_STR(json_text(message, "logentry/formatted"), "disk nearly full");
    CHECK_STR(json_text(message, "level"), "warning");
    CHECK(!json_at(message, "exception"));
    CHECK_INT(json_number(all, "contexts/knell/errors_suppressed"), 17);
}

static void sampling_of_errors(void)
{
    new_place();
    (void)tell_with("errors", "stop", "SENTRY_SAMPLE_RATE=0.000001");
    upload();
    CHECK_INT(envelopes_count(&got, "event"), 0);
    /* Of a crash there is no sample. */
    new_place();
    (void)tell_with("errors", "segv", "SENTRY_SAMPLE_RATE=0.000001");
    upload();
    CHECK_INT(envelopes_count(&got, "event"), 1);
    CHECK_STR(json_text(event(0), "exception/values/0/type"), "SIGSEGV");
}

static const cJSON *session_with(const char *status)
{
    for (size_t i = 0; i < envelopes_count(&got, "session"); i++) {
        const cJSON *s = envelopes_get(&got, "session", i);
        if (!strcmp(json_text(s, "status"), status))
            return s;
    }
    return NULL;
}

static size_t ends_in_event(const char *how)
{
    return !strcmp(how, "segv") || !strcmp(how, "9");
}

/* Each handled error's envelope says how many there have been. */
static void handled_errors_leave_the_session_open(void)
{
    bool seen[8] = {false};
    new_place();
    (void)tell_with("errors", "stop", "KNELL_SESSIONS=1");
    upload();
    for (size_t i = 1; i < got.n; i++) {
        const cJSON *s = got.all[i].json;
        if (strcmp(got.all[i].type, "session") != 0 ||
            strcmp(got.all[i - 1].type, "event") != 0)
            continue;
        double errors = json_number(s, "errors"), seq = json_number(s, "seq");
        CHECK_STR(json_text(s, "status"), "ok");
        CHECK(!cJSON_IsTrue(json_at(s, "init")));
        CHECK(errors >= 1 && errors < 8);
        CHECK(seq == errors + 1); /* the first one was 1 */
        seen[(int)errors % 8] = true;
    }
    /* Three query failures, a message that is no error, one of less weight, one not
     * reported, one more. */
    CHECK(seen[1] && seen[2] && seen[3] && seen[4] && !seen[5] && seen[6]);
}

static void sessions(void)
{
    static const struct {
        const char *what, *how, *status;
        int errors;
    } cases[] = {{"", "stop", "exited", 0}, {"errors", "stop", "exited", 6},
        {"scope", "stop", "exited", 0}, {"", "exit", "exited", 0},
        {"", "15", "exited", 0}, {"", "segv", "crashed", 1}, {"", "9", "abnormal", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        new_place();
        (void)tell_with(cases[i].what, cases[i].how, "KNELL_SESSIONS=1");
        upload();
        size_t n_init = 0, n = envelopes_count(&got, "session");
        const char *sid = json_text(envelopes_get(&got, "session", 0), "sid");
        const cJSON *initial = NULL;
        for (size_t k = 0; k < n; k++) {
            const cJSON *s = envelopes_get(&got, "session", k);
            if (cJSON_IsTrue(json_at(s, "init"))) {
                initial = s;
                n_init++;
            }
            CHECK_STR(json_text(s, "sid"), sid);
            CHECK_STR(json_text(s, "attrs/release"), "teller@1.0");
        }
        CHECK_INT(n, 2 + envelopes_count(&got, "event") - ends_in_event(cases[i].how));
        CHECK_INT(n_init, 1);
        /* The user of the process, who was not known yet when it began. */
        CHECK_STR(json_text(initial, "did"), "");
        CHECK_STR(json_text(session_with(cases[i].status), "did"),
            strcmp(cases[i].what, "scope") ? "" : "42");
        CHECK_STR(json_text(initial, "status"), "ok");
        CHECK(session_with(cases[i].status) != NULL);
        CHECK_INT(json_number(session_with(cases[i].status), "errors"), cases[i].errors);
    }
    /* The crashed one is in the envelope of its crash. */
    new_place();
    (void)tell_with("", "segv", "KNELL_SESSIONS=1");
    upload();
    for (size_t i = 0; i < got.n; i++) {
        if (got.all[i].json == session_with("crashed"))
            CHECK(i > 0 && !strcmp(got.all[i - 1].type, "event") &&
                  !strcmp(got.all[i - 1].event_id, got.all[i].event_id));
    }
}

/* A share of the events is enough for who looks at them, not for the rate of crashes. */
static void a_sampled_out_event_leaves_its_session(void)
{
    static const char rules[] = "[rules]\nsample = type=SIGSEGV 0\n";
    char config[300];
    new_place();
    (void)tell_with("", "segv", "KNELL_SESSIONS=1");
    const char *folder = test_tmpdir();
    (void)snprintf(config, sizeof config, "KNELL_CONFIG=%s/knell.conf", folder);
    test_write_file(folder, "knell.conf", rules, sizeof rules - 1);
    upload_with(config);
    CHECK_INT(envelopes_count(&got, "event"), 0);
    CHECK_INT(envelopes_count(&got, "session"), 2);
    CHECK_INT(json_number(session_with("crashed"), "errors"), 1);
    CHECK_INT(test_count_files(spool, "bad"), 2); /* the report, and why */
    upload_with(config);
    CHECK_INT(envelopes_count(&got, "session"), 2);
}

static void check_users_transaction(const cJSON *t)
{
    CHECK_STR(
        json_text(t, "contexts/trace/trace_id"), "0123456789abcdef0123456789abcdef");
    CHECK_STR(json_text(t, "contexts/trace/parent_span_id"), "0123456789abcdef");
    CHECK_STR(json_text(t, "contexts/trace/op"), "http.server");
    CHECK_STR(json_text(t, "contexts/trace/status"), "ok");
    CHECK_STR(json_text(t, "tags/cache"), "miss");
    CHECK_STR(json_text(t, "release"), "teller@1.0");
    CHECK_INT(cJSON_GetArraySize(json_at(t, "spans")), 2);
    const cJSON *query = json_at(t, "spans/0"), *open = json_at(t, "spans/1");
    CHECK_STR(json_text(query, "op"), "db.query");
    CHECK_STR(json_text(query, "description"), "select user");
    CHECK_STR(json_text(query, "status"), "not_found");
    CHECK_INT(json_number(query, "data/rows"), 1);
    CHECK_STR(json_text(query, "parent_span_id"), json_text(t, "contexts/trace/span_id"));
    CHECK_STR(json_text(open, "parent_span_id"), json_text(query, "span_id"));
}

static void transactions_spans_and_logs(void)
{
    new_place();
    (void)tell_with("spans", "segv", "SENTRY_TRACES_SAMPLE_RATE=1");
    CHECK(!strstr(said, "syslog says no")); /* the one on stderr */
    upload();
    check_users_transaction(transaction("GET /users/{id}"));
    CHECK(!transaction("GET /health"));
    CHECK(!transaction("thrown away"));
    CHECK(!transaction("GET /broken")); /* it was open: the crash has its ids */
    CHECK_INT(envelopes_count(&got, "transaction"), 7);
    const cJSON *w3c = transaction("GET /w3c");
    CHECK_STR(
        json_text(w3c, "contexts/trace/trace_id"), "fedcba9876543210fedcba9876543210");
    CHECK_STR(json_text(w3c, "contexts/trace/parent_span_id"), "fedcba9876543210");
    for (size_t i = 1; i < got.n;
         i++) /* one each: servers keep only one of an envelope */
        CHECK(strcmp(got.all[i].type, "transaction") != 0 ||
              strcmp(got.all[i - 1].type, "transaction") != 0 ||
              strcmp(got.all[i].event_id, got.all[i - 1].event_id) != 0);
    const char *sent = strstr(said, "out ");
    CHECK(sent && !strncmp(sent + 4, "0123456789abcdef0123456789abcdef-", 33));
    CHECK(sent && strstr(sent, " 00-0123456789abcdef0123456789abcdef-"));
    CHECK(sent && strstr(sent, "-01 sentry-release=x%401"));

    const cJSON *e = event(0), *logs = envelopes_get(&got, "log", 0);
    CHECK_STR(json_text(e, "transaction"), "GET /broken");
    CHECK_STR(json_text(e, "contexts/trace/op"), "render");
    CHECK_INT(cJSON_GetArraySize(json_at(logs, "items")), 3);
    CHECK(!strncmp(json_text(logs, "items/0/body"), "listening on port 80: ", 22));
    CHECK_STR(json_text(logs, "items/1/level"), "error");
    CHECK_INT(json_number(logs, "items/1/attributes/n/value"), 5);
    CHECK_STR(
        json_text(logs, "items/1/trace_id"), json_text(e, "contexts/trace/trace_id"));
    CHECK_STR(json_text(logs, "items/2/body"), "syslog says no");
    CHECK_STR(json_text(e, "breadcrumbs/values/2/message"), "syslog says no");
}

static void unsampled_transactions_are_not_sent(void)
{
    (void)tell("spans", "stop");
    upload();
    CHECK_INT(envelopes_count(&got, "transaction"), 0);
    CHECK_INT(envelopes_count(&got, "log"), 1);
}

/* Lines go to syslog(3) all the same, and into the breadcrumbs. */
static void logs_that_are_not_sent(void)
{
    char spool_env[300];
    new_place();
    (void)snprintf(spool_env, sizeof spool_env, "KNELL_SPOOL=%s", spool);
    const char *const argv[] = {TELLER, "spans", "segv", NULL};
    const char *const env[] = {
        spool_env, "KNELL_DSN=", "NO_LOGS=1", "STDERR_TO_STDOUT=1", NULL};
    (void)run(argv, env);
    CHECK(strstr(said, "syslog says no") != NULL);
    upload();
    CHECK_INT(envelopes_count(&got, "log"), 0);
    CHECK_INT(envelopes_count(&got, "event"), 1);
    CHECK_STR(json_text(event(0), "breadcrumbs/values/1/message"), "template missing");
    CHECK_INT(json_number(event(0), "breadcrumbs/values/1/data/n"), 5);
    CHECK_STR(json_text(event(0), "breadcrumbs/values/2/message"), "syslog says no");
    CHECK_STR(json_text(event(0), "breadcrumbs/values/2/level"), "error");
}

/* A server of one thread: whatever happens has the facts of its connection. */
static void thousands_of_connections_keep_apart(void)
{
    bool seen[5] = {false};
    char name[32];
    (void)tell("connections", "segv");
    upload();
    CHECK_INT(envelopes_count(&got, "event"), 4 + 1); /* it dies before the fifth */
    for (size_t i = 0; i < envelopes_count(&got, "event"); i++) {
        const cJSON *e = event(i);
        const char *peer = json_text(e, "tags/peer");
        bool crash = !strcmp(json_text(e, "exception/values/0/type"), "SIGSEGV");
        int n = crash ? 3999 : atoi(json_text(e, "tags/code"));
        if (!CHECK(n / 1000 < 5 && (crash || n % 1000 == 7)))
            continue;
        CHECK(atoi(peer) == n && *peer);
        CHECK_STR(json_text(e, "user/id"), peer);
        (void)snprintf(name, sizeof name, "serve %d", n);
        CHECK_STR(json_text(e, "transaction"), name);
        CHECK_STR(json_text(e, "tags/odd"), n % 2 ? peer : "");
        CHECK_STR(json_text(e, "tags/even"), n % 2 ? "" : peer);
        seen[crash ? 4 : n / 1000] = true;
    }
    CHECK(seen[0] && seen[1] && seen[2] && seen[3] && seen[4]);
}

/* Servers take so many in one item: the others come in further envelopes. */
static void a_flood_of_logs_arrives_whole(void)
{
    static bool seen[2500];
    size_t n = 0;
    new_place();
    memset(seen, 0, sizeof seen);
    (void)tell_with("many-logs", "stop", "SENTRY_TRACES_SAMPLE_RATE=1");
    upload();
    CHECK_INT(envelopes_count(&got, "transaction"), 1);
    CHECK_INT(envelopes_count(&got, "log"), 3);
    for (size_t i = 0; i < envelopes_count(&got, "log"); i++) {
        const cJSON *one, *all = json_at(envelopes_get(&got, "log", i), "items");
        CHECK(cJSON_GetArraySize(all) <= 1000);
        cJSON_ArrayForEach(one, all)
        {
            int k = atoi(json_text(one, "body"));
            if (CHECK(k >= 0 && k < 2500 && !seen[k])) {
                seen[k] = true;
                n++;
            }
        }
    }
    CHECK_INT(n, 2500);
}

static void hang(void)
{
    int status = tell("hang", "stop");
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    upload();
    CHECK_INT(envelopes_count(&got, "event"), 1);
    const cJSON *e = event(0);
    CHECK_STR(json_text(e, "exception/values/0/type"), "Hang");
    CHECK_STR(json_text(e, "tags/loop"), "event loop");
    CHECK_INT(cJSON_GetArraySize(json_at(e, "threads/values")), 2);
    const cJSON *f, *frames = json_at(e, "exception/values/0/stacktrace/frames");
    bool in_loop = false;
    cJSON_ArrayForEach(f, frames) in_loop |=
        !strcmp(json_text(f, "function"), "say_hang");
    CHECK(in_loop);
}

static void a_fork_child_watches_by_itself(void)
{
    (void)tell("fork-cover-hang", "stop");
    CHECK(strstr(said, "child 0\n") != NULL);
    upload();
    CHECK_INT(envelopes_count(&got, "event"), 1);
    CHECK_STR(json_text(event(0), "exception/values/0/type"), "Hang");
    CHECK_STR(json_text(event(0), "tags/loop"), "event loop");
}

/* Each text is at most as long as servers keep it; nothing fails, and what was lost is
 * counted. */
static void limits_are_kept_and_counted(void)
{
    static const struct {
        const char *path;
        size_t most;
    } limits[] = {{"tags/tag0", 200}, {"user/id", 256}, {"contexts/ctx/long", 1024},
        {"extra/long", 1024}, {"transaction", 200}, {"exception/values/0/type", 128},
        {"exception/values/0/value", 8192}, {"tags/domain", 200}, {"tags/operation", 200},
        {"breadcrumbs/values/0/message", 8192}, {"breadcrumbs/values/0/category", 64}};
    unsigned long long cut = 0, lost = 0;
    (void)tell("too-much", "stop");
    (void)sscanf(strstr(said, "cut ") ? strstr(said, "cut ") : "", "cut %llu lost %llu",
        &cut, &lost);
    CHECK_INT(lost, 100 - 64); /* tags of the global scope */
    CHECK(cut >= 150 + 9);
    upload();
    const cJSON *e = event(0), *one;
    CHECK_INT(envelopes_count(&got, "event"), 1);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        size_t n = strlen(json_text(e, limits[i].path));
        if (!CHECK(n > 20 && n <= limits[i].most))
            (void)printf("%s: %zu\n", limits[i].path, n);
    }
    CHECK_STR(json_text(e, "tags/tag1"), "two lines");
    CHECK_INT(cJSON_GetArraySize(json_at(e, "breadcrumbs/values")), 100);
    CHECK_INT(cJSON_GetArraySize(json_at(e, "fingerprint")), 16);
    cJSON_ArrayForEach(one, json_at(e, "tags")) CHECK(strlen(one->string) <= 32);
    cJSON_ArrayForEach(one, json_at(e, "contexts/ctx")) CHECK(strlen(one->string) <= 64);
    for (size_t i = 0; i < got.n; i++) {
        if (!strcmp(got.all[i].type, "attachment"))
            CHECK_INT(strlen(got.all[i].text), 2048);
    }
}

/* A server refuses an event that is not UTF-8; envelopes_read() checks that all is. */
static void bytes_that_are_no_text(void)
{
    static const char *const ways[] = {"stop", "segv", "9"};
    for (size_t i = 0; i < 3; i++) {
        new_place();
        (void)tell_with("odd-bytes", ways[i], "SENTRY_TRACES_SAMPLE_RATE=1");
        upload();
        CHECK_INT(envelopes_count(&got, "event"), i ? 3 : 2);
        CHECK_INT(envelopes_count(&got, "transaction"), 1);
        CHECK_INT(envelopes_count(&got, "log"), 1);
        CHECK_STR(json_text(event(0), "user/data/n"), "1");
        CHECK_INT(json_number(event(0), "contexts/odd/n"), 1);
        CHECK_INT(test_count_files(spool, "bad"), 0);
    }
}

static void as_many_breadcrumbs_as_asked_for(void)
{
    new_place();
    (void)tell_with("too-much", "stop", "CRUMBS=7");
    upload();
    CHECK_INT(cJSON_GetArraySize(json_at(event(0), "breadcrumbs/values")), 7);
}

static void before_start_everything_is_a_no_op(void)
{
    int status = tell("unstarted", "stop");
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(strstr(said, "id \n") != NULL);
    CHECK(strstr(said, "armed 0 journal 0 error 0 reason not started") != NULL);
}

static void a_spool_that_cannot_be_is_told(void)
{
    char path[300];
    new_place();
    (void)snprintf(path, sizeof path, "%s/file", arrivals);
    test_write_file(arrivals, "file", "", 0);
    (void)snprintf(spool, sizeof spool, "%.200s/file/spool", arrivals);
    int status = tell_with("scope", "stop", NULL);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(
        strstr(said, "armed 0 journal 0 error -20 reason knell_start: Not a directory"));
}

static bool says(const char *line)
{
    bool found = strstr(said, line) != NULL;
    if (!found)
        (void)printf("not said: %s\n", line);
    return found;
}

static void the_debug_switch_explains(void)
{
    new_place();
    (void)tell_with("errors", "stop", "STDERR_TO_STDOUT=1");
    CHECK(!strstr(said, "knell[")); /* law: no output */
    const char *const argv[] = {TELLER, "errors", "stop", NULL};
    char spool_env[300];
    (void)snprintf(spool_env, sizeof spool_env, "KNELL_SPOOL=%s", spool);
    const char *const env[] = {spool_env, "KNELL_DEBUG=1", "STDERR_TO_STDOUT=1",
        "KNELL_DSN=https://secretkey@sentry.example/42", NULL};
    (void)run(argv, env);
    CHECK(says("starts: application teller, release teller@1.0, environment production"));
    CHECK(says("reports go to https://***@sentry.example/42"));
    CHECK(!strstr(said, "secretkey"));
    CHECK(says(spool));
    CHECK(says("100 breadcrumbs of 256 bytes"));
    CHECK(says("handlers armed"));
    CHECK(says("no uploader is started: it is switched off"));
    CHECK(says("session begun"));
    CHECK(says("too many of its kind"));
    CHECK(says(" written\n"));
    CHECK(says("knell stops"));
    (void)snprintf(spool, sizeof spool, "%.200s/file/spool", arrivals);
    test_write_file(arrivals, "file", "", 0);
    (void)snprintf(spool_env, sizeof spool_env, "KNELL_SPOOL=%s", spool);
    (void)run(argv, env);
    CHECK(says("not armed: Not a directory"));
    new_place();
    (void)snprintf(spool_env, sizeof spool_env, "KNELL_SPOOL=%s", spool);
    const char *const spans[] = {TELLER, "spans", "stop", NULL};
    const char *const sampled[] = {spool_env, "KNELL_DEBUG=1", "STDERR_TO_STDOUT=1",
        "KNELL_DSN=", "SENTRY_TRACES_SAMPLE_RATE=1", NULL};
    (void)run(spans, sampled);
    CHECK(says("the DSN is empty: reports are kept, nothing is sent"));
    CHECK(says("transaction GET /health is one of ignore_transactions"));
    CHECK(says("transaction POST /orders: will be sent"));
    CHECK(says("left to the uploader"));
}

static void fork_children(void)
{
    (void)tell("fork", "stop");
    upload();
    /* Silent: no message, no obituary; a crash is told with the parent's facts. */
    CHECK_INT(envelopes_count(&got, "event"), 1);
    CHECK_STR(json_text(event(0), "exception/values/0/type"), "SIGSEGV");
    CHECK_STR(json_text(event(0), "tags/who"), "parent");
    CHECK_STR(json_text(event(0), "tags/child"), "1");

    new_place();
    (void)tell_with("fork-cover", "stop", "KNELL_SESSIONS=1");
    upload();
    CHECK_INT(envelopes_count(&got, "event"), 3);
    CHECK(event_of_type("SIGSEGV") != NULL);
    const cJSON *killed = event_of_type("SIGKILL");
    CHECK_STR(json_text(killed, "tags/child"), "2");
    CHECK_STR(json_text(killed, "breadcrumbs/values/0/message"), "2");
    size_t n_init = 0;
    for (size_t i = 0; i < envelopes_count(&got, "session"); i++)
        n_init += cJSON_IsTrue(json_at(envelopes_get(&got, "session", i), "init")) != 0;
    CHECK_INT(n_init, 4);
}

static const cJSON *event_of_peer(const char *peer)
{
    for (size_t i = 0; i < envelopes_count(&got, "event"); i++) {
        if (!strcmp(json_text(event(i), "tags/peer"), peer))
            return event(i);
    }
    return NULL;
}

/* What a parent says after the fork is not in its child's report, what the child says is,
 * and so is the scope it came with. */
static void a_fork_child_keeps_what_it_came_with(void)
{
    (void)tell("fork-and-go-on", "stop");
    CHECK(!strstr(said, "died of 14")); /* SIGALRM */
    upload();
    CHECK_INT(envelopes_count(&got, "event"), 2);
    const cJSON *e = event_of_peer("first");
    CHECK_STR(json_text(e, "user/id"), "of both");
    CHECK(!json_at(e, "contexts/parent 1"));
    CHECK_INT(cJSON_GetArraySize(json_at(e, "breadcrumbs/values")), 2);
    CHECK_STR(json_text(e, "breadcrumbs/values/0/message"), "of both");
    CHECK_STR(json_text(e, "breadcrumbs/values/1/message"), "child");
    e = event_of_peer("second");
    CHECK_STR(json_text(e, "user/id"), "child");
    CHECK_STR(json_text(e, "contexts/child 9/who"), "child");
    CHECK_STR(json_text(e, "contexts/parent 9/who"), "parent"); /* before its fork */
    CHECK_INT(cJSON_GetArraySize(json_at(e, "breadcrumbs/values")), 100);
    for (int i = 0; i < 100; i++) {
        const cJSON *crumb = cJSON_GetArrayItem(json_at(e, "breadcrumbs/values"), i);
        CHECK_STR(json_text(crumb, "message"), "child");
    }
}

/* Two hundred that live at once, each with what it said and no other. */
static void workers_of_a_prefork_server(void)
{
    static const char *const types[] = {"SIGSEGV", "SIGKILL", "QueryFailed"};
    bool seen[200] = {false};
    (void)tell("prefork", "stop");
    upload();
    CHECK_INT(envelopes_count(&got, "event"), 30);
    for (size_t i = 0; i < envelopes_count(&got, "event"); i++) {
        const cJSON *e = event(i);
        int worker = atoi(json_text(e, "tags/worker"));
        if (!CHECK(worker >= 0 && worker < 200 && worker % 20 < 3 && !seen[worker]))
            continue;
        seen[worker] = true;
        CHECK_STR(json_text(e, "exception/values/0/type"), types[worker % 20]);
        CHECK_STR(
            json_text(e, "breadcrumbs/values/0/message"), json_text(e, "tags/worker"));
    }
    CHECK_INT(test_count_files(spool, "live"), 0);
    CHECK_INT(test_count_files(spool, "bad"), 0);
}

TEST_MAIN(TEST(scope_of_a_crash),

    TEST(handled_errors_and_messages), TEST(sampling_of_errors), TEST(sessions),
    TEST(a_sampled_out_event_leaves_its_session),
    TEST(handled_errors_leave_the_session_open), TEST(transactions_spans_and_logs),
    TEST(unsampled_transactions_are_not_sent), TEST(logs_that_are_not_sent),
    TEST(thousands_of_connections_keep_apart), TEST(as_many_breadcrumbs_as_asked_for),
    TEST(workers_of_a_prefork_server), TEST(a_flood_of_logs_arrives_whole), TEST(hang),
    TEST(a_fork_child_watches_by_itself), TEST(limits_are_kept_and_counted),
    TEST(bytes_that_are_no_text), TEST(before_start_everything_is_a_no_op),
    TEST(a_spool_that_cannot_be_is_told), TEST(the_debug_switch_explains),
    TEST(fork_children), TEST(a_fork_child_keeps_what_it_came_with))
