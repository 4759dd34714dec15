#include "ingest.h"
#include "ingest_script.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

enum {
    MAX_CONNECTIONS = 512,
    MAX_REQUEST = 64 << 20,
    HUGE_BODY = 1 << 30,
    MAX_UNCUT = 256 << 10,
    CUT_AT = 64 << 10,
};

struct connection {
    int fd;
    char *in; /* request bytes so far */
    size_t n_in, max_in;
    char *out; /* answer bytes left: out[at_out..n_out) */
    size_t n_out, at_out;
    size_t endless;    /* bytes of body to make up after out */
    long long send_at; /* ms; 0: at once */
    bool waiting;      /* an answer is prepared, or none will ever come */
    bool mute, trickle, close_after;
};

struct server {
    struct ingest_script script;
    struct ingest_counts *counts;
    const char *dir, *forbidden;
    FILE *log;
    struct connection connections[MAX_CONNECTIONS];
    struct pollfd polls[MAX_CONNECTIONS + 1];
};

static void die(const char *what)
{
    fprintf(stderr, "ingest: %s: %s\n", what, strerror(errno));
    exit(99);
}

static long long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

static void drop(struct connection *c, bool reset)
{
    if (reset) {
        struct linger l = {.l_onoff = 1};
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    }
    close(c->fd);
    free(c->in);
    free(c->out);
    *c = (struct connection){.fd = -1};
}

/* A header's value in a NUL-terminated head; "" when absent. */
static const char *header(const char *head, const char *name, char *out, size_t n)
{
    size_t len = strlen(name);
    *out = 0;
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, len) != 0 || line[2 + len] != ':')
            continue;
        const char *v = line + 3 + len + strspn(line + 3 + len, " ");
        snprintf(out, n, "%.*s", (int)strcspn(v, "\r\n"), v);
        break;
    }
    return out;
}

/* @ret gets a malloc'd NUL-terminated copy of the body, decoded. */
static size_t decode(const char *head, const char *body, size_t n, char **ret)
{
    char encoding[32];
    size_t max = n + 1;
    if (strcmp(header(head, "Content-Encoding", encoding, sizeof encoding), "gzip") !=
        0) {
        *ret = malloc(max);
        memcpy(*ret, body, n);
        (*ret)[n] = 0;
        return n;
    }
    max = n * 20 + (1 << 16);
    *ret = malloc(max);
    z_stream z = {.next_in = (Bytef *)(uintptr_t)body,
        .avail_in = (uInt)n,
        .next_out = (Bytef *)*ret,
        .avail_out = (uInt)max - 1};
    int r = inflateInit2(&z, 16 + MAX_WBITS);
    if (r == Z_OK)
        r = inflate(&z, Z_FINISH);
    size_t got = max - 1 - z.avail_out;
    (void)inflateEnd(&z);
    if (r != Z_STREAM_END)
        got = (size_t)snprintf(*ret, max, "body does not decode");
    (*ret)[got] = 0;
    return got;
}

static void save(const struct server *s, const char *ext, const void *p, size_t n)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%06llu.%s", s->dir,
        (unsigned long long)s->counts->requests, ext);
    FILE *f = fopen(path, "wb");
    if (!f || (n && fwrite(p, 1, n, f) != n) || fclose(f))
        die(path);
}

static void event_id_of(const char *body, char out[33])
{
    /* The envelope's header is the first line; nobody else writes this key there. */
    const char *end = strchr(body, '\n'), *p = strstr(body, "\"event_id\":\"");
    snprintf(out, 33, "-");
    if (p && (!end || p < end))
        snprintf(out, 33, "%.32s", p + strlen("\"event_id\":\""));
}

static void record(struct server *s, const struct ingest_item *it, const char *head,
    const char *body, size_t n_body, char event_id[33])
{
    s->counts->requests++;
    s->counts->body_bytes += n_body;
    char *plain = NULL;
    size_t n = 0;
    if (s->dir || !it->body)
        n = decode(head, body, n_body, &plain);
    event_id_of(plain ? plain : "", event_id);
    if (s->dir) {
        save(s, "head", head, strlen(head));
        save(s, "body", plain, n);
        fprintf(s->log, "%06llu %.*s %s %zu %s\n",
            (unsigned long long)s->counts->requests,
            (int)strcspn(head, "\r\n") - (int)strlen(" HTTP/1.1"), head, it->word, n,
            event_id);
        fflush(s->log);
    }
    free(plain);
}

