/** Waiting until the threads of a program stand where a report shall find them. */
#pragma once
#include <pthread.h>
#include <stdbool.h>

/* Wait at @barrier, then until every other thread of the process is in pause(2): behind
 * the barrier they still have some way to go. Gives up after two seconds a thread. */
void rest_after(pthread_barrier_t *barrier);

/* Close every descriptor above stderr, as programs do that become daemons. */
bool rest_closes_files(void);
