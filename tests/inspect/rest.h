/** Waiting until the threads of a program stand where a report shall find them. */
#pragma once
#include <pthread.h>
#include <stdbool.h>

/* Wait at @barrier, then until every other thread of the process is in pause(2): behind
 * the barrier they still have some way to go. Gives up after two seconds a thread. */
void rest_after(pthread_barrier_t *barrier);

/* Close every descriptor above stderr, as programs do that become daemons. */
bool rest_closes_files(void);

/* A text that would drive a terminal and a browser. */
#define HOSTILE "\033]0;owned\007\033[2J<script>alert(1)</script>\"'&\342\200\256"
/* Set everything that knell takes texts for to it, and report errors of that. */
void rest_says_badly(void);
/* Die of an assertion that reads so. */
void rest_asserts_badly(void);
