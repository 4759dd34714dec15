/* Says things as a daemon would and ends in the way its argument names. Everything else
 * comes from the environment (KNELL_SPOOL, …), as for any daemon. */
#include <errno.h>
#include <fcntl.h>
#include <knell/knell.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

static const char *how_to_die;
static struct knell_options options = KNELL_OPTIONS_INIT;

static void die(const char *how)
{
    if (!strcmp(how, "segv")) {
        volatile int *nowhere = NULL;
        *nowhere = 1;
    } else if (!strcmp(how, "exit")) {
        exit(3);
    } else if (atoi(how)) {
        (void)raise(atoi(how));
    }
    knell_stop();
}

static void *sleep_forever(void *unused)
{
    for (;;)
        pause();
    return unused;
}

static void helper_thread(void)
{
    pthread_t t;
    if (pthread_create(&t, NULL, sleep_forever, NULL))
        abort();
}

static void say_scope(void)
{
    const struct knell_data pool[] = {
        knell_int("size", 8), knell_bool("idle", 0), knell_double("load", 0.5)};
    const struct knell_data plan = knell_text("plan", "pro");
    const struct knell_user user = {.id = "42",
        .username = "ada",
        .email = "a@example.org",
        .ip_address = "192.0.2.1",
        .extra = &plan,
        .n_extra = 1};
    const char *const print[] = {"{{ default }}", "by-shard"};
    knell_set_tag("shard", "eu-1");
    knell_set_tag("route", "global");
    knell_set_tag("gone", "x");
    knell_set_tag("gone", NULL);
    knell_set_user(&user);
    knell_set_context("pool", pool, 3);
    knell_set_extra(knell_text("note", "caf\xc3\xa9"));
    knell_set_fingerprint(print, 2);
    knell_set_level(KNELL_LEVEL_INFO);
    knell_set_transaction("accept loop");
    knell_attach_bytes("config.txt", "a=1\n", 4);
    knell_add_breadcrumb(KNELL_LEVEL_INFO, "lifecycle", "started");
    const struct knell_data rows = knell_int("rows", 3);
    knell_add_breadcrumb_data(KNELL_LEVEL_WARNING, "db", "slow query", &rows, 1);
    (void)knell_scope_push();
    knell_set_tag("temporary", "yes");
    knell_scope_pop();
    struct knell_scope *connection = knell_scope_new(), *other = knell_scope_new();
    knell_scope_set_tag(connection, "peer", "10.0.0.7");
    knell_scope_set_tag(other, "peer", "10.0.0.8");
    knell_scope_bind(other);
    knell_set_tag("seen_by", "other");
    knell_scope_bind(connection);
    knell_set_tag("route", "connection");
}

static void attach(const char *folder, const char *name, const char *file)
{
    char path[600];
    (void)snprintf(path, sizeof path, "%s/%s", folder, file);
    knell_attach_file(name, path);
}

static void say_files(void)
{
    const char *folder = getenv("FILES");
    char name[16];
    attach(folder, NULL, "app.log");
    attach(folder, "state.bin", "data");
    attach(folder, NULL, "missing.txt");
    attach(folder, "taken back", "app.log");
    knell_attach_file("taken back", NULL);
    knell_attach_file(NULL, "/proc/self/environ");
    knell_attach_file(NULL, "/dev/zero");
    (void)knell_scope_push();
    attach(folder, "of a scope that is gone", "app.log");
    knell_scope_pop();
    if (chdir(folder))
        abort();
    (void)knell_scope_push();
    knell_attach_file(NULL, "request.json"); /* from the working folder */
    if (!strcmp(how_to_die, "message")) {
        knell_capture_message(KNELL_LEVEL_ERROR, "look at the log");
    } else if (!strcmp(how_to_die, "many")) {
        for (int i = 0; i < 20; i++) {
            (void)snprintf(name, sizeof name, "part %d", i);
            knell_attach_bytes(name, "x", 1);
        }
        knell_capture_message(KNELL_LEVEL_ERROR, "much to look at");
    }
}

static void print_id(struct knell_event_id id)
{
    (void)printf("id %s\n", id.text);
    (void)fflush(stdout);
}

__attribute__((noinline)) static void fail_query(bool all_threads)
{
    const struct knell_data details[] = {
        knell_text("query", "select 1"), knell_int("attempt", 2)};
    struct knell_error e = KNELL_ERROR_INIT;
    e.type = "QueryFailed";
    e.message = "connection refused";
    e.domain = "database";
    e.operation = "login";
    e.code = ECONNREFUSED;
    e.details = details;
    e.n_details = 2;
    e.all_threads = all_threads;
    errno = 77;
    print_id(knell_capture_error(&e));
    if (errno != 77)
        abort();
}

