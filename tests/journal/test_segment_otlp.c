/* Logs and spans at an OpenTelemetry collector: what arrives where, read field by field.
 */
#include "ingest.h"
#include "telling.h"
#include "test.h"
#include "tmpdir.h"

#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { MAX_REQUESTS = 32 };

static struct {
    char target[64];
    cJSON *body;
} requests[MAX_REQUESTS];
static size_t n_requests;

static char *read_all(const char *dir, size_t number, const char *suffix)
{
    char path[400];
    char *text = calloc(1, 1 << 20);
    (void)snprintf(path, sizeof path, "%s/%06zu.%s", dir, number, suffix);
    FILE *f = fopen(path, "r");
    size_t n = f && text ? fread(text, 1, (1 << 20) - 1, f) : 0;
    if (f)
        (void)fclose(f);
    if (n)
        return text;
    free(text);
    return NULL;
}

static void forget(void)
{
    for (size_t i = 0; i < n_requests; i++)
        cJSON_Delete(requests[i].body);
    n_requests = 0;
}

static void collect(const char *dir)
{
    forget();
    for (size_t i = 1; n_requests < MAX_REQUESTS; i++) {
        char *head = read_all(dir, i, "head"), *body = read_all(dir, i, "body");
        if (!head || !body) {
            free(head);
            free(body);
            return;
        }
        (void)sscanf(head, "POST %63s", requests[n_requests].target);
        CHECK(strstr(head, "application/json") != NULL);
        requests[n_requests].body = cJSON_Parse(body);
        CHECK(requests[n_requests].body != NULL);
        n_requests++;
        free(head);
        free(body);
    }
}

/* What a collector would hold: the records of all bodies to one path. */
static size_t records(
    const char *target, const char *path, const cJSON **ret, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < n_requests; i++) {
        const cJSON *one, *list = json_at(requests[i].body, path);
        if (strcmp(requests[i].target, target) != 0)
            continue;
        cJSON_ArrayForEach(one, list)
        {
            if (n < room)
                ret[n++] = one;
        }
    }
    return n;
}

static const cJSON *attribute(const cJSON *list, const char *key)
{
    const cJSON *one;
    cJSON_ArrayForEach(one, list)
    {
        if (!strcmp(json_text(one, "key"), key))
            return json_at(one, "value");
    }
    return NULL;
}

static const cJSON *find(
    const cJSON *const *all, size_t n, const char *path, const char *text)
{
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(json_text(all[i], path), text))
            return all[i];
    }
    return NULL;
}

static void check_resource(const cJSON *resource)
{
    const cJSON *list = json_at(resource, "attributes");
    CHECK_STR(json_text(attribute(list, "service.name"), "stringValue"), "teller");
    CHECK_STR(json_text(attribute(list, "service.version"), "stringValue"), "1.0");
    CHECK_STR(json_text(attribute(list, "deployment.environment.name"), "stringValue"),
        "production");
    CHECK(!attribute(list, "host.name")); /* as in events, not without being asked */
}

static void check_spans(const cJSON *const *spans, size_t n)
{
    const cJSON *root = find(spans, n, "name", "GET /users/{id}");
    const cJSON *query = find(spans, n, "name", "select user");
    CHECK_STR(json_text(root, "traceId"), "0123456789abcdef0123456789abcdef");
    CHECK_STR(json_text(root, "parentSpanId"), "0123456789abcdef");
    CHECK_INT(strlen(json_text(root, "spanId")), 16);
    CHECK_INT(json_number(root, "kind"), 2); /* server */
    CHECK_INT(json_number(root, "status/code"), 1);
    CHECK_STR(
        json_text(attribute(json_at(root, "attributes"), "tag.cache"), "stringValue"),
        "miss");
    CHECK_STR(json_text(query, "parentSpanId"), json_text(root, "spanId"));
    CHECK_STR(json_text(query, "traceId"), json_text(root, "traceId"));
    CHECK_INT(json_number(query, "kind"), 3); /* client */
    CHECK_INT(json_number(query, "status/code"), 2);
    CHECK_STR(json_text(query, "status/message"), "not_found");
    CHECK_STR(
        json_text(attribute(json_at(query, "attributes"), "sentry.op"), "stringValue"),
        "db.query");
    CHECK_STR(
        json_text(attribute(json_at(query, "attributes"), "rows"), "intValue"), "1");
    /* 64-bit numbers are strings, and in order. */
    const char *start = json_text(query, "startTimeUnixNano");
    CHECK_INT(strlen(start), 19);
    CHECK(strcmp(start, json_text(query, "endTimeUnixNano")) <= 0);
    CHECK(strcmp(json_text(root, "startTimeUnixNano"), start) <= 0);
    CHECK(!find(spans, n, "name", "GET /health"));
}

static void check_logs(const cJSON *const *logs, size_t n, const cJSON *crash)
{
    const cJSON *info = NULL,
                *error = find(logs, n, "body/stringValue", "template missing");
    for (size_t i = 0; i < n; i++) {
        if (!strncmp(
                json_text(logs[i], "body/stringValue"), "listening on port 80: ", 22))
            info = logs[i];
    }
    CHECK_INT(json_number(info, "severityNumber"), 9);
    CHECK_STR(json_text(info, "severityText"), "INFO");
    CHECK_STR(json_text(info, "traceId"), ""); /* outside of any span: none is made up */
    CHECK_INT(json_number(error, "severityNumber"), 17);
    CHECK_STR(json_text(attribute(json_at(error, "attributes"), "n"), "intValue"), "5");
    CHECK_INT(strlen(json_text(error, "timeUnixNano")), 19);
    CHECK_STR(json_text(error, "traceId"), json_text(crash, "traceId"));
    CHECK_STR(json_text(error, "spanId"), json_text(crash, "spanId"));
    CHECK(find(logs, n, "body/stringValue", "syslog says no") != NULL);
}

