/**
 * Where reports go: a Sentry-protocol DSN, a folder, or an OTLP collector, from text.
 * Pure but for memory.
 */
#pragma once
#include "symbolize/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum destination_kind {
    DESTINATION_SENTRY,     /* http(s)://KEY[:SECRET]@HOST[:PORT][/PATH]/PROJECT */
    DESTINATION_DIRECTORY,  /* file:///DIR: one envelope file per event */
    DESTINATION_OTLP,       /* otlp+http(s)://HOST[:PORT][/PATH]: OTLP/HTTP JSON; a path
                               that ends in /v1/logs takes logs only, as does any path of
                               otlp-logs+http(s)://… */
    DESTINATION_DEBUGINFOD, /* nothing goes there: a server of debug files */
};

struct destination {
    enum destination_kind kind;
    uint64_t id;      /* of the whole text; stable, names the destination in the state */
    char *url;        /* what to POST to; NULL for a folder */
    char *traces_url; /* of a collector, for spans; NULL: they are not wanted */
    char *dir;        /* the folder, decoded; NULL otherwise */
    char *host; /* "host:port", lower case; "file" for a folder: owner of a breaker */
    char *public_key; /* NULL unless Sentry */
    char *secret;     /* NULL when there is none */
    char *dsn;        /* the DSN without the secret, for the envelope's head */
    char *label;      /* for people and logs: no key, no secret */
    bool local;       /* this machine: loopback or a folder */
    bool tls;
    bool otlp_own; /* the collector that upload.otlp_headers and its certificates are for;
                      destination_parse() leaves it false */
};

/**
 * @text  one destination, no blanks
 * @ret   free with destination_done()
 * @why   static text on -EINVAL
 * Returns 0, -EINVAL or -ENOMEM.
 */
int destination_parse(
    const char *text, struct destination *ret, const char **why) MUST_CHECK;

/* The same for a server of debug files: http(s)://[USER[:PASSWORD]@]HOST[:PORT][/PATH].
 * Its url ends in "/buildid". */
int destination_debuginfod(
    const char *text, struct destination *ret, const char **why) MUST_CHECK;
void destination_done(struct destination *d);