static void say_with_level_of_scope(void)
{
    struct knell_error e = KNELL_ERROR_INIT;
    e.type = "Tolerable";
    (void)knell_scope_push();
    knell_set_level(KNELL_LEVEL_WARNING);
    print_id(knell_capture_error(&e));
    knell_scope_pop();
}

static void say_errors(void)
{
    helper_thread();
    for (int i = 0; i < 20; i++)
        fail_query(false);
    print_id(knell_capture_message(KNELL_LEVEL_WARNING, "disk nearly full"));
    say_with_level_of_scope();
    struct knell_error quiet = KNELL_ERROR_INIT;
    quiet.type = "Expected";
    quiet.not_reported = 1;
    print_id(knell_capture_error(&quiet));
    struct knell_error e = KNELL_ERROR_INIT;
    e.type = "Everybody";
    e.all_threads = 1;
    e.level = KNELL_LEVEL_FATAL;
    print_id(knell_capture_error(&e));
}

static void say_spans(void)
{
    const struct knell_trace_headers in = {
        .sentry_trace = "0123456789abcdef0123456789abcdef-0123456789abcdef-1",
        .baggage = "other=1,sentry-release=x%401"};
    struct knell_outgoing out;
    struct knell_span *t = knell_transaction_start("GET /users/{id}", "http.server", &in);
    struct knell_span *s = knell_span_start(NULL, "db.query", "select user");
    knell_span_set_data(s, knell_int("rows", 1));
    knell_span_set_tag(t, "cache", "miss");
    knell_trace_outgoing(NULL, &out);
    (void)printf("out %s %s %s\n", out.sentry_trace, out.traceparent, out.baggage);
    (void)fflush(stdout);
    struct knell_span *left_open = knell_span_start(s, "io", "left open");
    knell_span_finish(s, KNELL_SPAN_NOT_FOUND);
    knell_span_finish(t, KNELL_SPAN_OK);
    knell_span_finish(left_open, KNELL_SPAN_OK);
    for (int i = 0; i < 5; i++) {
        knell_span_finish(
            knell_transaction_start("GET /health", "http.server", NULL), KNELL_SPAN_OK);
        knell_span_finish(
            knell_transaction_start("POST /orders", "http.server", NULL), KNELL_SPAN_OK);
    }
    const struct knell_trace_headers w3c = {
        .traceparent = "00-fedcba9876543210fedcba9876543210-fedcba9876543210-01"};
    knell_span_finish(knell_transaction_start("GET /w3c", "x", &w3c), KNELL_SPAN_OK);
    knell_transaction_discard(knell_transaction_start("thrown away", "x", NULL));
    knell_log(KNELL_LEVEL_INFO, "listening on port %d: %m", 80);
    t = knell_transaction_start("GET /broken", "http.server", NULL);
    (void)knell_span_start(t, "render", "page");
    const struct knell_data n = knell_int("n", 5);
    knell_log_data(KNELL_LEVEL_ERROR, "template missing", &n, 1);
    openlog(
        NULL, LOG_PERROR, LOG_USER); /* as far as it can be seen that it comes there */
    knell_syslog(LOG_USER | LOG_ERR, "syslog says %s", "no");
}

static void print_status(const char *when)
{
    struct knell_status s = KNELL_STATUS_INIT;
    (void)knell_status(&s);
    (void)printf("%s: armed %d failed %llu captured %llu lost %llu error %d reason %s\n",
        when, s.armed, (unsigned long long)s.failed, (unsigned long long)s.captured,
        (unsigned long long)(s.logs_lost + s.spans_lost), s.last_error, s.reason);
    (void)fflush(stdout);
}

static void say_all_kinds(void)
{
    fail_query(true);
    (void)knell_capture_message(KNELL_LEVEL_WARNING, "disk nearly full");
    knell_log(KNELL_LEVEL_ERROR, "a line");
    struct knell_span *t = knell_transaction_start("job", "queue.process", NULL);
    knell_span_finish(t, KNELL_SPAN_OK);
    say_scope();
}

/* A disk that fills up while the daemon runs, and has room again later. */
static void say_on_full_disk(void)
{
    char path[600], block[4096] = {1};
    (void)snprintf(path, sizeof path, "%s/../filler", getenv("KNELL_SPOOL"));
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    while (write(fd, block, sizeof block) > 0)
        ;
    say_all_kinds();
    print_status("full");
    (void)close(fd);
    (void)unlink(path);
    say_all_kinds();
    print_status("room");
}

