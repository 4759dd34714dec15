/**
 * Reading memory of this process that may not be there, without a file in between.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Forget which pages were found readable: the mappings may have changed since.
 *
 * Context: signal handler.
 */
void kn_memory_forget(void);

/**
 * Copy @n bytes.
 *
 * Context: signal handler.
 * Returns whether all of it could be read; else @out is unchanged.
 */
bool kn_memory_copy(void *out, uint64_t address, size_t n);

/**
 * One word, of any alignment.
 *
 * Context: signal handler.
 * Returns as kn_memory_copy().
 */
bool kn_memory_word(uint64_t address, uint64_t *ret);
