#include "uploader/deliver/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { MAX_UNKEPT_BYTES = 1 << 20 };

struct transfer {
    struct http *http;
    CURL *easy; /* kept for the next request with the same tls */
    const struct http_tls *tls;
    struct curl_slist *headers;
    bool busy;
    bool refused;   /* never handed to libcurl: consent was gone */
    bool forbidden; /* consent went before the connection */
    bool head_cut;
    size_t n_head, n_unkept; /* of the head, of a fetched body that is no file */
    void *tag;
    int fd; /* gets the body; -1: the answer's own room does */
    uint64_t max_bytes;
    bool unwritten; /* the body could not be written */
    size_t n_body_out;
    struct answer answer;
    char error[CURL_ERROR_SIZE];
};

struct http {
    struct http_options options;
    CURLM *multi; /* NULL until the first request */
    size_t n_in_flight;
    struct transfer transfers[HTTP_MAX_IN_FLIGHT];
};

int http_new(const struct http_options *options, struct http **ret)
{
    struct http *h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    h->options = *options;
    for (size_t i = 0; i < HTTP_MAX_IN_FLIGHT; i++)
        h->transfers[i].http = h;
    *ret = h;
    return 0;
}

void http_free(struct http *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < HTTP_MAX_IN_FLIGHT; i++) {
        struct transfer *t = &h->transfers[i];
        if (t->busy && !t->refused)
            IGNORE(curl_multi_remove_handle(h->multi, t->easy), "it is going away");
        if (t->easy)
            curl_easy_cleanup(t->easy);
        curl_slist_free_all(t->headers);
    }
    if (h->multi) {
        IGNORE(curl_multi_cleanup(h->multi), "nothing could be done about it");
        curl_global_cleanup();
    }
    free(h);
}

static int start(struct http *h)
{
    if (h->multi)
        return 0;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return -ENOMEM;
    h->multi = curl_multi_init();
    if (!h->multi) {
        curl_global_cleanup();
        return -ENOMEM;
    }
    return 0;
}

static bool allowed(const struct http *h)
{
    return !h->options.may_connect || h->options.may_connect(h->options.ctx);
}

/* Only the file itself is kept: not the text of a redirection or of an error. That is
 * listened to for a while, so that the connection can be used again. */
static size_t write_body(struct transfer *t, const char *p, size_t n)
{
    long status = 0;
    IGNORE(curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status), "0 when unknown");
    if (status != 200) {
        t->n_unkept += n;
        return t->n_unkept > MAX_UNKEPT_BYTES ? 0 : n;
    }
    for (size_t done = 0; done < n;) {
        ssize_t put = write(t->fd, p + done, n - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0) {
            t->unwritten = true;
            return 0;
        }
        done += (size_t)put;
    }
    t->answer.n_body += n;
    return n;
}

/* A result other than @n ends the transfer with CURLE_WRITE_ERROR. */
static size_t on_body(char *p, size_t one, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    struct answer *a = &t->answer;
    (void)one;
    if (a->n_body + n > t->max_bytes) {
        a->body_cut = true;
        return 0;
    }
    if (t->fd >= 0)
        return write_body(t, p, n);
    if (a->n_body < sizeof a->body - 1) {
        size_t room = sizeof a->body - 1 - a->n_body, k = n < room ? n : room;
        memcpy(a->body + a->n_body, p, k);
        a->body[a->n_body + k] = 0;
    }
    a->n_body += n;
    return n;
}

/* Append: servers may send a list in several lines of the same name. */
static void keep(
    const char *line, size_t n, const char *name, char *out, size_t max, bool append)
{
    size_t len = strlen(name), used = strlen(out);
    if (n <= len || strncasecmp(line, name, len) != 0 || line[len] != ':')
        return;
    line += len + 1;
    n -= len + 1;
    while (n && (*line == ' ' || *line == '\t'))
        line++, n--;
    while (n && strchr("\r\n \t", line[n - 1]))
        n--;
    if (!append)
        used = 0;
    snprintf(out + used, max - used, "%s%.*s", used ? "," : "", (int)n, line);
}

static size_t on_header(char *p, size_t one, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    struct answer *a = &t->answer;
    (void)one;
    t->n_head += n;
    if (t->n_head > t->http->options.max_headers_bytes) {
        t->head_cut = true;
        return 0;
    }
    keep(p, n, "Content-Type", a->content_type, sizeof a->content_type, false);
    keep(p, n, "Retry-After", a->retry_after, sizeof a->retry_after, false);
    keep(p, n, "X-Sentry-Rate-Limits", a->rate_limits, sizeof a->rate_limits, true);
    return n;
}

