/*
 * The whole chain with nothing faked but the server: echod dies, leaves a minidump, is
 * started again, knell-upload delivers, and the received envelope is read field by field.
 */
#include "daemon.h"
#include "ingest.h"
#include "test.h"
#include "tmpdir.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N_ECHOD_THREADS = 5, WAIT_TRIES = 800, STEP_US = 25000 };

static char spool_env[700], dsn_env[800];
static char start_env[] = "KNELL_START_UPLOADER=1";
static const char *environment[] = {spool_env, dsn_env, "KNELL_UPLOADER=" UPLOADER,
    "SENTRY_ENVIRONMENT=staging", "SENTRY_DIST=amd64-1", start_env, NULL};

static const char *tmp(void)
{
    static const char *dir;
    if (!dir)
        dir = test_tmpdir();
    return dir;
}

static const char *in_tmp(const char *sub)
{
    static char path[4][600];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", tmp(), sub);
    return p;
}

static void use(const char *spool, const char *dsn)
{
    snprintf(spool_env, sizeof spool_env, "KNELL_SPOOL=%s", in_tmp(spool));
    snprintf(dsn_env, sizeof dsn_env, "KNELL_DSN=%s", dsn);
}

/* Reports in a state's folder; sessions and other items are not counted. */
static int n_reports(const char *spool, const char *state)
{
    char path[700];
    int n = 0;
    snprintf(path, sizeof path, "%s/%s", spool, state);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        size_t length = strlen(e->d_name);
        n += length > 4 && !strcmp(e->d_name + length - 4, ".dmp");
    }
    if (d)
        closedir(d);
    return n;
}

static bool wait_for_report(const char *spool, const char *state)
{
    for (int i = 0; i < WAIT_TRIES; i++) {
        if (n_reports(spool, state) > 0)
            return true;
        usleep(STEP_US);
    }
    return false;
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f)
        return NULL;
    char *s = calloc(1, 4 << 20);
    size_t n = s ? fread(s, 1, (4 << 20) - 1, f) : 0;
    fclose(f);
    return n ? s : (free(s), NULL);
}

static const cJSON *at(const cJSON *o, const char *path)
{
    char part[64];
    while (o && *path) {
        size_t n = strcspn(path, ".");
        snprintf(part, sizeof part, "%.*s", (int)n, path);
        o = part[0] >= '0' && part[0] <= '9' ? cJSON_GetArrayItem(o, atoi(part))
                                             : cJSON_GetObjectItemCaseSensitive(o, part);
        path += n + (path[n] == '.');
    }
    return o;
}

static const char *text(const cJSON *o, const char *path)
{
    return cJSON_GetStringValue(at(o, path));
}

static double number(const cJSON *o, const char *path)
{
    const cJSON *v = at(o, path);
    return cJSON_IsNumber(v) ? v->valuedouble : -1;
}

/* Header line, item header line, payload of exactly the length the item header says. */
static cJSON *event_of(const char *envelope, cJSON **ret_header)
{
    const char *end = strchr(envelope, '\n');
    if (!CHECK(end != NULL))
        return NULL;
    *ret_header = cJSON_ParseWithLength(envelope, (size_t)(end - envelope));
    const char *item = end + 1, *item_end = strchr(item, '\n');
    if (!CHECK(item_end != NULL))
        return NULL;
    cJSON *item_header = cJSON_ParseWithLength(item, (size_t)(item_end - item));
    CHECK_STR(text(item_header, "type"), "event");
    size_t n = (size_t)number(item_header, "length");
    cJSON_Delete(item_header);
    if (!CHECK(n > 0 && strlen(item_end + 1) >= n))
        return NULL;
    CHECK(item_end[1 + n] == '\n' || item_end[1 + n] == '\0');
    return cJSON_ParseWithLength(item_end + 1, n);
}

static void check_frames(const cJSON *event)
{
    /* Innermost last. The compiler may inline all of them; the names stay. */
    static const char *const calls[] = {"count_command", "crash_command", "run_command",
        "handle_line", "handle_request", "serve_client", "worker"};
    const cJSON *frames = at(event, "exception.values.0.stacktrace.frames");
    int n = cJSON_GetArraySize(frames);
    if (!CHECK(n >= (int)(sizeof calls / sizeof *calls)))
        return;
    for (int i = 0; i < (int)(sizeof calls / sizeof *calls); i++) {
        const cJSON *f = cJSON_GetArrayItem(frames, n - 1 - i);
        CHECK_STR(text(f, "function"), calls[i]);
        const char *file = text(f, "abs_path");
        CHECK(file && strstr(file, "tests/daemon/echod.c"));
        CHECK(number(f, "lineno") > 0);
        CHECK(cJSON_IsTrue(at(f, "in_app")));
        CHECK(text(f, "instruction_addr") &&
              !strncmp(text(f, "instruction_addr"), "0x", 2));
        CHECK(text(f, "package") && strstr(text(f, "package"), "/echod"));
    }
}

