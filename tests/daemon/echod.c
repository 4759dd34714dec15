/*
 * echod: a threaded TCP echo server on loopback, the example of a daemon that knell
 * watches. A client's line comes back as it was; a line that begins with '/' is a
 * command:
 *
 *     /quit     close this connection
 *     /stats    say how many lines this connection has sent
 *     /health   say how knell is doing, in one line
 *     /login X  be X from now on: shown with what happens in this connection
 *     /db       ask a database that is not there: a handled error
 *     /call     say which trace headers a request to another service would carry
 *     /hang     be silent until the watchdog has noticed (with -w)
 *     /crash    take the server down in the thread that serves this connection
 *
 * usage: echod [-p PORT] [-f PORTFILE] [-w MS]
 *     PORT 0: any free one; written to PORTFILE. MS: how long a request may take before
 *     a hang is reported; else nobody watches
 */
#include <knell/knell.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { N_WORKERS = 4, MAX_LINE = 1024 };

static uint32_t deadline_ms; /* of a request; 0: none */

struct counters {
    unsigned n_commands;
};

struct session {
    int fd;
    struct knell_scope *scope; /* what knell shall know about this connection */
    struct knell_heart *heart; /* of the thread that serves it; NULL: nobody watches */
    unsigned n_lines;
    struct counters *counters; /* made by the first command that counts; /crash forgets */
};

static void count_command(struct counters *c)
{
    c->n_commands++;
}

static void crash_command(struct session *s)
{
    count_command(s->counters);
    dprintf(s->fd, "still alive after %u commands\n", s->counters->n_commands);
}

static void health_command(struct session *s)
{
    struct knell_status k = KNELL_STATUS_INIT;
    knell_status(&k);
    dprintf(s->fd, "%s %u reports waiting, %llu captured, %llu suppressed%s%s\n",
        k.armed ? "armed" : "not armed", k.n_waiting, (unsigned long long)k.captured,
        (unsigned long long)k.suppressed, k.reason[0] ? ": " : "", k.reason);
}

/* Port 1 of loopback stands for a database that is down. */
static int query_database(const char *query)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
        .sin_port = htons(1),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct knell_span *span = knell_span_start(NULL, "db.query", query);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int err = fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    knell_span_finish(span, err ? KNELL_SPAN_UNAVAILABLE : KNELL_SPAN_OK);
    return -err;
}

static void db_command(struct session *s)
{
    const char *query = "select name from users";
    int err = query_database(query);
    if (!err)
        return;
    const struct knell_data details = knell_text("query", query);
    struct knell_error e = KNELL_ERROR_INIT;
    e.type = "QueryFailed";
    e.message = strerror(-err);
    e.domain = "database";
    e.operation = "user lookup";
    e.code = -err;
    e.details = &details;
    e.n_details = 1;
    struct knell_event_id id = knell_capture_error(&e);
    dprintf(
        s->fd, "the database is down, report %s\n", id.text[0] ? id.text : "not made");
}

/* The connection's scope is bound: who it is goes there, and to no other connection. */
static void login_command(struct session *s, const char *name)
{
    const struct knell_user user = {.id = name};
    knell_set_user(&user);
    knell_log(KNELL_LEVEL_INFO, "%s logged in", name);
    dprintf(s->fd, "hello %s\n", name);
}

static void call_command(struct session *s)
{
    struct knell_outgoing headers;
    knell_trace_outgoing(NULL, &headers);
    dprintf(s->fd, "sentry-trace: %s traceparent: %s\n", headers.sentry_trace,
        headers.traceparent);
}

static void hang_command(struct session *s)
{
    struct knell_status k = KNELL_STATUS_INIT;
    knell_status(&k);
    uint64_t before = k.hangs;
    for (int i = 0; s->heart && i < 1000 && k.hangs == before; i++) {
        usleep(20000);
        knell_status(&k);
    }
    dprintf(s->fd, "%llu hangs\n", (unsigned long long)k.hangs);
}

static int run_command(struct session *s, const char *command)
{
    if (!strcmp(command, "/quit"))
        return -1;
    if (!strcmp(command, "/crash"))
        crash_command(s);
    else if (!strcmp(command, "/health"))
        health_command(s);
    else if (!strcmp(command, "/db"))
        db_command(s);
    else if (!strncmp(command, "/login ", 7))
        login_command(s, command + 7);
    else if (!strcmp(command, "/call"))
        call_command(s);
    else if (!strcmp(command, "/hang"))
        hang_command(s);
    else if (!strcmp(command, "/stats"))
        dprintf(s->fd, "%u lines\n", s->n_lines);
    else
        dprintf(s->fd, "what is %s?\n", command);
    return 0;
}

