/**
 * What became of each report: a line of JSON per transition in the spool's file "log"
 * (and "log.1", older), for people and for `knell show`. Also the memory that a report
 * left in work/ by a dead uploader had already arrived.
 */
#pragma once
#include "uploader/spool/dir.h"

enum { HISTORY_MAX_BYTES = 1 << 20 };

struct history {
    int dir_fd, fd; /* fd -1: closed or not to be had; adding then does nothing */
    uint64_t n_bytes;
};

/* @s  borrowed while open. A log that cannot be opened is no reason to send nothing. */
void history_open(const struct spool *s, struct history *ret);
void history_close(struct history *h);

struct history_line {
    const char *event_id; /* 32 hex digits */
    const char *what;     /* a word: sent, deferred, quarantined, … */
    const char *to;       /* destination's label; NULL: none */
    uint64_t destination; /* its id; 0: none */
    int status;           /* of HTTP; 0: none */
    const char *why;      /* NULL: none */
    uint64_t time_ms;
};

/* One write(2) per line, so that a reader never sees half of one but the last. */
void history_add(struct history *h, const struct history_line *line);

/* Whether the newest 64 KiB say that this event arrived at this destination. */
bool history_was_sent(const struct spool *s, const char *event_id, uint64_t destination);
