/**
 * Append to the report file. Bytes go to the kernel at explicit offsets, so the position
 * of a descriptor somebody shares does not matter. What it refuses (the descriptor was
 * closed, a limit was set, a sandbox forbids the call) goes into a mapping of the same
 * file, as far as that reaches.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum {
    KN_SINK_BYTES = 16 * 1024,
};

struct kn_sink {
    int fd;           /* -1: none */
    uint8_t *map;     /* the beginning of the same file; NULL: none */
    uint32_t n_map;   /* bytes of it */
    int err;          /* 0 or the first negative errno; nothing is written after it */
    uint64_t written; /* offset in the file behind what the kernel has */
    uint32_t n;       /* bytes in the buffer, which belong there */
    uint32_t n_failed;
    uint8_t buffer[KN_SINK_BYTES];
};

/**
 * Context: signal handler.
 * Returns the offset at which the next byte will lie.
 */
uint32_t kn_sink_at(const struct kn_sink *s);

/**
 * Append bytes.
 *
 * Context: signal handler.
 * @p  @n readable bytes, borrowed for the call; must not fault (see kn_sink_memory)
 * Errors: none returned. The first failing write sets s->err and later calls do nothing.
 * Source: write(2) on partial writes.
 */
void kn_sink_put(struct kn_sink *s, const void *p, size_t n);

/**
 * Append zeros up to a multiple of @to.
 *
 * Context: signal handler.
 */
void kn_sink_align(struct kn_sink *s, uint32_t to);

/**
 * Append memory that may not be there: the kernel copies it and stops at the first page
 * that cannot be read.
 *
 * Context: signal handler.
 * Returns how many bytes were there.
 */
uint32_t kn_sink_memory(struct kn_sink *s, uint64_t address, uint32_t n);

/**
 * Hand the buffer to the kernel.
 *
 * Context: signal handler.
 */
void kn_sink_flush(struct kn_sink *s);

/**
 * Write @n bytes at @at, wherever the end is now.
 *
 * Context: signal handler.
 * Returns 0 or a negative errno.
 */
int kn_sink_put_at(struct kn_sink *s, const void *p, uint32_t n, uint64_t at);

/**
 * Wait until the disk has what was written.
 *
 * Context: signal handler.
 */
void kn_sink_sync(struct kn_sink *s);

/**
 * Forget everything behind @at, and that a write failed.
 *
 * Context: signal handler.
 */
void kn_sink_rewind(struct kn_sink *s, uint32_t at);

/**
 * Copy memory that may not be there into @out, by way of the unused end of the file: the
 * only sure way that neither faults nor needs a system call which sandboxes forbid
 * (process_vm_readv(2) is one). Where the file takes nothing, as kn_memory_copy().
 *
 * Context: signal handler.
 * Returns 0, or -EFAULT when not all of it could be read.
 */
int kn_sink_peek(struct kn_sink *s, void *out, uint64_t address, uint32_t n);
