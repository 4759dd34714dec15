/* The example daemon: a scope per connection, a handled error, a transaction per request,
 * and its health, as they arrive. */
#include "envelopes.h"
#include "test.h"
#include "tmpdir.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static char spool_env[300], dsn_env[300];
static const char *sessions_env = "KNELL_SESSIONS=0";

static pid_t start(const char *const *argv, const char *dsn)
{
    pid_t pid = fork();
    if (!pid) {
        const char *const env[] = {spool_env, dsn, "SENTRY_TRACES_SAMPLE_RATE=1",
            "KNELL_START_UPLOADER=0", "KNELL_LOGS=1", sessions_env, "HOME=/nonexistent",
            NULL};
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        (void)dup2(null, STDOUT_FILENO);
        (void)execve(argv[0], (char *const *)argv, (char *const *)env);
        _exit(127);
    }
    return pid;
}

/* What an operator sees of it while it runs: from its journal, as it is at that moment.
 */
static void check_seen_while_it_lives(pid_t pid)
{
    static char text[65536];
    char command[1024];
    (void)snprintf(command, sizeof command,
        "env -i HOME=/nonexistent %s %s --json status", spool_env, INSPECT);
    FILE *f = popen(command, "re");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    text[n] = '\0';
    CHECK(f && pclose(f) != -1);
    cJSON *status = cJSON_Parse(text);
    const cJSON *living = json_at(status, "spools/0/living");
    CHECK_INT(cJSON_GetArraySize(living), 1);
    CHECK_INT(json_number(living, "0/pid"), pid);
    CHECK_STR(json_text(living, "0/app"), "echod");
    CHECK_STR(json_text(living, "0/release"), "echod@1.4.2");
    CHECK_INT(json_number(living, "0/captured"), 1);
    CHECK_INT(json_number(living, "0/suppressed"), 0);
    /* A line, /db, its error and /health. */
    CHECK_INT(json_number(living, "0/breadcrumbs"), 4);
    CHECK_INT(json_number(status, "spools/0/unadopted"), 0);
    cJSON_Delete(status);
}

/* The port is in the file once its line is whole. */
static uint16_t read_port(const char *path)
{
    for (int i = 0; i < 1000; i++) {
        char text[16] = "";
        FILE *f = fopen(path, "r");
        bool whole = f && fgets(text, sizeof text, f) && strchr(text, '\n');
        if (f)
            (void)fclose(f);
        if (whole)
            return (uint16_t)atoi(text);
        (void)usleep(10000);
    }
    return 0;
}

static FILE *connect_to(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a)) {
        (void)close(fd);
        return NULL;
    }
    return fdopen(fd, "r+");
}

static const char *ask(FILE *f, const char *line)
{
    static char answer[512];
    answer[0] = '\0';
    if (f && fputs(line, f) >= 0 && !fflush(f) && fgets(answer, sizeof answer, f))
        return answer;
    return "";
}

static const cJSON *transaction(const struct envelope_items *got, const char *name)
{
    for (size_t i = 0; i < envelopes_count(got, "transaction"); i++) {
        const cJSON *t = envelopes_get(got, "transaction", i);
        if (!strcmp(json_text(t, "transaction"), name))
            return t;
    }
    return NULL;
}

static void check_received(const struct envelope_items *got, const char *id)
{
    const cJSON *e = NULL, *crash = NULL;
    for (size_t i = 0; i < envelopes_count(got, "event"); i++) {
        const cJSON *one = envelopes_get(got, "event", i);
        if (!strcmp(json_text(one, "exception/values/0/type"), "QueryFailed"))
            e = one;
        if (!strcmp(json_text(one, "exception/values/0/type"), "SIGSEGV"))
            crash = one;
    }
    CHECK_INT(envelopes_count(got, "event"), 2);
    CHECK_STR(json_text(e, "event_id"), id);
    CHECK_STR(json_text(e, "tags/domain"), "database");
    CHECK_STR(json_text(e, "transaction"), "/db");
    CHECK(!strncmp(json_text(e, "tags/peer"), "127.0.0.1:", 10));
    /* Two connections, two scopes. */
    CHECK(!strncmp(json_text(crash, "tags/peer"), "127.0.0.1:", 10));
    CHECK(strcmp(json_text(e, "tags/peer"), json_text(crash, "tags/peer")) != 0);
    CHECK_STR(json_text(crash, "transaction"), "/crash");
    const cJSON *db = transaction(got, "/db");
    CHECK_STR(json_text(db, "spans/0/op"), "db.query");
    CHECK_STR(json_text(db, "spans/0/status"), "unavailable");
    CHECK_STR(json_text(db, "contexts/trace/trace_id"),
        json_text(e, "contexts/trace/trace_id"));
    CHECK(transaction(got, "echo") != NULL);
    CHECK(!transaction(got, "/health"));
}

