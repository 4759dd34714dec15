/**
 * Text to a descriptor through a buffer, for millions of short pieces.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct output {
    int fd;
    bool failed; /* nothing more is written; set by the first write that fails */
    size_t n;
    char bytes[1 << 15];
};

void output_text(struct output *o, const char *s);
void output_decimal(struct output *o, uint32_t v);
void output_address(struct output *o, uint64_t v); /* 0x and 16 digits */
/* Write what is left; false when not everything could be written. */
bool output_end(struct output *o);