/* The last moment before a packet can leave. */
static curl_socket_t on_open_socket(
    void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct transfer *t = ctx;
    (void)purpose;
    if (!allowed(t->http)) {
        t->forbidden = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static bool add_header(struct transfer *t, const char *line)
{
    struct curl_slist *l = curl_slist_append(t->headers, line);
    if (l)
        t->headers = l;
    return l != NULL;
}

static bool add_extra(struct transfer *t, const char *lines)
{
    while (lines && *lines) {
        char line[1024];
        size_t n = strcspn(lines, "\n");
        if (n && n < sizeof line) {
            snprintf(line, sizeof line, "%.*s", (int)n, lines);
            if (!add_header(t, line))
                return false;
        }
        lines += n + (lines[n] == '\n');
    }
    return true;
}

static bool set_headers(struct transfer *t, const struct http_request *q)
{
    char line[1024];
    curl_slist_free_all(t->headers);
    t->headers = NULL;
    snprintf(line, sizeof line, "Content-Type: %s", q->content_type);
    bool ok = add_header(t, line) && add_header(t, "Expect:") &&
              add_header(t, "Accept:") &&
              (!q->gzipped || add_header(t, "Content-Encoding: gzip"));
    if (ok && q->to->public_key) {
        snprintf(line, sizeof line,
            "X-Sentry-Auth: Sentry sentry_version=7, sentry_client=%s, sentry_key=%s%s%s",
            t->http->options.user_agent, q->to->public_key,
            q->to->secret ? ", sentry_secret=" : "", q->to->secret ? q->to->secret : "");
        ok = add_header(t, line);
    }
    return ok && add_extra(t, q->extra_headers);
}

static bool set_text(CURL *e, CURLoption option, const char *text)
{
    return !text || !*text || curl_easy_setopt(e, option, text) == CURLE_OK;
}

/* What stays the same for each request of a handle. */
static bool set_fixed(struct transfer *t)
{
    const struct http_options *o = &t->http->options;
    const struct http_tls *tls = t->tls ? t->tls : &o->tls;
    CURL *e = t->easy;
    bool ok = set_text(e, CURLOPT_NOPROXY, o->no_proxy) &&
              set_text(e, CURLOPT_CAINFO, tls->ca_file) &&
              set_text(e, CURLOPT_CAPATH, tls->ca_path) &&
              set_text(e, CURLOPT_SSLCERT, tls->client_cert) &&
              set_text(e, CURLOPT_SSLKEY, tls->client_key) &&
              set_text(e, CURLOPT_USERAGENT, o->user_agent) &&
              set_text(e, CURLOPT_PROTOCOLS_STR, "http,https");
#define SET(option, value) (ok = ok && curl_easy_setopt(e, option, value) == CURLE_OK)
    SET(CURLOPT_NOSIGNAL, 1L);
    /* HTTP/2 over one connection measured slower than HTTP/1.1 over a few, and loses
     * requests when a server answers before it read the body. */
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_MAXAGE_CONN, (long)((o->keep_alive_ms + 999) / 1000));
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)o->connect_timeout_ms);
    SET(CURLOPT_LOW_SPEED_LIMIT, (long)o->low_speed_bytes);
    SET(CURLOPT_LOW_SPEED_TIME, (long)((o->low_speed_time_ms + 999) / 1000));
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, t);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    SET(CURLOPT_OPENSOCKETDATA, t);
    SET(CURLOPT_ERRORBUFFER, t->error);
    SET(CURLOPT_PRIVATE, t);
    return ok;
}

/* What is nearer than a proxy: "" switches off one from the environment, too. */
static bool set_proxy(struct transfer *t, bool direct)
{
    const struct http_options *o = &t->http->options;
    CURL *e = t->easy;
    bool ok = true;
    if (direct)
        SET(CURLOPT_PROXY, "");
    else
        SET(CURLOPT_PROXY, o->proxy && *o->proxy ? o->proxy : NULL);
    return ok;
}

static bool set_request(struct transfer *t, const struct http_request *q)
{
    const struct http_options *o = &t->http->options;
    CURL *e = t->easy;
    bool ok = set_headers(t, q), trust_all = o->insecure && q->to->local;
    const char *socket = o->unix_socket && *o->unix_socket ? o->unix_socket : NULL;
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)0);
    SET(CURLOPT_UNIX_SOCKET_PATH, socket);
    SET(CURLOPT_URL, q->url ? q->url : q->to->url);
    SET(CURLOPT_HTTPHEADER, t->headers);
    SET(CURLOPT_POSTFIELDS, q->body);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->n_body);
    SET(CURLOPT_TIMEOUT_MS,
        (long)(q->total_timeout_ms ? q->total_timeout_ms : o->total_timeout_ms));
    SET(CURLOPT_SSL_VERIFYPEER, trust_all ? 0L : 1L);
    SET(CURLOPT_SSL_VERIFYHOST, trust_all ? 0L : 2L);
    return ok && set_proxy(t, q->to->local || socket);
}

