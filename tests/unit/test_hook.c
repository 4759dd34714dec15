#include "dump.h"
#include "test.h"

#include "uploader/event/envelope.h"
#include "uploader/report/parse.h"
#include "uploader/worker/hook.h"
#include "uploader/worker/run.h"
#include "uploader/worker/sanitize.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int run(const char *script, const char *text, uint32_t timeout_ms, char **ret)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    size_t n = 0;
    *ret = NULL;
    int err = hook_run(argv, text, strlen(text), timeout_ms, 100000, ret, &n);
    if (!err && *ret)
        CHECK_INT(n, strlen(*ret));
    return err;
}

static void talks_to_a_program(void)
{
    char *answer;
    (void)signal(SIGPIPE, SIG_IGN); /* as knell-upload does */
    CHECK_INT(run("cat", "hello", 5000, &answer), 0);
    CHECK_STR(answer, "hello");
    free(answer);
    CHECK_INT(run("sed s/a/b/; exit 0", "a", 5000, &answer), 0);
    CHECK_STR(answer, "b");
    free(answer);
    CHECK_INT(run("exec <&-; echo deaf", "a", 5000, &answer), 0);
    CHECK_STR(answer, "deaf\n");
    free(answer);
    CHECK_INT(run("cat >/dev/null", "a", 5000, &answer), 0);
    CHECK(!answer || !*answer);
    free(answer);
}

static bool is_zombie(pid_t pid)
{
    char path[64], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    if (f && fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
        state = 0;
    if (f)
        fclose(f);
    return state == 'Z';
}

static void bounds_a_program(void)
{
    char *answer, *big = malloc(90001);
    memset(big, 'x', 90000);
    big[90000] = 0;
    CHECK_INT(run("cat", big, 5000, &answer), 0); /* more than a pipe holds, both ways */
    CHECK_STR(answer, big);
    free(answer);
    free(big);
    CHECK_INT(run("exit 3", "a", 5000, &answer), -EPROTO);
    CHECK_INT(run("kill -9 $$", "a", 5000, &answer), -EPROTO);
    CHECK_INT(run("exec sleep 1000", "a", 50, &answer), -ETIMEDOUT);
    CHECK_INT(run("yes", "a", 5000, &answer), -E2BIG);
    /* One that goes away and leaves somebody behind with its stdout is over in time. */
    CHECK_INT(run("sleep 1000 & exit 0", "a", 300, &answer), -ETIMEDOUT);
    CHECK_INT(run("sleep 1000 >/dev/null & echo $!", "a", 5000, &answer), 0);
    pid_t left = (pid_t)atoi(answer);
    free(answer);
    for (int i = 0; i < 500 && kill(left, 0) == 0 && !is_zombie(left); i++)
        usleep(10000);
    CHECK(kill(left, 0) < 0 || is_zombie(left));
    const char *argv[] = {"/nonexistent/program", NULL};
    size_t n;
    CHECK_INT(hook_run(argv, "a", 1, 1000, 10, &answer, &n), -EPROTO);
}

/* worker_run() on the example report with a shell script as before_send. */
static struct worker_result with_hook(const char *script, int expected)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    struct worker_options o = {
        .before_send = argv, .hook_timeout_ms = 5000, .otlp = true};
    struct worker_result r = {0};
    struct dump *d = dump_example();
    size_t n;
    const uint8_t *bytes = dump_finish(d, &n);
    CHECK_INT(worker_run(bytes, n, &o, NULL, &r), 0);
    CHECK_INT(r.outcome, expected);
    dump_free(d);
    return r;
}

