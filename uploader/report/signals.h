/** What happened, in words, from all that a report says. */
#pragma once
#include <stddef.h>

struct crash;

/**
 * The code of the signal and what it means, in stable words without addresses, for titles
 * and grouping: "SEGV_MAPERR: null pointer access", "SI_TKILL: aborted".
 *
 * @out  @n bytes, at least 96; always terminated, "" when no signal was reported
 */
void signal_text(const struct crash *c, char *out, size_t n);