static void set_answer(struct connection *c, const struct ingest_item *it, const char *id)
{
    char body[128];
    snprintf(body, sizeof body, "{\"id\":\"%s\"}", id);
    if (it->status >= 300)
        snprintf(body, sizeof body, "{\"detail\":\"scripted %d\"}", it->status);
    const char *text = it->body ? it->body : body;
    size_t promised = strlen(text);
    if (it->kind == INGEST_HUGE)
        promised = HUGE_BODY;
    if (it->kind == INGEST_SHORT)
        promised += 100;
    size_t bomb = it->kind == INGEST_BOMB ? 1 << 20 : 0;
    size_t max = strlen(text) + sizeof it->headers + 256 + bomb;
    c->out = malloc(max);
    int n = snprintf(c->out, max, "HTTP/1.1 %d Scripted\r\n", it->status);
    for (size_t at = 0; at < bomb; at += 1024)
        n += snprintf(c->out + n, max - (size_t)n, "X-Bomb: %01014d\r\n", 0);
    if (!strstr(it->headers, "Content-Type"))
        n += snprintf(c->out + n, max - (size_t)n, "Content-Type: application/json\r\n");
    n += snprintf(c->out + n, max - (size_t)n, "%s%sContent-Length: %zu\r\n\r\n%s",
        it->headers, it->close ? "Connection: close\r\n" : "", promised, text);
    if (it->kind == INGEST_PARTIAL)
        n = 20;
    if (it->kind == INGEST_HUGE)
        c->endless = HUGE_BODY - strlen(text);
    c->n_out = (size_t)n;
    c->at_out = 0;
    c->trickle = it->kind == INGEST_TRICKLE;
    c->close_after = it->close || it->kind != INGEST_STATUS;
    c->send_at = it->delay_ms ? now_ms() + it->delay_ms : 0;
}

static bool is_forbidden(const struct server *s, const char *head)
{
    const char *target = strchr(head, ' ');
    return s->forbidden && target &&
           !strncmp(target + 1, s->forbidden, strlen(s->forbidden));
}

/* A whole request is there: write it down and prepare the answer.
 * Returns false when the connection is gone. */
static bool answer(struct server *s, struct connection *c, size_t n_head, size_t n_body)
{
    char *head = strndup(c->in, n_head), id[33];
    const struct ingest_item *it =
        is_forbidden(s, head) ? &(struct ingest_item){.status = 403, .word = "403"}
                              : ingest_script_next(&s->script);
    record(s, it, head, c->in + n_head, n_body, id);
    free(head);
    c->n_in -= n_head + n_body;
    memmove(c->in, c->in + n_head + n_body, c->n_in);
    if (it->kind == INGEST_RESET) {
        drop(c, true);
        return false;
    }
    c->waiting = true;
    c->mute = it->kind == INGEST_HANG;
    if (!c->mute)
        set_answer(c, it, id);
    return true;
}

/* Answer when the request is complete. Returns false when the connection is gone. */
static bool look(struct server *s, struct connection *c)
{
    const char *end = c->in ? memmem(c->in, c->n_in, "\r\n\r\n", 4) : NULL;
    if (!end || c->waiting)
        return true;
    size_t n_head = (size_t)(end - c->in) + 4;
    char *head = strndup(c->in, n_head), value[32];
    size_t n_body =
        strtoul(header(head, "Content-Length", value, sizeof value), NULL, 10);
    bool expects = *header(head, "Expect", value, sizeof value);
    free(head);
    enum ingest_kind kind = ingest_script_peek(&s->script)->kind;
    if (kind == INGEST_EARLY)
        return answer(s, c, n_head, 0);
    if (kind == INGEST_CUT && n_body > MAX_UNCUT && c->n_in >= n_head + CUT_AT) {
        s->counts->requests++;
        drop(c, true);
        return false;
    }
    if (expects && c->n_in == n_head)
        (void)send(c->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL);
    if (n_body > MAX_REQUEST) {
        drop(c, true);
        return false;
    }
    return c->n_in < n_head + n_body ? true : answer(s, c, n_head, n_body);
}

static void receive(struct server *s, struct connection *c)
{
    if (c->max_in - c->n_in < 65536) {
        c->max_in = c->max_in * 2 + 65536;
        c->in = realloc(c->in, c->max_in);
    }
    ssize_t n = recv(c->fd, c->in + c->n_in, c->max_in - c->n_in, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        drop(c, false);
        return;
    }
    c->n_in += (size_t)n;
    (void)look(s, c);
}