static bool set_fetch(struct transfer *t, const struct http_fetch *q)
{
    CURL *e = t->easy;
    bool ok = true, trust_all = t->http->options.insecure && q->local;
    curl_slist_free_all(t->headers);
    t->headers = NULL;
    SET(CURLOPT_HTTPGET, 1L);
    SET(CURLOPT_HTTPHEADER, NULL);
    SET(CURLOPT_URL, q->url);
    /* A server that need not be trusted may not lead to others, which must. */
    SET(CURLOPT_FOLLOWLOCATION, trust_all ? 0L : 1L);
    SET(CURLOPT_MAXREDIRS, 3L);
    SET(CURLOPT_REDIR_PROTOCOLS_STR,
        !strncasecmp(q->url, "https:", 6) ? "https" : "http,https");
    SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)q->max_bytes);
    SET(CURLOPT_TIMEOUT_MS, (long)q->timeout_ms);
    SET(CURLOPT_UNIX_SOCKET_PATH, NULL);
    SET(CURLOPT_SSL_VERIFYPEER, trust_all ? 0L : 1L);
    SET(CURLOPT_SSL_VERIFYHOST, trust_all ? 0L : 2L);
    return ok && set_proxy(t, q->local);
#undef SET
}

/* One that is not busy; its handle, if it has any, is for this @tls. */
static struct transfer *idle_transfer(struct http *h, const struct http_tls *tls)
{
    struct transfer *other = NULL;
    for (size_t i = 0; i < HTTP_MAX_IN_FLIGHT; i++) {
        struct transfer *t = &h->transfers[i];
        if (t->busy)
            continue;
        if (!t->easy || t->tls == tls) {
            t->tls = tls;
            return t;
        }
        other = t;
    }
    if (other) { /* what was set on a handle cannot be taken back one by one */
        curl_easy_cleanup(other->easy);
        other->easy = NULL;
        other->tls = tls;
    }
    return other;
}

/* A transfer for one more request, its handle made: 0, or why there is none. One that is
 * not allowed to leave is not set up: no name is looked up for it. */
static int take_transfer(
    struct http *h, const struct http_tls *tls, void *tag, struct transfer **ret)
{
    struct transfer *t = idle_transfer(h, tls);
    if (!t)
        return -EBUSY;
    t->answer = (struct answer){0};
    t->error[0] = 0;
    t->n_head = t->n_unkept = 0;
    t->fd = -1;
    t->max_bytes = h->options.max_response_bytes;
    t->n_body_out = 0;
    t->head_cut = t->forbidden = t->unwritten = false;
    t->tag = tag;
    t->refused = !allowed(h);
    int r = t->refused ? 0 : start(h);
    if (!r && !t->refused && !t->easy) {
        t->easy = curl_easy_init();
        if (t->easy && !set_fixed(t)) {
            curl_easy_cleanup(t->easy);
            t->easy = NULL;
        }
        r = t->easy ? 0 : -ENOMEM;
    }
    if (!r)
        *ret = t;
    return r;
}

static int send_off(struct transfer *t)
{
    struct http *h = t->http;
    if (!t->refused && curl_multi_add_handle(h->multi, t->easy) != CURLM_OK)
        return -ENOMEM;
    t->busy = true;
    h->n_in_flight++;
    return 0;
}

int http_post(struct http *h, const struct http_request *q)
{
    struct transfer *t;
    int r = take_transfer(h, q->tls, q->tag, &t);
    if (r < 0)
        return r;
    if (!t->refused && !set_request(t, q))
        return -ENOMEM;
    t->n_body_out = q->n_body;
    return send_off(t);
}

int http_get(struct http *h, const struct http_fetch *q)
{
    struct transfer *t;
    int r = take_transfer(h, NULL, q->tag, &t);
    if (r < 0)
        return r;
    t->answer.fetched = true;
    t->fd = q->fd;
    t->max_bytes = q->max_bytes;
    if (!t->refused && !set_fetch(t, q))
        return -ENOMEM;
    return send_off(t);
}

void http_cancel(struct http *h, const void *tag)
{
    for (size_t i = 0; i < HTTP_MAX_IN_FLIGHT; i++) {
        struct transfer *t = &h->transfers[i];
        if (!t->busy || t->tag != tag)
            continue;
        if (!t->refused)
            IGNORE(curl_multi_remove_handle(h->multi, t->easy), "it was in there");
        t->busy = false;
        h->n_in_flight--;
    }
}

