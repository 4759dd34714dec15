/**
 * What the process that reads hostile bytes may still do: compute, read files, write the
 * symbol cache and its answer. No sockets, no new programs, no signals to others.
 */
#pragma once
#include "symbolize/cleanup.h"

#include <stdint.h>

struct sandbox_limits {
    uint64_t memory_bytes; /* address space; 0: 2 GiB */
    uint64_t cpu_ms;       /* 0: 60 s */
    uint64_t time_ms;      /* on the clock, then SIGALRM ends the process; 0: 120 s */
    uint64_t file_bytes;   /* largest file that may be written; 0: 1 GiB */
    int files;             /* of sandbox_files_new(); 0: any file may be opened */
};

/**
 * Shut the calling process in: rlimits, a timer, no_new_privs, rules for files, a seccomp
 * filter that answers EPERM to what is not on its list. There is no way back.
 *
 * Context: a child made for this, with one thread.
 * Returns 0 or a negative errno; a kernel without seccomp filters is no failure.
 */
int sandbox_enter(const struct sandbox_limits *limits) MUST_CHECK;

/**
 * The part without limits, for a program that a person waits for: no_new_privs, rules for
 * files, the filter.
 *
 * Context: one thread.
 * @files  as in struct sandbox_limits
 * Returns as sandbox_enter().
 */
int sandbox_close_off(int files) MUST_CHECK;

/* The rlimits and the timer alone. */
int sandbox_limit(const struct sandbox_limits *limits) MUST_CHECK;
