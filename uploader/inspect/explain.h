/**
 * Why it died, as far as the report itself proves it: the signal in words, the cause
 * behind it ("null pointer + 0x18", "stack overflow", "past the end of a mapped file"),
 * and what else a person needs to believe it. What is only likely says so.
 */
#pragma once
#include "uploader/report/crash.h"

enum {
    EXPLAIN_TEXT_BYTES = 512,
    EXPLAIN_MAX_NOTES = 6,
};

struct explain {
    char what[EXPLAIN_TEXT_BYTES];  /* "SIGSEGV (segmentation fault): address not mapped
                                       to object" */
    char cause[EXPLAIN_TEXT_BYTES]; /* one line; "" when nothing is known beyond @what */
    char notes[EXPLAIN_MAX_NOTES][EXPLAIN_TEXT_BYTES]; /* evidence and advice */
    unsigned n_notes;
};

/**
 * @c    after unwinding and naming; a crash without either is explained as far as its
 *       signal and maps go
 * @ret  texts hold captured text as it is: print with safe_put() only
 */
void explain_crash(const struct crash *c, struct explain *ret);

/* Name of a general register by its place in crash_thread.registers; NULL beyond. */
const char *explain_register_name(uint16_t arch, unsigned i);
unsigned explain_n_registers(uint16_t arch);
