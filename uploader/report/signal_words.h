/**
 * Words for signals and their codes: what a person reads first in a report, and what the
 * event protocol calls type, code name and value.
 */
#pragma once
#include "symbolize/cleanup.h"

#include <stdbool.h>

/* "SIGSEGV"; NULL for a number Linux does not name. Static. */
const char *signal_words_name(int signo);

/* What the signal itself says: "segmentation fault". Never NULL; static. */
const char *signal_words_meaning(int signo);

/* "SEGV_MAPERR", "SI_TKILL"; NULL when the pair is unknown. Static. */
const char *signal_words_code(int signo, int code);

/* What the code says, as a phrase: "address not mapped to object"; NULL when unknown.
 * Static. Source: sigaction(2) and the kernel's include/uapi/asm-generic/siginfo.h. */
const char *signal_words_code_meaning(int signo, int code);

/* Whether a process sent it (kill, tgkill, sigqueue), rather than the kernel raising it
 * for what the thread did. */
bool signal_words_sent(int code);

/* "SEGV", "sigsegv" or "11" to 11; -EINVAL for anything else. */
int signal_words_parse(const char *text) MUST_CHECK;

/* "SEGV_MAPERR", "MAPERR" (with @signo, or 0 for any) or a number to a code.
 * Returns 0 or -EINVAL. */
int signal_words_parse_code(int signo, const char *text, int *ret) MUST_CHECK;
