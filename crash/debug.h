/**
 * The debug switch: what knell does and why, a line each on stderr, for the person who
 * sets it up. Off, it costs a look at a flag.
 */
#pragma once
#include <stdarg.h>
#include <stdbool.h>

extern bool kn_debug_is_on; /* atomic */

/**
 * Context: normal.
 */
void kn_debug_switch(bool on);

/**
 * Write "knell[PID]: TEXT" with one write(2); @format without the end of the line. errno
 * is kept.
 *
 * Context: normal.
 */
void kn_debug_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define kn_debug(...)                                                                    \
    do {                                                                                 \
        if (__builtin_expect(__atomic_load_n(&kn_debug_is_on, __ATOMIC_RELAXED), 0))     \
            kn_debug_say(__VA_ARGS__);                                                   \
    } while (0)
