/* The script of the fake server: text to answers. See ingest.h for the grammar. */
#pragma once
#include <stddef.h>

enum ingest_kind {
    INGEST_STATUS,
    INGEST_RESET,
    INGEST_HANG,
    INGEST_PARTIAL,
    INGEST_SHORT,
    INGEST_EARLY,
    INGEST_CUT,
    INGEST_HUGE,
    INGEST_BOMB,
    INGEST_TRICKLE,
};

struct ingest_item {
    enum ingest_kind kind;
    unsigned long count; /* requests left for it; the last item's is never used up */
    int status, delay_ms, close;
    char word[16];
    char headers[1024]; /* whole lines, CRLF after each */
    char *body;         /* NULL: the default one */
};

struct ingest_script {
    struct ingest_item *items;
    size_t n, at;
};

/* Ends the program with a message when the text is no script. */
void ingest_script_parse(const char *text, struct ingest_script *ret);
/* The answer to the next request. */
const struct ingest_item *ingest_script_next(struct ingest_script *s);
/* The answer the next request will get. */
const struct ingest_item *ingest_script_peek(const struct ingest_script *s);
