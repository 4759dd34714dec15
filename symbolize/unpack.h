/**
 * One compressed stream, unpacked front to back into the memory of its section.
 */
#pragma once
#include "symbolize/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf_file;
struct unpacker;

enum unpack_kind {
    UNPACK_ZLIB,
    UNPACK_ZSTD,
};

/**
 * @file    must outlive the unpacker
 * @offset, @n_packed  where the stream lies in the file
 * @out, @n_out        where its bytes go; as many as the header promised
 * Errors: -ENOMEM, -EPROTONOSUPPORT.
 */
int unpacker_new(const struct elf_file *file, enum unpack_kind kind, uint64_t offset,
    uint64_t n_packed, uint8_t *out, uint64_t n_out, struct unpacker **ret) MUST_CHECK;
void unpacker_free(struct unpacker *u);

/* How many bytes from the front have been written since the last start. */
uint64_t unpacker_filled(const struct unpacker *u);

/**
 * Write on, to @until bytes from the front.
 *
 * @keep  false: pass over them; the memory they belong in is not touched
 * Errors: -EBADMSG when the stream is broken or ends before; what pread said.
 */
int unpacker_run(struct unpacker *u, uint64_t until, bool keep) MUST_CHECK;

/* Begin again at or before @at, to write bytes once more that were given back. */
int unpacker_rewind(struct unpacker *u, uint64_t at) MUST_CHECK;
