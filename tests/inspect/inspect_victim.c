/* Dies in the way its argument names, for the tests of `knell`. */
#include "rest.h"
#include <knell/capture.h>
#include <knell/knell.h>
#include <knell/scope.h>

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct connection {
    int fd;
    char *buffer;
    long n_sent, n_left;
};

static pthread_barrier_t ready;

static void *wait_for_work(void *name)
{
    (void)pthread_setname_np(pthread_self(), name);
    (void)pthread_barrier_wait(&ready);
    for (;;)
        (void)pause();
    return NULL;
}

__attribute__((noinline)) static long bytes_left(const struct connection *c)
{
    return c->n_left;
}

__attribute__((noinline)) static int average(int sum, int n)
{
    return sum / n;
}

/* Ends only when its stack does. */
__attribute__((noinline)) static int walk(const volatile int *depth)
{
    volatile char frame[1024];
    frame[0] = (char)*depth;
    return *depth < 0 ? 0 : walk(depth) + frame[0];
}

static void (*volatile callback)(void);

static int die(const char *how)
{
    volatile int zero = 0;
    if (!strcmp(how, "null") || (!strcmp(how, "closed") && rest_closes_files()))
        return (int)bytes_left(NULL);
    if (!strcmp(how, "divide"))
        return average(7, zero);
    if (!strcmp(how, "abort"))
        abort();
    if (!strcmp(how, "overflow"))
        return walk(&zero);
    if (!strcmp(how, "call"))
        callback();
    if (!strcmp(how, "wait")) /* to be killed */
        for (;;)
            (void)pause();
    if (!strcmp(how, "assert"))
        rest_asserts_badly();
    return 1;
}

/* What a daemon might be called by somebody who wants to drive an operator's terminal or
 * browser. */
static void name_badly(struct knell_options *o)
{
    o->app = "app" HOSTILE;
    o->release = "release" HOSTILE;
    o->environment = "environment" HOSTILE;
    o->dist = "dist" HOSTILE;
    rest_says_badly();
}

static void fail(void)
{
    struct knell_error e = KNELL_ERROR_INIT;
    e.type = "QueryFailed";
    e.domain = "database";
    e.message = "deadlock detected";
    (void)knell_capture_error(&e);
}

/* usage: inspect_victim HOW [hostile] */
int main(int argc, char **argv)
{
    struct knell_options o = KNELL_OPTIONS_INIT;
    o.app = "victimd";
    o.release = "victimd@2.4.1";
    o.environment = "testing";
    o.start_uploader = KNELL_OFF;
    if (argc > 2)
        name_badly(&o);
    if (argc < 2 || knell_start(&o) < 0)
        return 2;
    if (argc > 2)
        name_badly(&o);
    /* What a hostile peer may have put there. */
    knell_set_tag("region", "eu\033[31m\nforged line");
    knell_add_breadcrumb(KNELL_LEVEL_INFO, "http", "GET /\033]0;owned\007 200");
    pthread_t thread;
    (void)pthread_barrier_init(&ready, NULL, 3);
    for (int i = 0; i < 2; i++)
        if (pthread_create(&thread, NULL, wait_for_work, i ? "w\033[2J" : "worker/0"))
            return 2;
    rest_after(&ready);
    if (strcmp(argv[1], "error"))
        return die(argv[1]);
    fail();
    return 0;
}