static void check_threads(const cJSON *event)
{
    const cJSON *t, *threads = at(event, "threads.values");
    int crashed = 0, with_frames = 0;
    CHECK_INT(cJSON_GetArraySize(threads), N_ECHOD_THREADS);
    cJSON_ArrayForEach(t, threads)
    {
        if (cJSON_IsTrue(at(t, "crashed"))) {
            crashed++;
            CHECK_STR(text(t, "name"), "worker");
            CHECK(number(t, "id") == number(event, "exception.values.0.thread_id"));
        } else {
            with_frames += cJSON_GetArraySize(at(t, "stacktrace.frames")) >= 3;
        }
    }
    CHECK_INT(crashed, 1);
    CHECK_INT(with_frames, N_ECHOD_THREADS - 1);
}

static void check_event(const cJSON *event)
{
    CHECK(text(event, "event_id") && strlen(text(event, "event_id")) == 32);
    CHECK_STR(text(event, "platform"), "native");
    CHECK_STR(text(event, "level"), "fatal");
    CHECK_STR(text(event, "release"), "echod@1.4.2");
    CHECK_STR(text(event, "environment"), "staging");
    CHECK_STR(text(event, "dist"), "amd64-1");
    CHECK_STR(text(event, "sdk.name"), "knell");
    CHECK(!at(event, "server_name"));

    const char *timestamp = text(event, "timestamp");
    CHECK(timestamp && timestamp[strlen(timestamp) - 1] == 'Z');
    CHECK_STR(text(event, "exception.values.0.type"), "SIGSEGV");
    const char *value = text(event, "exception.values.0.value");
    CHECK(value && strstr(value, "SEGV_MAPERR"));
    CHECK_STR(text(event, "exception.values.0.mechanism.type"), "signalhandler");
    CHECK(cJSON_IsFalse(at(event, "exception.values.0.mechanism.handled")));
    CHECK_INT(number(event, "exception.values.0.mechanism.meta.signal.number"), SIGSEGV);
    CHECK_STR(
        text(event, "exception.values.0.mechanism.meta.signal.code_name"), "SEGV_MAPERR");
    CHECK_STR(text(event, "exception.values.0.mechanism.data.relevant_address"), "0x0");
    check_frames(event);
    check_threads(event);

    CHECK_STR(text(event, "contexts.os.name"), "Linux");
    CHECK(text(event, "contexts.device.arch") != NULL);
    CHECK_STR(text(event, "contexts.app.app_name"), "echod");
    CHECK_STR(text(event, "contexts.runtime.name"), "glibc");
    CHECK_STR(text(event, "debug_meta.images.0.type"), "elf");
    CHECK(strstr(text(event, "debug_meta.images.0.code_file"), "/echod") != NULL);
    CHECK(text(event, "debug_meta.images.0.code_id") != NULL);
    CHECK_INT(strlen(text(event, "debug_meta.images.0.debug_id")), 36);
}

/* How many of the received envelopes carry an event (others carry a session, say);
 * *ret_first is the number of the first. */
static int n_events(const char *received, int *ret_first)
{
    char path[700];
    int n = 0;
    for (int i = 1;; i++) {
        snprintf(path, sizeof path, "%s/%06d.body", received, i);
        char *body = read_file(path);
        if (!body)
            return n;
        if (strstr(body, "\n{\"type\":\"event\"") && n++ == 0)
            *ret_first = i;
        free(body);
    }
}

static void check_request(const char *received)
{
    char path[700];
    int number = 0;
    CHECK_INT(n_events(received, &number), 1);
    snprintf(path, sizeof path, "%s/%06d.head", received, number);
    char *head = read_file(path);
    if (CHECK(head != NULL)) {
        CHECK(!strncmp(head, "POST /prefix/api/42/envelope/ HTTP/1.1", 38));
        CHECK(strcasestr(head, "\nX-Sentry-Auth: Sentry ") != NULL);
        CHECK(strstr(head, "sentry_key=publickey") != NULL);
        CHECK(strcasestr(head, "\nContent-Type: application/x-sentry-envelope") != NULL);
    }
    free(head);

    snprintf(path, sizeof path, "%s/%06d.body", received, number);
    char *body = read_file(path);
    cJSON *header = NULL, *event = CHECK(body != NULL) ? event_of(body, &header) : NULL;
    if (CHECK(event != NULL)) {
        CHECK_STR(text(header, "event_id"), text(event, "event_id"));
        CHECK(text(header, "sent_at") != NULL);
        check_event(event);
    }
    cJSON_Delete(event);
    cJSON_Delete(header);
    free(body);
}

