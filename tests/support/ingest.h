/**
 * A fake ingest server for tests: HTTP/1.1 on loopback (or a unix socket), answers from a
 * script, writes down what it got. Runs as a child process of the test.
 *
 * Script: items separated by commas; the last one repeats for ever. An item is
 *
 *     [COUNT*]WORD[/KEY=VALUE]...
 *
 *     COUNT     this many requests get it
 *     WORD      a status such as 200, 429, 503; or
 *               reset    close with RST after the request was read
 *               hang     never answer
 *               partial  half of an answer's head, then close
 *               short    a head that promises more body than comes, then close
 *               early    a 413 as soon as the head was read, then close
 *               cut      200 to a body of 256 KiB at most; of others 64 KiB are read,
 *                        then close with RST
 *               huge     200 with a body that does not end (1 GiB)
 *               bomb     200 with a head of 1 MiB
 *               trickle  200, a byte every 100 ms
 *     KEY       retry-after, limits (X-Sentry-Rate-Limits), location, type
 *               (Content-Type), body, error (X-Sentry-Error), delay (ms), close (=1)
 *     VALUE     %XX stands for a byte (a comma is %2C, a slash %2F)
 *
 * A 2xx without a body key answers {"id":"<event id of the envelope>"}.
 *
 * Written into the folder, when one is given, N counting from 000001 in the order in
 * which requests were complete: N.head (request line and headers as they came), N.body
 * (after Content-Encoding), and at the end of requests.log a line
 * "N METHOD TARGET STATUS-WORD BODY-BYTES EVENT-ID-OR-DASH".
 */
#pragma once
#include <stdint.h>
#include <sys/types.h>

/* Shared with the server process; read it while it runs. */
struct ingest_counts {
    volatile uint64_t connections, requests, answered, body_bytes;
};

struct ingest {
    pid_t pid;
    int port; /* on 127.0.0.1; 0 with a unix socket */
    struct ingest_counts *counts;
};

struct ingest_options {
    const char *script;    /* NULL: "200" */
    const char *dir;       /* NULL: write nothing */
    const char *forbidden; /* 403 to requests whose target begins so, beside the script */
    const char *unix_path; /* NULL: TCP */
    int port;              /* 0: any free one */
};

/* Start the server; it listens when this returns. Ends the program when it cannot. */
struct ingest ingest_start(const struct ingest_options *options);
/* End the server process. */
void ingest_stop(struct ingest *s);

/* Serve on a listening socket until killed; for the program. @counts may be private. */
_Noreturn void ingest_serve(
    int listener, const struct ingest_options *options, struct ingest_counts *counts);
/* A listening socket; *ret_port gets the port. Ends the program when there is none. */
int ingest_listen(const struct ingest_options *options, int *ret_port);
