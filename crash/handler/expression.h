/**
 * DWARF expressions, as far as call frame information uses them: linkers describe the
 * PLT with one, libc the frame of a signal.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/**
 * Context: signal handler.
 * @at      of the expression in memory, @n bytes
 * @r       registers in DWARF order, KN_N_REGISTERS
 * @first   pushed before it runs; NULL: nothing
 * Returns whether it could be followed to its end; then its value is in *@ret.
 * Source: DWARF 5 section 2.5.
 */
bool kn_expression(
    uint64_t at, uint32_t n, const uint64_t *r, const uint64_t *first, uint64_t *ret);
