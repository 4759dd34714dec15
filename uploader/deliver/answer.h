/**
 * What came of one request, as plain data: filled by http.c, judged by retry.c.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum answer_failure {
    ANSWER_OK,          /* an answer with a status came, whole; or a refusal, cut off */
    ANSWER_UNREACHABLE, /* no name, no connection, TLS did not start, reset early: the
                           server got nothing, and would get nothing of others */
    ANSWER_UNTRUSTED,   /* its certificate does not check */
    ANSWER_LOST,        /* the request was out, or much of it, then timeout or reset: it
                           may be there, or it may be what the server stumbles over */
    ANSWER_FORBIDDEN,   /* consent was taken back before the connection was made */
    ANSWER_LOCAL,       /* no memory, no descriptors, disk full, a setting that libcurl
                           refuses */
};

/* A request that breaks off behind so much of its body does so for its length, maybe: a
 * slow line, a proxy with a limit. */
enum { ANSWER_LONG_BYTES = 64 << 10 };

enum { ANSWER_TEXT_BYTES = 256, ANSWER_HINT_BYTES = 1024, ANSWER_BODY_BYTES = 1024 };

struct answer {
    enum answer_failure failure;
    bool otlp;       /* of a collector, which means other things by some statuses */
    unsigned kinds;  /* of items in the request: bits 1 << enum hint_category */
    int status;      /* 0: none came */
    uint64_t n_sent; /* of the request's body */
    char error[ANSWER_TEXT_BYTES]; /* for people; "" when all is well */
    char content_type[ANSWER_TEXT_BYTES];
    char retry_after[ANSWER_TEXT_BYTES]; /* "": absent */
    char rate_limits[ANSWER_HINT_BYTES];
    char body[ANSWER_BODY_BYTES]; /* its beginning, NUL-terminated */
    size_t n_body;                /* all that came */
    bool body_cut;                /* more came than is allowed */
    bool timed_out;
    bool fetched; /* of http_get() */
};
