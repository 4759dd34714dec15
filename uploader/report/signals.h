/** Signals in words, as signal(7) and sigaction(2) name them. */
#pragma once
#include <knell/minidump.h>
#include <stddef.h>

struct crash;

/* "SIGSEGV"; "SIGRTMIN+n" and "signal n" for what has no name, written to @buf. */
const char *signal_name(int signo, char *buf, size_t n);

/* "SEGV_MAPERR", "SI_USER", ...; NULL: unknown. */
const char *signal_code_name(int signo, int code);

/**
 * What happened, in stable words without addresses, for titles and grouping:
 * "SEGV_MAPERR: null pointer access", "SI_TKILL: sent by abort or raise".
 *
 * @out  @n bytes, at least 96; always terminated, "" when no signal was reported
 */
void signal_text(const struct crash *c, char *out, size_t n);

/* "ENOENT" for 2; NULL: unknown. */
const char *errno_name(int number);