static void say_hang(void)
{
    struct knell_heart *h = knell_watch("event loop", 100);
    struct knell_status s = KNELL_STATUS_INIT;
    for (int i = 0; i < 100 && !s.hangs; i++) {
        (void)usleep(50000);
        (void)knell_status(&s);
    }
    knell_beat(h);
    knell_beat_pause(h);
    knell_unwatch(h);
}

/* The parent's watchdog is not there in a child, which watches loops of its own. */
static void say_fork_hang(void)
{
    knell_beat_pause(knell_watch("parent", 100));
    pid_t pid = fork();
    if (!pid) {
        (void)alarm(60); /* rather than for ever, should it not work */
        say_hang();
        exit(0);
    }
    int status;
    (void)waitpid(pid, &status, 0);
    (void)printf("child %d\n", status);
    (void)fflush(stdout);
}

/* More than there is room for, of everything. */
static void say_too_much(void)
{
    static char text[12000];
    char key[64];
    const char *parts[20];
    memset(text, 'x', sizeof text - 1);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(key, sizeof key, "tag%d", i);
        knell_set_tag(key, "value");
    }
    knell_set_tag("tag0", text);
    knell_set_tag("tag1", "two\nlines");
    const struct knell_data values[] = {knell_text("long", text), knell_text(text, "v")};
    const struct knell_user user = {.id = text};
    knell_set_user(&user);
    knell_set_context("ctx", values, 2);
    knell_set_extra(knell_text("long", text));
    for (int i = 0; i < 20; i++)
        parts[i] = "part";
    knell_set_fingerprint(parts, 20);
    knell_set_transaction(text);
    knell_attach_bytes("bytes", text, sizeof text);
    for (int i = 0; i < 150; i++)
        knell_add_breadcrumb(KNELL_LEVEL_INFO, text, text);
    struct knell_error e = KNELL_ERROR_INIT;
    e.type = e.message = e.domain = e.operation = text;
    (void)knell_capture_error(&e);
    struct knell_status s = KNELL_STATUS_INIT;
    (void)knell_status(&s);
    (void)printf("cut %llu lost %llu\n", (unsigned long long)s.cut,
        (unsigned long long)s.scope_lost);
    (void)fflush(stdout);
}

/* Bytes that are no text, as values and as names. */
static void say_odd_bytes(void)
{
    static const char odd[] = "caf\xe9 \xff\xfe \xed\xa0\x80 \xf8\x88 \x01\x1b[31m";
    const struct knell_data values[] = {
        knell_text(odd, odd), knell_int("n", 1), knell_int(odd + 1, 2)};
    const struct knell_user user = {odd, odd, odd, odd, values, 3};
    knell_set_tag(odd, odd);
    knell_set_user(&user);
    knell_set_context(odd, values, 3);
    knell_set_context("odd", values, 3);
    knell_set_extra(values[0]);
    knell_set_fingerprint(&user.id, 1);
    knell_set_transaction(odd);
    knell_attach_bytes(odd, odd, sizeof odd);
    knell_attach_file(odd, odd);
    knell_add_breadcrumb_data(KNELL_LEVEL_INFO, odd, odd, values, 3);
    knell_log_data(KNELL_LEVEL_INFO, odd, values, 3);
    struct knell_span *t = knell_transaction_start(odd, odd, NULL);
    struct knell_span *s = knell_span_start(t, odd, odd);
    knell_span_set_data(s, values[0]);
    knell_span_set_data(t, values[0]);
    knell_span_set_tag(t, odd, odd);
    knell_span_finish(s, KNELL_SPAN_OK);
    knell_span_finish(t, KNELL_SPAN_OK);
    struct knell_error e = KNELL_ERROR_INIT;
    e.type = e.message = e.domain = e.operation = odd;
    e.details = values;
    e.n_details = 3;
    print_id(knell_capture_error(&e));
    print_id(knell_capture_message(KNELL_LEVEL_INFO, odd));
}

static void say_many_logs(void)
{
    for (int i = 0; i < 2500; i++)
        knell_log(KNELL_LEVEL_INFO, "%d", i);
    struct knell_span *t = knell_transaction_start("after them", "x", NULL);
    knell_span_finish(t, KNELL_SPAN_OK);
}

static void say_transactions(void)
{
    for (int i = 0; i < 3; i++) {
        struct knell_span *t = knell_transaction_start("job", "queue.process", NULL);
        knell_span_finish(knell_span_start(t, "db.query", "select"), KNELL_SPAN_OK);
        knell_span_finish(t, KNELL_SPAN_OK);
    }
}

