/**
 * Where a command writes: colours and a pager for a person at a terminal, neither where
 * a program reads.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum style {
    STYLE_PLAIN = 0,
    STYLE_BOLD,
    STYLE_DIM,
    STYLE_RED,
    STYLE_GREEN,
    STYLE_YELLOW,
    STYLE_BLUE,
    STYLE_CYAN,
    STYLE_HEAD, /* heads of tables */
    STYLE_N,
};

enum out_colour {
    OUT_COLOUR_AUTO = 0, /* on a terminal, unless NO_COLOR is set or TERM is "dumb" */
    OUT_COLOUR_ALWAYS,
    OUT_COLOUR_NEVER,
};

struct out {
    FILE *f;
    bool tty, colour, no_pager;
    size_t columns; /* of the terminal, or $COLUMNS; 0: no limit */
    pid_t pager;    /* 0: none */
};

/* @full  no limit of the width */
void out_init(struct out *o, enum out_colour colour, bool full);

/**
 * Put a pager between @o and the terminal: $KNELL_PAGER, else $PAGER, else less. Does
 * nothing when output is no terminal, with no_pager, when the pager is "" or "cat", when
 * user and effective user differ, or for root who came through sudo, doas or su: a
 * pager's shell escapes would then give away a root shell.
 */
void out_page(struct out *o);

/* Let @ms pass. Returns false, at once, when nobody reads what is written any more. */
bool out_wait(const struct out *o, int64_t ms);

/* Flush and wait for the pager. Returns 0, or a negative errno when something could not
 * be written; a reader that went away (-EPIPE) is not an error. */
int out_done(struct out *o);

/* Escape sequences of a style, and of its end; "" without colours. Static. */
const char *out_style(const struct out *o, enum style style);
const char *out_plain(const struct out *o);

/* Captured text, made harmless, in a style. */
void out_text(const struct out *o, enum style style, const char *s);