static void logs_spans_and_the_crash_arrive(void)
{
    const cJSON *spans[MAX_REQUESTS], *logs[MAX_REQUESTS];
    char dsn[64];
    new_place();
    (void)tell_with("spans", "segv", "SENTRY_TRACES_SAMPLE_RATE=1");
    struct ingest server = ingest_start(&(struct ingest_options){.dir = arrivals});
    (void)snprintf(dsn, sizeof dsn, "otlp+http://127.0.0.1:%d", server.port);
    CHECK_INT(upload_to(dsn, NULL), 0);
    ingest_stop(&server);
    collect(arrivals);
    size_t n_spans =
        records("/v1/traces", "resourceSpans/0/scopeSpans/0/spans", spans, MAX_REQUESTS);
    size_t n_logs =
        records("/v1/logs", "resourceLogs/0/scopeLogs/0/logRecords", logs, MAX_REQUESTS);
    const cJSON *crash = find(logs, n_logs, "eventName", "app.crash");
    CHECK_INT(n_spans, 3 + 5 + 1);
    CHECK_INT(n_logs, 3 + 1);
    CHECK(crash != NULL);
    check_spans(spans, n_spans);
    check_logs(logs, n_logs, crash);
    for (size_t i = 0; i < n_requests; i++) {
        bool traces = !strcmp(requests[i].target, "/v1/traces");
        const cJSON *body = requests[i].body;
        check_resource(json_at(
            body, traces ? "resourceSpans/0/resource" : "resourceLogs/0/resource"));
    }
    CHECK_INT(test_count_files(spool, "bad"), 0);
    forget();
}

/* A base that ends in /v1/logs is for logs alone. */
static void a_place_for_logs_gets_no_spans(void)
{
    char dsn[64];
    new_place();
    (void)tell_with("spans", "segv", "SENTRY_TRACES_SAMPLE_RATE=1");
    struct ingest server = ingest_start(&(struct ingest_options){.dir = arrivals});
    (void)snprintf(dsn, sizeof dsn, "otlp+http://127.0.0.1:%d/v1/logs", server.port);
    CHECK_INT(upload_to(dsn, NULL), 0);
    ingest_stop(&server);
    collect(arrivals);
    CHECK_INT(n_requests, 2);
    for (size_t i = 0; i < n_requests; i++)
        CHECK_STR(requests[i].target, "/v1/logs");
    forget();
}

static void collect_why(char *text, size_t room)
{
    char pattern[300];
    glob_t found;
    text[0] = '\0';
    (void)snprintf(pattern, sizeof pattern, "%s/bad/*.why", spool);
    if (!glob(pattern, 0, NULL, &found)) {
        FILE *f = fopen(found.gl_pathv[0], "r");
        if (f && !fgets(text, (int)room, f))
            text[0] = '\0';
        if (f)
            (void)fclose(f);
        globfree(&found);
    }
}

/* A collector that has no traces says 404, and takes the next crash all the same. */
static void a_collector_without_traces_gets_the_rest(void)
{
    char dsn[64];
    new_place();
    (void)tell_with("transactions", "stop", "SENTRY_TRACES_SAMPLE_RATE=1");
    struct ingest server =
        ingest_start(&(struct ingest_options){.dir = arrivals, .script = "3*404,200"});
    (void)snprintf(dsn, sizeof dsn, "otlp+http://127.0.0.1:%d", server.port);
    (void)upload_to(dsn, NULL);
    CHECK_INT(test_count_files(spool, "wait"), 0);
    char why[600];
    collect_why(why, sizeof why);
    if (!CHECK(strstr(why, "/v1/traces: ") != NULL))
        (void)printf("%s\n", why);
    (void)tell_with("scope", "segv", NULL);
    CHECK_INT(upload_to(dsn, NULL), 0);
    ingest_stop(&server);
    collect(arrivals);
    CHECK_INT(n_requests, 4);
    CHECK_STR(requests[0].target, "/v1/traces");
    CHECK_STR(requests[3].target, "/v1/logs");
    forget();
}

/* Sentry gets the sessions too; a collector knows none. */
static void sessions_are_not_for_collectors(void)
{
    char dsn[64];
    new_place();
    (void)tell_with("", "stop", "KNELL_SESSIONS=1");
    struct ingest server = ingest_start(&(struct ingest_options){.dir = arrivals});
    (void)snprintf(dsn, sizeof dsn, "otlp+http://127.0.0.1:%d", server.port);
    CHECK_INT(upload_to(dsn, NULL), 0);
    CHECK_INT(server.counts->requests, 0);
    ingest_stop(&server);
    CHECK_INT(test_count_files(spool, "wait"), 0);
    CHECK_INT(test_count_files(spool, "new"), 0);
}

TEST_MAIN(TEST(logs_spans_and_the_crash_arrive), TEST(a_place_for_logs_gets_no_spans),
    TEST(a_collector_without_traces_gets_the_rest), TEST(sessions_are_not_for_collectors))
