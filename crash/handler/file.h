/**
 * A descriptor of knell's in a program that may close all it finds and give their numbers
 * to files of its own: told by what it is.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct kn_file {
    int fd; /* -1: none */
    uint64_t device, inode;
};
#define KN_FILE_NONE                                                                     \
    (struct kn_file)                                                                     \
    {                                                                                    \
        .fd = -1                                                                         \
    }

/**
 * Whether it still is the file it was opened as.
 *
 * Context: signal handler.
 */
bool kn_file_ours(const struct kn_file *f);
