/**
 * MiniDebugInfo: an ELF file with a symbol table, packed with xz into .gnu_debugdata.
 */
#pragma once
#include "symbolize/elf_file.h"

struct budget;

/**
 * Unpack the section of @f into memory.
 *
 * @ret_bytes  free with free(); @ret refers to it
 * Returns 1, 0 when there is none, or -EBADMSG, -E2BIG, -ENOMEM.
 */
int mini_debug_open(const struct elf_file *f, struct budget *budget, uint8_t **ret_bytes,
    struct elf_file *ret) MUST_CHECK;
