/**
 * Numbers and strings without stdio.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Text that grows in the caller's array; always NUL-terminated, silently cut. */
struct kn_text {
    char *p;
    size_t n, room; /* n < room */
};

/**
 * Context: signal handler.
 */
size_t kn_length(const char *s);
void kn_text_init(struct kn_text *t, char *p, size_t room);
void kn_text_put(struct kn_text *t, const char *s);
void kn_text_dec(struct kn_text *t, uint64_t v);
/* @width  fixed number of digits, zeros in front, the lowest ones kept; at most 20 */
void kn_text_dec_width(struct kn_text *t, uint64_t v, unsigned width);
/* @width  at least this many digits */
void kn_text_hex(struct kn_text *t, uint64_t v, unsigned width);
void kn_text_hex_bytes(struct kn_text *t, const uint8_t *p, size_t n);

/**
 * Read an unsigned number in @base from *@p and move *@p behind it.
 *
 * Context: signal handler.
 * @base  10 or 16
 */
uint64_t kn_number(const char **p, const char *end, unsigned base);
