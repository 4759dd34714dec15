/**
 * Text that nobody vouches for, on its way to a person's terminal or into JSON. Thread
 * names, paths, tags and messages come from a dead process and may hold anything; what
 * could drive a terminal, reorder the line or break a table becomes visible escapes.
 */
#pragma once
#include "symbolize/cleanup.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A string that grows. Zero is a valid start; give back with safe_done(). Once memory
 * ran out, failed stays set and later calls add nothing. */
struct safe {
    char *s; /* NUL-terminated once anything was added; NULL: empty */
    size_t n, room;
    bool failed;
};

void safe_done(struct safe *b);
/* Empty it and keep the memory. */
void safe_clear(struct safe *b);
/* What is in it; "" when nothing is. Valid until the next change. */
const char *safe_text(const struct safe *b);

/* Append @n bytes as they are: only for text that knell itself wrote. */
void safe_raw(struct safe *b, const char *s, size_t n);
void safe_format(struct safe *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/**
 * Append text for a terminal: printable UTF-8 as it is; control characters, DEL, C1
 * controls, bytes that are not UTF-8, line and paragraph separators, and characters that
 * change the direction of writing or have no width as \n, \t, \xNN or \u{NNNN}. A
 * backslash stays itself, so that paths stay readable.
 *
 * @s  may be NULL: nothing is added
 */
void safe_put(struct safe *b, const char *s);
void safe_put_n(struct safe *b, const char *s, size_t n);

/* The same straight to a stream. */
void safe_print(FILE *f, const char *s);
/* @start, then a formatted text made harmless as a whole, and a newline: what is said on
 * stderr names paths and words that anybody may have made. */
void safe_line(FILE *f, const char *start, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

/**
 * Decode one character.
 *
 * @ret  the code point; for a byte that begins no valid sequence, the byte itself
 * Returns the number of bytes, or 0 when they are not valid UTF-8 (the caller skips one).
 * Source: RFC 3629; overlong forms, surrogates and values over 10FFFF are invalid.
 */
size_t safe_decode(const char *s, size_t n, uint32_t *ret);

/* Whether a code point may go to a terminal as it is. */
bool safe_is_harmless(uint32_t c);

/* Columns that text takes on a terminal, when it holds only what safe_put() lets through:
 * 2 for East Asian wide characters and emoji, 0 for combining marks, else 1. */
size_t safe_columns(const char *s);

/* Bytes of the longest start of @s that takes at most @columns columns. */
size_t safe_cut(const char *s, size_t columns);
