/**
 * The example daemon as its users run it: start it on a spool and a destination, talk to
 * it, see how it ended.
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

struct daemon {
    pid_t pid;
    int port;
};

/* Start echod with @environment ("KEY=VALUE", NULL-terminated) on top of a clean one and
 * wait until it listens. Fails the running test when it does not; then pid is 0. */
struct daemon daemon_start(const char *const *environment);

/* Send a line and read the answer's first line into @answer; false when none came. */
bool daemon_ask(const struct daemon *d, const char *line, char *answer, int n_answer);

/* Talk to @n of its threads at a time, so that so many are surely there and at work: each
 * serves one connection. */
bool daemon_meet(const struct daemon *d, int n);

/* Wait for its end; the wait status. */
int daemon_wait(struct daemon *d);

/* Ask it to end with SIGTERM; the wait status. */
int daemon_stop(struct daemon *d);

/* Run a program of the build with @environment; its exit status (or -1), its output in
 * *ret_output (malloc'd, NUL-terminated) unless that is NULL. */
int run_program(
    const char *const *argv, const char *const *environment, char **ret_output);
