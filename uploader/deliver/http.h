/**
 * POST to servers and GET from them, several at once, over connections that are kept. The
 * only user of libcurl. Nothing is done, and no socket opened, before the first request.
 */
#pragma once
#include "symbolize/cleanup.h"
#include "uploader/deliver/answer.h"
#include "uploader/deliver/dsn.h"

enum { HTTP_MAX_IN_FLIGHT = 64 };

/* Whom to trust and who we are; borrowed, NULL: not set. */
struct http_tls {
    const char *ca_file, *ca_path, *client_cert, *client_key;
};

struct http_options {
    /* Borrowed for the life of the http; NULL: not set. */
    const char *proxy, *no_proxy, *unix_socket, *user_agent;
    struct http_tls tls;
    bool insecure; /* obeyed for destinations on this machine only */
    uint64_t connect_timeout_ms, total_timeout_ms, low_speed_time_ms, low_speed_bytes;
    uint64_t keep_alive_ms; /* an idle connection is used again for so long */
    size_t max_response_bytes, max_headers_bytes;
    /* The consent gate: asked before each request and again before each connection. */
    bool (*may_connect)(void *ctx);
    void *ctx;
};

struct http_request {
    const struct destination *to; /* of a kind with a url; outlives the request */
    const char *url;              /* instead of to->url; NULL: that one */
    const void *body;             /* the caller's until the answer */
    size_t n_body;
    const char *content_type;
    const char *extra_headers; /* lines "Name: value", '\n' between; NULL: none */
    bool gzipped;
    const struct http_tls
        *tls;                  /* instead of the options', always the same pointer for the
                                  same contents, as long as the http lives; NULL: none */
    uint64_t total_timeout_ms; /* instead of the options'; 0: theirs */
    void *tag;                 /* comes back with the answer */
};

/* A file to fetch. Redirections are followed, a few. */
struct http_fetch {
    const char *url;
    bool local;          /* a server on this machine: no proxy */
    int fd;              /* the body of a 200 is written here; the caller's */
    uint64_t max_bytes;  /* of the body */
    uint64_t timeout_ms; /* for all of it; at least 1 */
    void *tag;
};

struct http;

/* Returns 0 or -ENOMEM. @options' strings must outlive @ret. */
int http_new(const struct http_options *options, struct http **ret) MUST_CHECK;
/* Breaks off what is in flight, without answers. Accepts NULL. */
void http_free(struct http *h);

/* Start a request. Returns 0 (an answer will come, whatever happens), -EBUSY with
 * HTTP_MAX_IN_FLIGHT out, or -ENOMEM. */
int http_post(struct http *h, const struct http_request *request) MUST_CHECK;

/* Start a request for a file; the answer's n_body is what was written, body_cut that the
 * file is larger than allowed. Returns as http_post(). */
int http_get(struct http *h, const struct http_fetch *fetch) MUST_CHECK;

/* Break off the request with this tag: no answer will come. */
void http_cancel(struct http *h, const void *tag);

/* Move data until something happens or @timeout_ms passed.
 * @fd  one more descriptor to wake up for when it can be read; -1: none */
void http_wait(struct http *h, int timeout_ms, int fd);

/* Whether @fd can be read now. */
bool http_readable(int fd);

/* One finished request. Returns false when there is none now. */
bool http_next(struct http *h, void **ret_tag, struct answer *ret);
