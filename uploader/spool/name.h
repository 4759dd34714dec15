/**
 * The file names of a spool (see knell/spool.h): text to fields and back. Pure; nothing
 * here touches a file. A name that does not parse is no report of ours.
 */
#pragma once
#include "symbolize/cleanup.h"

#include <knell/spool.h>
#include <stdbool.h>
#include <stdint.h>

enum { SPOOL_EVENT_ID_BYTES = 16, SPOOL_LIVE_NAME_BYTES = 80 };

/* The not-before of a report in hold/ that only consent is missing for; what a person
 * holds has none. */
enum { SPOOL_HELD_FOR_CONSENT_S = 1 };

/* A report's name in every folder but live/. */
struct spool_name {
    uint64_t time_ms;      /* of death, since 1970; 13 decimal digits at most */
    uint64_t signature;    /* 48 bits */
    uint64_t not_before_s; /* since 1970; 0: at once; 10 decimal digits at most */
    uint8_t event_id[SPOOL_EVENT_ID_BYTES];
    uint8_t signo;    /* 0: no signal made this report; 99 at most */
    uint8_t attempts; /* 99 at most; stays there */
    bool segment;     /* .seg: spans, logs and sessions rather than a report */
};

/* A file of a running (or dead) process in live/. */
struct spool_live_name {
    uint32_t boot; /* first 8 hex digits of the boot id */
    uint32_t pid;
    uint64_t start_ticks;
    uint8_t event_id[SPOOL_EVENT_ID_BYTES];
    bool journal; /* .jnl rather than .dmp */
    bool segment; /* .seg likewise */
};

/* @text  file name without folder
 * Returns 0, or -EINVAL when it is not exactly the grammar. */
int spool_name_parse(const char *text, struct spool_name *ret) MUST_CHECK;

/* @out  gets KNELL_SPOOL_NAME_BYTES and a NUL; fields beyond their width are clamped, so
 *       that the result always parses. */
void spool_name_format(
    const struct spool_name *name, char out[static KNELL_SPOOL_NAME_BYTES + 1]);

/* As above for live/; -EINVAL also for other suffixes. */
int spool_live_name_parse(const char *text, struct spool_live_name *ret) MUST_CHECK;
void spool_live_name_format(
    const struct spool_live_name *name, char out[static SPOOL_LIVE_NAME_BYTES + 1]);

/* 32 lower-case hex digits and a NUL. */
void spool_event_id_format(
    const uint8_t id[static SPOOL_EVENT_ID_BYTES], char out[static 33]);

/* @text  at least 32 characters; what follows is not looked at
 * Returns 0 or -EINVAL (upper case is refused: one report has one name). */
int spool_event_id_parse(
    const char *text, uint8_t ret[static SPOOL_EVENT_ID_BYTES]) MUST_CHECK;