static void asks_before_it_sends(void)
{
    struct envelope_view v = {0};
    size_t at = 0;
    struct worker_result r = with_hook("sed s/staging/lab/", WORKER_READY);
    CHECK_INT(envelope_next(r.items, r.n_items, &at, &v), 1);
    CHECK(memmem(v.payload, v.n_payload, "\"environment\":\"lab\"", 19));
    CHECK(memmem(r.otlp, r.n_otlp, "{\"stringValue\":\"lab\"}", 21));
    worker_result_done(&r);

    static const struct {
        const char *script, *why;
    } drops[] = {
        {"cat >/dev/null", "before_send: answered with nothing"},
        {"exit 1", "before_send failed: it did not end with status 0"},
        {"echo no json", "before_send answered with no event: no JSON"},
        {"cat; echo and more", "before_send answered with no event: no JSON"},
        {"head -c 500", "before_send answered with no event: no JSON"},
        {"cat; cat /dev/zero", "before_send failed: its answer is too long"},
        {"kill -SEGV $$", "before_send failed: it did not end with status 0"},
        {"exec 0<&-; echo []", "before_send answered with no event: another event_id"},
        {"/nonexistent/program", "before_send failed: it did not end with status 0"},
        {"sed s/0102030405060708090a0b0c0d0e0f10/ffffffffffffffffffffffffffffffff/",
            "before_send answered with no event: another event_id"},
        {"sed 's/\"thread_id\":4712/\"thread_id\":\"4712\"/'",
            "before_send answered with no event: exception.values[0].thread_id: not a "
            "count"},
    };
    for (size_t i = 0; i < sizeof drops / sizeof *drops; i++) {
        r = with_hook(drops[i].script, WORKER_DROPPED);
        CHECK_STR(r.why, drops[i].why);
        CHECK_STR(r.category, "before_send");
        CHECK(!r.items && !r.otlp);
        worker_result_done(&r);
    }
}

static void a_sanitized_dump_holds_addresses_only(void)
{
    enum { STACK = 0x7ffe0000, CODE = 0x400000, OTHER = 0x7ffd0000 };
    uint64_t other[8] = {0}, elsewhere[17] = {[7] = OTHER, [16] = CODE};
    static const char secret[] = "password: hunter";
    uint64_t stack[8] = {CODE + 8, STACK + 16, 42, (uint64_t)-3, 0, 0, 0xdeadbeefcafe};
    uint64_t r[17] = {[7] = STACK, [16] = CODE};
    memcpy(&stack[4], secret, 16);
    memcpy(&other[2], "sesame-4 sesame-4", 16);
    struct dump *d = dump_new();
    dump_module(d, CODE, 0x1000, "/usr/bin/x", "id", 2);
    dump_thread(d, 1, "x", r, stack, sizeof stack);
    dump_memory(d, CODE + 0x100, secret, 16); /* code: inside of the module */
    /* A register pointed into another thread's stack: that is in the dump twice. */
    dump_thread(d, 2, "y", elsewhere, other, sizeof other);
    dump_memory(d, OTHER + 16, &other[2], 16);
    dump_journal(d, "x", "x@1", "lab");
    size_t n;
    const uint8_t *bytes = dump_finish(d, &n);
    struct crash *c, *clean;
    uint8_t *copy;
    CHECK_INT(report_read(bytes, n, &c, NULL), 0);
    /* What was being copied when it died is in a vector register: xmm0. */
    struct knell_md_context_amd64 *vectors = (void *)(uintptr_t)c->threads[0].context;
    memcpy(vectors->fxsave + 160, "token:sesame-3", 14);
    CHECK(memmem(bytes, n, "sesame-3", 8));
    CHECK_INT(sanitize_report(c, &copy), 0);
    CHECK(!memmem(copy, n, "sesame-3", 8));
    CHECK(memmem(bytes, n, "sesame-4", 8) && !memmem(copy, n, "sesame-4", 8));
    CHECK(memmem(bytes, n, "node-7", 6) && !memmem(copy, n, "node-7", 6));
    CHECK_INT(report_read(copy, n, &clean, NULL), 0);
    const uint64_t expected[8] = {CODE + 8, STACK + 16, 42, (uint64_t)-3,
        KNELL_SANITIZED_WORD, KNELL_SANITIZED_WORD, KNELL_SANITIZED_WORD, 0};
    const uint8_t *now = crash_memory_at(clean, STACK, sizeof expected);
    CHECK(now && !memcmp(now, expected, sizeof expected));
    now = crash_memory_at(clean, CODE + 0x100, 16);
    CHECK(now && !memcmp(now, secret, 16));
    crash_free(clean);
    free(copy);
    crash_free(c);
    dump_free(d);
}

TEST_MAIN(TEST(talks_to_a_program), TEST(bounds_a_program), TEST(asks_before_it_sends),
    TEST(a_sanitized_dump_holds_addresses_only))
