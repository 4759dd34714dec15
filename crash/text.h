/**
 * Texts and typed values as the journal keeps them. Pure: no allocation, no lock.
 */
#pragma once
#include <knell/journal.h>
#include <knell/types.h>
#include <stdbool.h>
#include <string.h>

/**
 * How much of a text is kept.
 *
 * Context: any.
 * @text  NULL counts as empty
 * @max   bytes; a longer text is cut before the character that would not fit
 * @cut   set to true when it was; never set to false
 */
static inline size_t kn_text_cut(const char *text, size_t max, bool *cut)
{
    if (!text || !*text)
        return 0;
    size_t n = strnlen(text, max + 1);
    if (n <= max)
        return n;
    *cut = true;
    n = max;
    while (n && ((uint8_t)text[n] & 0xc0) == 0x80)
        n--;
    return n;
}

/**
 * Append typed values as struct knell_journal_pair.
 *
 * Context: any.
 * @out     @room bytes
 * @values  @n of them, borrowed; what does not fit is left out
 * @cut     set to true when something was cut or left out
 * Returns the bytes written.
 */
size_t kn_pairs_put(
    uint8_t *out, size_t room, const struct knell_data *values, size_t n, bool *cut);

/**
 * Append one pair with a text.
 *
 * Context: any.
 * Returns the bytes written; 0 when nothing fits or @text is NULL.
 */
size_t kn_pair_text(
    uint8_t *out, size_t room, const char *key, const char *text, size_t max, bool *cut);

/**
 * The value's bytes: a text as it is, a number as 8 bytes, a bool as 1.
 *
 * Context: any.
 * @ret_type  enum knell_value_type
 * @ret_n     bytes, at most KNELL_VALUE_MAX
 * Returns a pointer into @value or to its text.
 */
const void *kn_value_bytes(
    const struct knell_data *value, uint8_t *ret_type, size_t *ret_n, bool *cut);
