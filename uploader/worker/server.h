/**
 * The program that holds no keys: knell-upload runs itself once more, with an environment
 * and a memory that never saw a destination, and that process forks a child for each
 * report (run.h). It reads no report itself and opens no socket but the one it was given.
 */
#pragma once
#include "symbolize/cleanup.h"

#include <stdbool.h>

/* The argument that asks for it, and the descriptor of its socket. */
#define WORKER_SERVER_ARGUMENT "--worker"
enum { WORKER_SERVER_FD = 3 };

/**
 * Serve until the other side is gone.
 *
 * Returns the exit status.
 */
int worker_server_main(void);

/**
 * Start one from /proc/self/exe, whose main() calls worker_server_main().
 *
 * @ret_socket  a SOCK_SEQPACKET socket (job.h), the caller's; closing it ends the program
 * Returns the process's id, or a negative errno.
 */
int worker_server_start(int *ret_socket) MUST_CHECK;

/* Whether a variable ("NAME=VALUE") is handed down to it and so to a hook. */
bool worker_server_keeps(const char *variable);