static void tells_what_happens_in_its_connections(void)
{
    static struct envelope_items got;
    char port_file[300], id[33] = "";
    const char *out = test_tmpdir();
    int status;
    (void)snprintf(spool_env, sizeof spool_env, "KNELL_SPOOL=%s/spool", test_tmpdir());
    (void)snprintf(dsn_env, sizeof dsn_env, "KNELL_DSN=file://%s", out);
    (void)snprintf(port_file, sizeof port_file, "%s/port", test_tmpdir());
    const char *const echod[] = {ECHOD, "-p", "0", "-f", port_file, NULL};
    pid_t pid = start(echod, "KNELL_DSN=");
    uint16_t port = read_port(port_file);
    FILE *one = connect_to(port), *two = connect_to(port);
    if (!CHECK(one && two)) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, &status, 0);
        return;
    }
    CHECK_STR(ask(one, "hello\n"), "hello\n");
    (void)sscanf(ask(one, "/db\n"), "the database is down, report %32[0-9a-f]", id);
    /* The report, and the transactions so far. */
    CHECK(!strncmp(ask(one, "/health\n"), "armed 2 reports waiting, 1 captured", 35));
    check_seen_while_it_lives(pid);
    CHECK_STR(ask(two, "/crash\n"), "");
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    (void)fclose(one);
    (void)fclose(two);

    const char *const uploader[] = {UPLOADER, NULL};
    pid = start(uploader, dsn_env);
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status));
    envelopes_read(&got, out);
    check_received(&got, id);
    envelopes_free(&got);
}

static const cJSON *hang_in(const struct envelope_items *got, const char *command)
{
    for (size_t i = 0; i < envelopes_count(got, "event"); i++) {
        const cJSON *e = envelopes_get(got, "event", i);
        if (!strcmp(json_text(e, "exception/values/0/type"), "Hang") &&
            !strcmp(json_text(e, "transaction"), command))
            return e;
    }
    return NULL;
}

static void check_hang(const struct envelope_items *got, const char *trace)
{
    const cJSON *hang = hang_in(got, "/hang"), *log = envelopes_get(got, "log", 0);
    bool init = false, ended = false, attached = false;
    CHECK_STR(json_text(hang, "tags/loop"), "worker");
    CHECK_STR(json_text(hang, "user/id"), "ada");
    CHECK_STR(json_text(log, "items/0/body"), "ada logged in");
    CHECK(transaction(got, "/call") != NULL);
    CHECK(transaction(got, "/login") != NULL);
    CHECK_STR(json_text(transaction(got, "/call"), "contexts/trace/trace_id"), trace);
    for (size_t i = 0; i < got->n; i++) {
        const struct received *r = &got->all[i];
        attached |= !strcmp(r->filename, "settings.txt") && !strcmp(r->text, "port=0\n");
        init |= !strcmp(r->type, "session") && cJSON_IsTrue(json_at(r->json, "init"));
        ended |= !strcmp(json_text(r->json, "status"), "exited");
    }
    CHECK(attached && init && ended);
}

static void tells_of_hangs_and_users(void)
{
    static struct envelope_items got;
    char port_file[300], trace[33] = "";
    const char *out = test_tmpdir();
    int status;
    (void)snprintf(spool_env, sizeof spool_env, "KNELL_SPOOL=%s/spool", test_tmpdir());
    (void)snprintf(dsn_env, sizeof dsn_env, "KNELL_DSN=file://%s", out);
    (void)snprintf(port_file, sizeof port_file, "%s/port", test_tmpdir());
    const char *const echod[] = {ECHOD, "-p", "0", "-f", port_file, "-w", "500", NULL};
    sessions_env = "KNELL_SESSIONS=1";
    pid_t pid = start(echod, "KNELL_DSN=");
    FILE *one = connect_to(read_port(port_file));
    if (CHECK(one)) {
        CHECK_STR(ask(one, "/login ada\n"), "hello ada\n");
        (void)sscanf(ask(one, "/call\n"), "sentry-trace: %32[0-9a-f]", trace);
        CHECK_INT(atoi(ask(one, "/hang\n")) > 0, 1);
        (void)fclose(one);
    }
    (void)kill(pid, SIGTERM);
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status));
    const char *const uploader[] = {UPLOADER, NULL};
    pid = start(uploader, dsn_env);
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status));
    envelopes_read(&got, out);
    check_hang(&got, trace);
    envelopes_free(&got);
    sessions_env = "KNELL_SESSIONS=0";
}

TEST_MAIN(TEST(tells_of_hangs_and_users), TEST(tells_what_happens_in_its_connections))
