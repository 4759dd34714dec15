/**
 * Run a victim in a folder of its own and collect what is left of it.
 */
#pragma once
#include "surroundings.h"
#include "uploader/report/crash.h"
#include <stdbool.h>
#include <sys/types.h>

enum {
    RUN_MAX_ARGS = 24,
    RUN_TIMEOUT_MS = 20000,
    RUN_OUTPUT_BYTES = 4096,
};

struct run {
    char dir[256], spool[280];
    int status; /* as wait(2) gives it; -1: it had to be killed */
    char out[RUN_OUTPUT_BYTES], err[RUN_OUTPUT_BYTES];
    uint32_t tid; /* the last words; 0: none */
    uint64_t at;
    int n_reports, n_live_dumps;
    char report[600]; /* path of one; where there is none, of one dump in live/ */
    bool in_live;
    uint8_t *bytes; /* of the report */
    size_t n_bytes;
    struct crash *crash; /* parsed and unwound; NULL: none, or refused */
    const char *refused;
    uint32_t journal_state; /* enum knell_run_state of the journal that was left */
    int journal_signo;
    bool has_journal; /* one was left in live/ */
    struct surroundings around;
    long elapsed_us; /* from start to reaped */
};

/**
 * @program  path of the victim
 * @args     arguments, separated by blanks
 * Fills @ret; end with run_done(), which removes the folder.
 */
void run_victim(const char *program, const char *args, unsigned flags, struct run *ret);
/* Whether there is a committed report that can be read, but in live/: the next start
 * takes it from there. */
bool run_live_is_committed(const struct run *r);
/* What the uploader does first: what the dead process left in live/ becomes a report, and
 * is read as such. */
void run_adopt(struct run *r);
void run_done(struct run *r);