void http_wait(struct http *h, int timeout_ms, int fd)
{
    int running = 0;
    struct curl_waitfd extra = {.fd = fd, .events = CURL_WAIT_POLLIN};
    struct pollfd plain = {.fd = fd, .events = POLLIN};
    if (h->multi)
        IGNORE(
            curl_multi_perform(h->multi, &running), "each transfer tells its own fault");
    if (!running && h->n_in_flight)
        return; /* an answer is ready */
    if (!h->multi) {
        IGNORE(poll(&plain, fd >= 0, timeout_ms) < 0, "interrupted: a short wait");
        return;
    }
    IGNORE(curl_multi_poll(h->multi, &extra, fd >= 0, timeout_ms, NULL), "likewise");
    IGNORE(curl_multi_perform(h->multi, &running), "likewise");
}

bool http_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

static enum answer_failure failure_of(const struct transfer *t, CURLcode code)
{
    const struct answer *a = &t->answer;
    bool out = a->n_sent >= t->n_body_out, refused = a->status >= 400;
    switch (code) {
    case CURLE_OK:
        return ANSWER_OK;
    case CURLE_WRITE_ERROR:
        /* We broke it off: the status stands, unless the head itself was too long. */
        return t->head_cut ? ANSWER_LOST : ANSWER_OK;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
        return ANSWER_UNTRUSTED;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
    case CURLE_BAD_FUNCTION_ARGUMENT:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_CIPHER:
        return ANSWER_LOCAL;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        /* Ours, or where a server sent us to. */
        return a->status ? ANSWER_LOST : ANSWER_LOCAL;
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PARTIAL_FILE:
        if (refused)
            return ANSWER_OK;
        return out || a->n_sent ? ANSWER_LOST : ANSWER_UNREACHABLE;
    default:
        /* Reset or closed: when no head came, the server most likely took nothing. Many
         * refuse before they have read all, and reset while we still send. */
        if (refused)
            return ANSWER_OK;
        return (a->status && out) || a->n_sent >= ANSWER_LONG_BYTES ? ANSWER_LOST
                                                                    : ANSWER_UNREACHABLE;
    }
}

static void finish(struct transfer *t, CURLcode code)
{
    struct answer *a = &t->answer;
    long status = 0;
    curl_off_t sent = 0;
    IGNORE(curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status), "0 when unknown");
    IGNORE(curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &sent), "likewise");
    a->status = (int)status;
    a->n_sent = sent > 0 ? (uint64_t)sent : 0;
    a->failure = t->forbidden   ? ANSWER_FORBIDDEN
                 : t->unwritten ? ANSWER_LOCAL
                                : failure_of(t, code);
    a->timed_out = code == CURLE_OPERATION_TIMEDOUT;
    if (code == CURLE_FILESIZE_EXCEEDED) {
        a->failure = ANSWER_OK;
        a->body_cut = true;
    }
    if (t->forbidden)
        snprintf(a->error, sizeof a->error, "consent was taken back");
    else if (t->head_cut)
        snprintf(a->error, sizeof a->error, "the answer's head is too long");
    else if (a->failure != ANSWER_OK)
        snprintf(a->error, sizeof a->error, "%s",
            *t->error ? t->error : curl_easy_strerror(code));
}

static bool give(struct http *h, struct transfer *t, void **ret_tag, struct answer *ret)
{
    t->busy = false;
    h->n_in_flight--;
    *ret_tag = t->tag;
    *ret = t->answer;
    return true;
}

bool http_next(struct http *h, void **ret_tag, struct answer *ret)
{
    for (size_t i = 0; h->n_in_flight && i < HTTP_MAX_IN_FLIGHT; i++) {
        struct transfer *t = &h->transfers[i];
        if (t->busy && t->refused) {
            t->answer.failure = ANSWER_FORBIDDEN;
            snprintf(t->answer.error, sizeof t->answer.error, "no consent");
            return give(h, t, ret_tag, ret);
        }
    }
    int left;
    const CURLMsg *m;
    while (h->multi && (m = curl_multi_info_read(h->multi, &left))) {
        if (m->msg != CURLMSG_DONE)
            continue;
        struct transfer *t = NULL;
        CURLcode code = m->data.result;
        CURL *easy = m->easy_handle;
        IGNORE(curl_easy_getinfo(easy, CURLINFO_PRIVATE, &t), "set for every handle");
        finish(t, code);
        IGNORE(curl_multi_remove_handle(h->multi, easy), "it was in there");
        return give(h, t, ret_tag, ret);
    }
    return false;
}