static void say_fork(void)
{
    knell_set_tag("who", "parent");
    for (int i = 0; i < 3; i++) {
        pid_t pid = fork();
        if (!pid) {
            char number[16];
            (void)snprintf(number, sizeof number, "%d", i);
            knell_set_tag("child", number);
            knell_add_breadcrumb(KNELL_LEVEL_INFO, "fork", number);
            if (i == 0)
                print_id(knell_capture_message(KNELL_LEVEL_INFO, "from a child"));
            if (i == 1)
                die("segv");
            if (i == 2)
                (void)raise(SIGKILL);
            exit(0);
        }
        (void)waitpid(pid, NULL, 0);
    }
}

static void say_more(const char *who)
{
    const struct knell_user user = {.id = who};
    const struct knell_data value = knell_text("who", who);
    char name[32];
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof name, "%s %d", who, i % 10);
        knell_set_user(&user);
        knell_set_context(name, &value, 1);
        knell_add_breadcrumb(KNELL_LEVEL_INFO, "more", who);
    }
}

/* A server that forks for each connection: the parent goes on while the child works. */
static void say_fork_and_go_on(void)
{
    const struct knell_user user = {.id = "of both"};
    knell_set_user(&user);
    knell_add_breadcrumb(KNELL_LEVEL_INFO, "fork", "of both");
    for (int i = 0; i < 2; i++) {
        int go[2], status = -1;
        char byte = 0;
        struct knell_scope *connection = knell_scope_new();
        knell_scope_bind(connection);
        knell_set_tag("peer", i ? "second" : "first");
        if (pipe(go))
            abort();
        pid_t pid = fork();
        if (!pid) {
            (void)alarm(60); /* rather than for ever */
            (void)read(go[0], &byte, 1);
            if (i == 1)
                say_more("child");
            knell_add_breadcrumb(KNELL_LEVEL_INFO, "fork", "child");
            die("segv");
        }
        knell_scope_bind(NULL);
        knell_scope_free(connection);
        say_more("parent");
        (void)write(go[1], &byte, 1);
        (void)waitpid(pid, &status, 0);
        (void)printf("child died of %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        (void)fflush(stdout);
    }
}

/* Many at once, as a server's that forks before there is work; then each goes its way. */
static void say_prefork(void)
{
    enum { N_WORKERS = 200 };
    int up[2], go[2];
    char byte = 0;
    if (pipe(up) || pipe(go))
        abort();
    for (int i = 0; i < N_WORKERS; i++) {
        char number[16];
        if (fork())
            continue;
        (void)close(go[1]);
        (void)snprintf(number, sizeof number, "%d", i);
        knell_set_tag("worker", number);
        knell_add_breadcrumb(KNELL_LEVEL_INFO, "worker", number);
        (void)write(up[1], &byte, 1);
        (void)read(go[0], &byte, 1);
        if (i % 20 == 0)
            die("segv");
        else if (i % 20 == 1)
            (void)raise(SIGKILL);
        else if (i % 20 == 2)
            fail_query(false);
        exit(0);
    }
    for (int i = 0; i < N_WORKERS; i++) {
        if (read(up[0], &byte, 1) != 1)
            abort();
    }
    (void)close(go[1]);
    while (wait(NULL) > 0)
        ;
}

/* An event loop: one thread, and a scope and a transaction for each connection. */
static void say_connections(void)
{
    enum { N_CONNECTIONS = 5000, N_ROUNDS = 3, ERROR_EVERY = 1000, LAST = 3999 };
    static struct knell_scope *of[N_CONNECTIONS];
    static struct knell_span *request[N_CONNECTIONS];
    for (int round = 0; round < N_ROUNDS; round++) {
        for (int i = 0; i < N_CONNECTIONS; i++) {
            char number[16], name[32];
            (void)snprintf(number, sizeof number, "%d", i);
            (void)snprintf(name, sizeof name, "serve %d", i);
            if (!round)
                of[i] = knell_scope_new();
            knell_scope_bind(of[i]);
            if (!round) {
                const struct knell_user user = {.id = number};
                knell_set_tag("peer", number);
                knell_set_user(&user);
                request[i] = knell_transaction_start(name, "x", NULL);
            } else if (round == 1) {
                knell_set_tag(i % 2 ? "odd" : "even", number);
            } else if (i % ERROR_EVERY == 7) {
                struct knell_error e = KNELL_ERROR_INIT;
                e.code = i;
                print_id(knell_capture_error(&e));
            } else if (i == LAST) {
                die(how_to_die);
            } else {
                knell_span_finish(request[i], KNELL_SPAN_OK);
            }
        }
    }
}

static void say_nothing_started(void)
{
    struct knell_status s = KNELL_STATUS_INIT;
    say_scope();
    fail_query(false);
    say_spans();
    (void)knell_status(&s);
    (void)printf("armed %d journal %d error %d reason %s\n", s.armed, s.journal, s.error,
        s.reason);
    (void)fflush(stdout);
}

/* With its stack's end reached, and no other stack, there is nowhere for a handler to
 * run: the kernel ends the process by the signal's default action. */
__attribute__((noinline)) static int dig(volatile char *above)
{
    volatile char here[4096];
    here[0] = *above;
    return here[0] ? 0 : dig(here) + here[0];
}

static void *overflow(void *unused)
{
    const stack_t none = {.ss_flags = SS_DISABLE};
    volatile char top = 0;
    (void)sigaltstack(&none, NULL);
    return dig(&top) ? unused : NULL;
}

static void overflow_in_thread(void)
{
    pthread_t t;
    say_scope();
    if (pthread_create(&t, NULL, overflow, NULL))
        abort();
    (void)pthread_join(t, NULL);
}

/* As a daemon that takes no for an answer from malloc(3) as the end. */
static void run_out_of_address_space(void)
{
    const struct rlimit limit = {.rlim_cur = 256 << 20, .rlim_max = 256 << 20};
    say_scope();
    if (setrlimit(RLIMIT_AS, &limit))
        abort();
    for (;;) {
        if (!malloc(1 << 20))
            abort();
    }
}

static void eat_memory(void)
{
    for (;;) {
        char *p = malloc(1 << 20);
        if (p)
            memset(p, 1, 1 << 20);
    }
}

int main(int argc, char **argv)
{
    static const char *const ignore[] = {"GET /health*", NULL};
    const char *what = argc > 1 ? argv[1] : "", *how = argc > 2 ? argv[2] : "stop";
    how_to_die = how;
    if (getenv("STDERR_TO_STDOUT"))
        (void)dup2(STDOUT_FILENO, STDERR_FILENO);
    options.app = "teller";
    options.release = "teller@1.0";
    options.start_uploader = KNELL_OFF;
    options.ignore_transactions = ignore;
    options.logs = KNELL_ON;
    options.capture_burst = 3;
    if (getenv("LARGEST"))
        options.max_breadcrumbs = options.breadcrumb_bytes = options.max_thread_scopes =
            UINT32_MAX;
    if (getenv("CRUMBS"))
        options.max_breadcrumbs = (uint32_t)atoi(getenv("CRUMBS"));
    if (getenv("NO_LOGS"))
        options.logs = KNELL_OFF;
    if (getenv("NOTE_NO_EXITS"))
        options.note_exits = KNELL_OFF;
    if (!strncmp(what, "fork-cover", 10) || !strcmp(what, "prefork"))
        options.on_fork = KNELL_FORK_COVER;
    int r = strcmp(what, "unstarted") ? knell_start(&options) : 0;
    if (!strcmp(what, "unstarted") || r)
        say_nothing_started();
    else if (!strcmp(what, "scope"))
        say_scope();
    else if (!strcmp(what, "files"))
        say_files();
    else if (!strcmp(what, "errors"))
        say_errors();
    else if (!strcmp(what, "spans"))
        say_spans();
    else if (!strcmp(what, "full-disk"))
        say_on_full_disk();
    else if (!strcmp(what, "all"))
        say_all_kinds();
    else if (!strcmp(what, "transactions"))
        say_transactions();
    else if (!strcmp(what, "many-logs"))
        say_many_logs();
    else if (!strcmp(what, "odd-bytes"))
        say_odd_bytes();
    else if (!strcmp(what, "too-much"))
        say_too_much();
    else if (!strcmp(what, "fork-cover-hang"))
        say_fork_hang();
    else if (!strcmp(what, "fork-and-go-on"))
        say_fork_and_go_on();
    else if (!strcmp(what, "hang"))
        say_hang();
    else if (!strcmp(what, "prefork"))
        say_prefork();
    else if (!strcmp(what, "connections"))
        say_connections();
    else if (!strncmp(what, "fork", 4))
        say_fork();
    else if (!strcmp(what, "overflow"))
        overflow_in_thread();
    else if (!strcmp(what, "address-space"))
        run_out_of_address_space();
    else if (!strcmp(what, "memory"))
        eat_memory();
    if (!strcmp(what, "all"))
        print_status("end");
    die(how);
    return 0;
}