/* Crash a fresh echod; the spool then holds one more report in new/. */
static void crash_one(void)
{
    char answer[100];
    start_env[sizeof start_env - 2] = '0';
    struct daemon d = daemon_start(environment);
    start_env[sizeof start_env - 2] = '1';
    CHECK(daemon_meet(&d, N_ECHOD_THREADS - 1));
    CHECK(!daemon_ask(&d, "/crash", answer, sizeof answer));
    int status = daemon_wait(&d);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static void check_list(const char *state)
{
    char *out = NULL;
    const char *argv[] = {INSPECT, "list", "--json", NULL};
    CHECK_INT(run_program(argv, environment, &out), 0);
    cJSON *list = cJSON_Parse(out);
    CHECK_INT(cJSON_GetArraySize(at(list, "reports")), 1);
    CHECK_STR(text(list, "reports.0.state"), state);
    CHECK_STR(text(list, "reports.0.app"), "echod");
    CHECK_STR(text(list, "reports.0.release"), "echod@1.4.2");
    CHECK_STR(text(list, "reports.0.environment"), "staging");
    CHECK_STR(text(list, "reports.0.function"), "count_command");
    CHECK(
        text(list, "reports.0.file") && strstr(text(list, "reports.0.file"), "echod.c"));
    CHECK(number(list, "reports.0.line") > 0);
    CHECK(
        text(list, "reports.0.signal") && strstr(text(list, "reports.0.signal"), "SEGV"));
    cJSON_Delete(list);
    free(out);
}

static void crash_is_delivered_on_the_next_start(void)
{
    char dsn[200];
    const char *received = in_tmp("received"), *spool = in_tmp("spool");
    mkdir(received, 0700);
    struct ingest server = ingest_start(&(struct ingest_options){.dir = received});
    snprintf(dsn, sizeof dsn, "http://publickey@127.0.0.1:%d/prefix/42", server.port);
    use("spool", dsn);

    crash_one();
    CHECK_INT(n_reports(spool, "new"), 1);
    struct stat st;
    CHECK(stat(spool, &st) == 0 && (st.st_mode & 07777) == 0700);
    check_list("new");

    char answer[100];
    struct daemon d = daemon_start(environment);
    CHECK(daemon_ask(&d, "again", answer, sizeof answer));
    CHECK(wait_for_report(spool, "sent"));
    CHECK_INT(n_reports(spool, "new"), 0);
    check_request(received);
    check_list("sent");

    int status = daemon_stop(&d);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_INT(n_reports(spool, "live"), 0);

    /* Nothing is left to do, and nothing is sent twice. The daemon's own uploader may
     * still be at the end of its session. */
    const char *argv[] = {UPLOADER, "--spool", spool, NULL};
    int first, r = 8;
    for (int i = 0; i < WAIT_TRIES && r == 8; i++) {
        r = run_program(argv, environment, NULL);
        usleep(r == 8 ? STEP_US : 0);
    }
    CHECK_INT(r, 0);
    CHECK_INT(n_events(received, &first), 1);
    ingest_stop(&server);
}

static void refused_report_stays_whole(void)
{
    char dsn[200];
    const char *spool = in_tmp("refused");
    struct ingest server = ingest_start(&(struct ingest_options){.script = "503"});
    snprintf(dsn, sizeof dsn, "http://publickey@127.0.0.1:%d/42", server.port);
    use("refused", dsn);
    crash_one();
    const char *argv[] = {UPLOADER, NULL};
    CHECK_INT(run_program(argv, environment, NULL), 6);
    CHECK(server.counts->requests >= 1);
    CHECK_INT(n_reports(spool, "sent"), 0);
    CHECK_INT(n_reports(spool, "wait"), 1);
    check_list("wait");
    ingest_stop(&server);
}

static void empty_destination_keeps_and_sends_nothing(void)
{
    const char *spool = in_tmp("kept");
    use("kept", "");
    crash_one();
    const char *argv[] = {UPLOADER, NULL};
    int status = run_program(argv, environment, NULL);
    CHECK(status == 0 || status == 6 || status == 9);
    CHECK_INT(n_reports(spool, "sent"), 0);
    CHECK_INT(n_reports(spool, "bad"), 0);
    CHECK_INT(
        n_reports(spool, "new") + n_reports(spool, "wait") + n_reports(spool, "hold"), 1);
}

static void directory_gets_one_envelope_per_event(void)
{
    char dsn[700], path[1400];
    const char *outbox = in_tmp("outbox"), *spool = in_tmp("filed");
    mkdir(outbox, 0700);
    snprintf(dsn, sizeof dsn, "file://%s", outbox);
    use("filed", dsn);
    crash_one();
    const char *argv[] = {UPLOADER, NULL};
    CHECK_INT(run_program(argv, environment, NULL), 0);
    CHECK_INT(n_reports(spool, "sent"), 1);

    int n = 0;
    DIR *d = opendir(outbox);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", outbox, e->d_name);
        char *body = read_file(path);
        bool has_event = body && strstr(body, "\n{\"type\":\"event\"");
        cJSON *header = NULL, *event = has_event ? event_of(body, &header) : NULL;
        if (event)
            check_event(event);
        n += event != NULL;
        cJSON_Delete(event);
        cJSON_Delete(header);
        free(body);
    }
    if (d)
        closedir(d);
    CHECK_INT(n, 1);
}

TEST_MAIN(TEST(crash_is_delivered_on_the_next_start), TEST(refused_report_stays_whole),
    TEST(empty_destination_keeps_and_sends_nothing),
    TEST(directory_gets_one_envelope_per_event))
