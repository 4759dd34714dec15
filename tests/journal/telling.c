#include "telling.h"

#include "test.h"
#include "tmpdir.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

char spool[256], arrivals[256], said[65536];
struct envelope_items got;

void new_place(void)
{
    (void)snprintf(spool, sizeof spool, "%s/spool", test_tmpdir());
    (void)snprintf(arrivals, sizeof arrivals, "%s", test_tmpdir());
}

int run(const char *const *argv, const char *const *env)
{
    int fds[2], status = -1;
    size_t n = 0;
    if (pipe(fds))
        return -1;
    pid_t pid = fork();
    if (!pid) {
        (void)dup2(fds[1], STDOUT_FILENO);
        (void)close(fds[0]);
        (void)close(fds[1]);
        (void)execve(argv[0], (char *const *)argv, (char *const *)env);
        _exit(127);
    }
    (void)close(fds[1]);
    for (ssize_t k; (k = read(fds[0], said + n, sizeof said - 1 - n)) > 0;)
        n += (size_t)k;
    said[n] = '\0';
    (void)close(fds[0]);
    (void)waitpid(pid, &status, 0);
    return status;
}

int tell_with(const char *what, const char *how, const char *more)
{
    char spool_env[300];
    (void)snprintf(spool_env, sizeof spool_env, "KNELL_SPOOL=%s", spool);
    const char *const argv[] = {TELLER, what, how, NULL};
    const char *const env[] = {spool_env, "KNELL_DSN=", more, NULL};
    return run(argv, env);
}

int tell(const char *what, const char *how)
{
    new_place();
    return tell_with(what, how, NULL);
}

int upload_to(const char *dsn, const char *more)
{
    char kept[sizeof said], spool_env[300], dsn_env[400];
    memcpy(kept, said, sizeof said);
    (void)snprintf(spool_env, sizeof spool_env, "KNELL_SPOOL=%s", spool);
    (void)snprintf(dsn_env, sizeof dsn_env, "KNELL_DSN=%s", dsn);
    const char *const argv[] = {UPLOADER, NULL};
    const char *const env[] = {spool_env, dsn_env, "HOME=/nonexistent", more, NULL};
    int status = run(argv, env);
    memcpy(said, kept, sizeof said);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void upload_with(const char *more)
{
    char dsn[300];
    (void)snprintf(dsn, sizeof dsn, "file://%s", arrivals);
    CHECK_INT(upload_to(dsn, more), 0);
    envelopes_free(&got);
    envelopes_read(&got, arrivals);
}

void upload(void)
{
    upload_with(NULL);
}

const cJSON *event(size_t i)
{
    return envelopes_get(&got, "event", i);
}

const cJSON *event_of_type(const char *type)
{
    for (size_t i = 0; i < envelopes_count(&got, "event"); i++) {
        if (!strcmp(json_text(event(i), "exception/values/0/type"), type))
            return event(i);
    }
    return NULL;
}

const char *top_function(const cJSON *stacktrace)
{
    const cJSON *frames = json_at(stacktrace, "frames");
    return json_text(
        cJSON_GetArrayItem(frames, cJSON_GetArraySize(frames) - 1), "function");
}

const cJSON *transaction(const char *name)
{
    for (size_t i = 0; i < envelopes_count(&got, "transaction"); i++) {
        const cJSON *t = envelopes_get(&got, "transaction", i);
        if (!strcmp(json_text(t, "transaction"), name))
            return t;
    }
    return NULL;
}

void check_scope(const cJSON *e)
{
    CHECK_STR(json_text(e, "tags/shard"), "eu-1");
    CHECK_STR(json_text(e, "tags/gone"), "");
    CHECK_STR(json_text(e, "user/id"), "42");
    CHECK_STR(json_text(e, "user/email"), "a@example.org");
    CHECK_STR(json_text(e, "user/username"), "ada");
    CHECK_STR(json_text(e, "user/ip_address"), "192.0.2.1");
    CHECK_STR(json_text(e, "user/data/plan"), "pro");
    CHECK_STR(json_text(e, "level"), "fatal"); /* a death is, whatever the scope says */
    CHECK_STR(json_text(e, "contexts/pool/size"), "");
    CHECK_INT(json_number(e, "contexts/pool/size"), 8);
    CHECK(cJSON_IsFalse(json_at(e, "contexts/pool/idle")));
    CHECK(json_number(e, "contexts/pool/load") == 0.5);
    CHECK_STR(json_text(e, "extra/note"), "caf\xc3\xa9");
    CHECK_STR(json_text(e, "fingerprint/1"), "by-shard");
    CHECK_STR(json_text(e, "transaction"), "accept loop");
    CHECK_STR(json_text(e, "breadcrumbs/values/0/message"), "started");
    CHECK_STR(json_text(e, "breadcrumbs/values/0/category"), "lifecycle");
    CHECK_STR(json_text(e, "breadcrumbs/values/1/level"), "warning");
    CHECK_INT(json_number(e, "breadcrumbs/values/1/data/rows"), 3);
    CHECK_INT(cJSON_GetArraySize(json_at(e, "breadcrumbs/values")), 2);
}