static void transmit(struct server *s, struct connection *c)
{
    static const char filler[65536];
    while (c->at_out < c->n_out || c->endless) {
        bool made_up = c->at_out == c->n_out;
        size_t left = made_up ? c->endless : c->n_out - c->at_out;
        if (made_up && left > sizeof filler)
            left = sizeof filler;
        ssize_t n = send(c->fd, made_up ? filler : c->out + c->at_out,
            c->trickle ? 1 : left, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            drop(c, false);
            return;
        }
        if (made_up)
            c->endless -= (size_t)n;
        else
            c->at_out += (size_t)n;
        if (c->trickle) {
            c->send_at = now_ms() + 100;
            return;
        }
    }
    s->counts->answered++;
    free(c->out);
    c->out = NULL;
    c->n_out = c->at_out = 0;
    c->waiting = false;
    if (c->close_after)
        drop(c, false);
    else
        (void)look(s, c);
}

static void accept_one(struct server *s, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    int one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    for (int i = 0; i < MAX_CONNECTIONS; i++) {
        if (s->connections[i].fd < 0) {
            s->connections[i].fd = fd;
            s->counts->connections++;
            return;
        }
    }
    close(fd);
}

void ingest_serve(
    int listener, const struct ingest_options *options, struct ingest_counts *counts)
{
    struct server *s = calloc(1, sizeof *s);
    if (!s)
        die("calloc");
    s->counts = counts;
    s->dir = options->dir;
    s->forbidden = options->forbidden;
    ingest_script_parse(options->script ? options->script : "200", &s->script);
    if (s->dir) {
        char path[1024];
        snprintf(path, sizeof path, "%s/requests.log", s->dir);
        s->log = fopen(path, "a");
        if (!s->log)
            die(path);
    }
    for (int i = 0; i < MAX_CONNECTIONS; i++)
        s->connections[i].fd = -1;
    for (;;) {
        long long now = now_ms(), timeout = -1;
        s->polls[MAX_CONNECTIONS] = (struct pollfd){.fd = listener, .events = POLLIN};
        for (int i = 0; i < MAX_CONNECTIONS; i++) {
            struct connection *c = &s->connections[i];
            bool out = c->waiting && !c->mute;
            if (out && c->send_at > now) {
                if (timeout < 0 || c->send_at - now < timeout)
                    timeout = c->send_at - now;
                out = false;
            }
            s->polls[i] = (struct pollfd){.fd = c->fd,
                .events = (short)(out          ? POLLOUT
                                  : c->waiting ? POLLRDHUP
                                               : POLLIN)};
        }
        if (poll(s->polls, MAX_CONNECTIONS + 1, (int)timeout) < 0 && errno != EINTR)
            die("poll");
        if (s->polls[MAX_CONNECTIONS].revents)
            accept_one(s, listener);
        for (int i = 0; i < MAX_CONNECTIONS; i++) {
            struct connection *c = &s->connections[i];
            if (c->fd < 0 || c->fd != s->polls[i].fd)
                continue;
            short got = s->polls[i].revents;
            if (got & POLLOUT)
                transmit(s, c);
            else if (got & POLLIN)
                receive(s, c);
            else if (got & (POLLERR | POLLHUP | POLLRDHUP))
                drop(c, false);
        }
    }
}

int ingest_listen(const struct ingest_options *options, int *ret_port)
{
    bool local = options->unix_path != NULL;
    int fd =
        socket(local ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un u = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET,
        .sin_port = htons((uint16_t)options->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof in;
    int one = 1, r;
    if (fd < 0)
        die("socket");
    if (local) {
        snprintf(u.sun_path, sizeof u.sun_path, "%s", options->unix_path);
        r = bind(fd, (struct sockaddr *)&u, sizeof u);
    } else {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        r = bind(fd, (struct sockaddr *)&in, sizeof in);
    }
    if (r < 0 || listen(fd, 512) < 0)
        die("listen");
    *ret_port = 0;
    if (!local && getsockname(fd, (struct sockaddr *)&in, &n) == 0)
        *ret_port = ntohs(in.sin_port);
    return fd;
}

struct ingest ingest_start(const struct ingest_options *options)
{
    struct ingest s = {0};
    s.counts = mmap(NULL, sizeof *s.counts, PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s.counts == MAP_FAILED)
        die("mmap");
    int listener = ingest_listen(options, &s.port);
    s.pid = fork();
    if (s.pid < 0)
        die("fork");
    if (!s.pid) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        ingest_serve(listener, options, s.counts);
    }
    close(listener);
    return s;
}

void ingest_stop(struct ingest *s)
{
    if (s->pid <= 0)
        return;
    (void)kill(s->pid, SIGKILL);
    (void)waitpid(s->pid, NULL, 0);
    (void)munmap(s->counts, sizeof *s->counts);
    *s = (struct ingest){0};
}
