/**
 * Keep pthread_cancel(3) out of knell: many of its system calls are points where a
 * cancelled thread ends, and what it held or had begun would stay so for the daemon.
 */
#pragma once
#include <pthread.h>

/**
 * Context: normal.
 * Returns what kn_cancel_allow() wants; pairs may be nested.
 */
static inline int kn_cancel_hold(void)
{
    int before = PTHREAD_CANCEL_ENABLE;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

/**
 * Context: normal.
 */
static inline void kn_cancel_allow(int before)
{
    (void)pthread_setcancelstate(before, NULL);
}
