/**
 * A minidump from its streams, in memory: for reports that no handler wrote.
 */
#pragma once
#include "symbolize/cleanup.h"

#include <knell/minidump.h>
#include <stddef.h>

enum { DUMP_WRITER_MAX_STREAMS = 16 };

struct dump_writer {
    uint8_t *bytes; /* the dump; the caller's to free */
    size_t n, room;
    struct knell_md_directory streams[DUMP_WRITER_MAX_STREAMS];
    uint32_t n_streams;
};

/**
 * @room  bytes of all that will be put, each padded to 8, without header and directory
 * Returns 0 or -ENOMEM.
 */
int dump_writer_init(struct dump_writer *w, size_t room) MUST_CHECK;

/* Append bytes. Returns their offset; 0 when the room was counted too small. */
uint32_t dump_writer_put(struct dump_writer *w, const void *p, size_t n);

/* Append bytes as a stream. */
void dump_writer_stream(struct dump_writer *w, uint32_t type, const void *p, size_t n);

/* Directory and header. The dump is then w->bytes, w->n of them. */
void dump_writer_finish(struct dump_writer *w, uint32_t time_s);
