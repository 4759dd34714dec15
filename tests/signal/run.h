/**
 * Run a victim in a folder of its own and collect what is left of it.
 */
#pragma once
#include "uploader/report/crash.h"
#include <stdbool.h>
#include <sys/types.h>

enum {
    RUN_MAX_ARGS = 24,
    RUN_TIMEOUT_MS = 20000,
    RUN_OUTPUT_BYTES = 4096,
};

enum run_flags {
    RUN_AS_NOBODY = 1, /* no capabilities, no new privileges */
    RUN_AS_INIT = 2,   /* PID 1 of a namespace */
    RUN_ON_TMPFS = 4,  /* the spool is a file system of RUN_TMPFS_BYTES */
    RUN_BARE = 8,      /* without knell */
    RUN_CORE = 16,     /* core dumps are on */
};
#define RUN_TMPFS "size=2m"

struct run {
    char dir[256], spool[280];
    int status; /* as wait(2) gives it; -1: it had to be killed */
    char out[RUN_OUTPUT_BYTES], err[RUN_OUTPUT_BYTES];
    uint32_t tid; /* the last words; 0: none */
    uint64_t at;
    int n_reports, n_live_dumps;
    char report[600]; /* path of one */
    char live[256];   /* name of one dump left in live/ */
    uint8_t *bytes;   /* of the report */
    size_t n_bytes;
    struct crash *crash; /* parsed and unwound; NULL: none, or refused */
    const char *refused;
    long elapsed_us; /* from start to reaped */
};

/**
 * @program  path of the victim
 * @args     arguments, separated by blanks
 * Fills @ret; end with run_done(), which removes the folder.
 */
void run_victim(const char *program, const char *args, unsigned flags, struct run *ret);
/* Whether the file that was left in live/ is a committed report that can be read. */
bool run_live_is_committed(const struct run *r);
void run_done(struct run *r);
/* Whether this process may make namespaces and mount in them: not without privileges, in
 * most containers, nor in a chroot that is no mount point. */
bool run_may_mount(void);
