/**
 * Random ids and dice, not secrets.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

/**
 * Fill @out with @n random bytes, never all zero.
 *
 * Context: normal. A thread's first call, and a fork child's, is a system call.
 */
void kn_random(void *out, size_t n);

enum { KN_UUID_BYTES = 16 };

/**
 * Say in random bytes that they are a random UUID.
 *
 * Context: any.
 * Source: RFC 9562 section 5.4, version 4.
 */
void kn_random_mark_uuid(uint8_t id[static KN_UUID_BYTES]);

/**
 * Evenly from 0 to below 1.
 *
 * Context: normal.
 */
double kn_dice(void);

/**
 * In a fork child: do not repeat the parent's ids.
 *
 * Context: fork child; async-signal-safe.
 */
void kn_random_fork_child(void);