static int handle_line(struct session *s, const char *line)
{
    s->n_lines++;
    if (line[0] == '/')
        return run_command(s, line);
    return dprintf(s->fd, "%s\n", line) < 0 ? -1 : 0;
}

/* A transaction per line: sent when SENTRY_TRACES_SAMPLE_RATE says so. Its name is the
 * command without what follows: names are what requests are counted by. */
static int handle_request(struct session *s, const char *line)
{
    bool command = line[0] == '/';
    char name[32] = "echo";
    if (command)
        snprintf(name, sizeof name, "%.*s", (int)strcspn(line, " "), line);
    knell_add_breadcrumb(KNELL_LEVEL_INFO, "request", command ? line : "a line");
    struct knell_span *request = knell_transaction_start(name, "echo.request", NULL);
    int r = handle_line(s, line);
    knell_span_finish(request, KNELL_SPAN_OK);
    return r;
}

/* Tags of this connection, and of no other one. */
static struct knell_scope *scope_of(int fd)
{
    struct sockaddr_in a = {0};
    socklen_t n = sizeof a;
    char peer[32] = "unknown";
    struct knell_scope *scope = knell_scope_new();
    if (!getpeername(fd, (struct sockaddr *)&a, &n))
        snprintf(peer, sizeof peer, "127.0.0.1:%u", ntohs(a.sin_port));
    knell_scope_set_tag(scope, "peer", peer);
    return scope;
}

static void serve_client(int fd, struct knell_heart *heart)
{
    struct session s = {.fd = fd, .scope = scope_of(fd), .heart = heart};
    char line[MAX_LINE];
    FILE *in = fdopen(fd, "r");
    if (!in) {
        close(fd);
        knell_scope_free(s.scope);
        return;
    }
    knell_scope_bind(s.scope);
    while (fgets(line, sizeof line, in)) {
        line[strcspn(line, "\r\n")] = '\0';
        knell_beat(heart); /* from here to the pause it shall not take too long */
        if (handle_request(&s, line) < 0)
            break;
        knell_beat_pause(heart);
    }
    knell_beat_pause(heart);
    knell_scope_free(s.scope);
    fclose(in);
}

static void *worker(void *arg)
{
    int listener = *(int *)arg;
    knell_thread_enter(); /* so that a stack overflow in this thread is reported as well
                           */
    struct knell_heart *heart = deadline_ms ? knell_watch("worker", deadline_ms) : NULL;
    knell_beat_pause(heart);
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            serve_client(fd, heart);
        else if (errno != EINTR && errno != ECONNABORTED)
            break;
    }
    knell_unwatch(heart);
    return NULL;
}

static int listen_on_loopback(uint16_t port, const char *port_file)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&a, n) < 0 || listen(fd, 64) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &n) < 0)
        return -1;
    printf("echod: listening on 127.0.0.1:%u\n", ntohs(a.sin_port));
    fflush(stdout);
    if (port_file) {
        FILE *f = fopen(port_file, "w");
        if (!f)
            return -1;
        fprintf(f, "%u\n", ntohs(a.sin_port));
        if (fclose(f))
            return -1;
    }
    return fd;
}

int main(int argc, char **argv)
{
    const char *port_file = NULL;
    uint16_t port = 7007;
    for (int c; (c = getopt(argc, argv, "p:f:w:")) != -1;) {
        if (c == 'p')
            port = (uint16_t)strtoul(optarg, NULL, 10);
        else if (c == 'f')
            port_file = optarg;
        else if (c == 'w')
            deadline_ms = (uint32_t)strtoul(optarg, NULL, 10);
        else
            return 2;
    }

    static const char *const uninteresting[] = {"/health", NULL};
    struct knell_options options = KNELL_OPTIONS_INIT;
    options.ignore_transactions = uninteresting;
    options.app = "echod";
    options.release = "echod@1.4.2";
    int err = knell_start(&options); /* the daemon serves on without knell */
    if (err)
        fprintf(stderr, "echod: no crash reports: %s\n", strerror(-err));

    char settings[32]; /* with every report: how this server was set up */
    int n = snprintf(settings, sizeof settings, "port=%u\n", port);
    knell_attach_bytes("settings.txt", settings, (size_t)n);

    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);

    int listener = listen_on_loopback(port, port_file);
    if (listener < 0) {
        perror("echod");
        return 1;
    }
    for (int i = 0; i < N_WORKERS; i++) {
        pthread_t t;
        if (pthread_create(&t, NULL, worker, &listener))
            return 1;
        pthread_setname_np(t, "worker");
    }

    int signo;
    sigwait(&stop, &signo);
    knell_stop(); /* a clean exit: nothing to report */
    return 0;
}
