/**
 * Which files the process that reads hostile bytes may open, where the kernel has
 * Landlock: whatever may hold a program, its debug files or an attachment can be read,
 * few folders can be written to. Our configuration, credentials and other processes
 * cannot be opened, nor can a socket be connected or a signal sent beyond the sandbox.
 */
#pragma once
#include "symbolize/cleanup.h"

#include <stdbool.h>

struct sandbox_files {
    const char *const
        *writable; /* folders, made when missing; NULL at the end; or NULL */
    const char *const *readable; /* folders besides the usual, likewise */
    bool arrange; /* make folders in writable ones, move files between those */
};

/**
 * Prepare the rules once, for many children.
 *
 * Returns a descriptor for sandbox_files_enter(), -EOPNOTSUPP when this kernel has no
 * Landlock, or another negative errno.
 */
int sandbox_files_new(const struct sandbox_files *files) MUST_CHECK;

/* From now on only these files; no_new_privs is set already.
 * Returns 0 or a negative errno. */
int sandbox_files_enter(int rules) MUST_CHECK;
