/**
 * What the uploader remembers between its runs, per spool: rate limits, hosts that rest,
 * what was held back or thrown away, and how much was sent today. A cache in the sense
 * that a spool without it is sound: it is then merely less polite. In the file "state",
 * text with a checksum, replaced whole.
 */
#pragma once
#include "symbolize/cleanup.h"
#include "uploader/config.h"
#include "uploader/deliver/hint.h"

#include <stddef.h>

enum {
    LEDGER_MAX_LIMITS = 64,
    LEDGER_MAX_HOSTS = 32,
    LEDGER_MAX_DROPS = 64,
    LEDGER_MAX_SIGNATURES = 4096,
    LEDGER_WORD_BYTES = 32,
};

struct ledger_limit {
    uint64_t destination, until_s;
    unsigned category; /* enum hint_category */
};

/* A host that failed, or one destination on it that refuses us. It rests until until_s,
 * then gets one request at a time until one succeeds. */
struct ledger_host {
    uint64_t id; /* hash of "host:port", or of what else is said to be it */
    uint64_t until_s;
    uint64_t failures;  /* in a row */
    bool configuration; /* its rest is for an error that only a person can mend */
};

struct ledger_drop {
    char reason[LEDGER_WORD_BYTES], category[LEDGER_WORD_BYTES];
    uint64_t n;
};

struct ledger_signature {
    uint64_t signature;
    uint64_t window_s, n_sent;  /* since the window began */
    uint64_t n_suppressed;      /* not yet told on an event */
    uint64_t first_ms, last_ms; /* reports of it that were seen */
};

struct ledger {
    struct ledger_limit limits[LEDGER_MAX_LIMITS];
    struct ledger_host hosts[LEDGER_MAX_HOSTS];
    struct ledger_drop drops[LEDGER_MAX_DROPS];
    struct ledger_signature *signatures; /* sorted by signature */
    size_t n_limits, n_hosts, n_drops, n_signatures;
    uint64_t day_s, day_bytes; /* bytes sent since day_s */
    uint64_t seen_s, steady_s; /* clock at the last pass; since when it did not jump */
    uint64_t n_sent, n_failed, n_quarantined; /* ever */
    bool dirty;
};

/**
 * @dir_fd  the spool's folder
 * @max_s   limits further ahead are cut to this: the clock may have jumped
 * Returns 0 or -ENOMEM; a missing or damaged file gives an empty ledger.
 */
int ledger_load(
    int dir_fd, uint64_t now_s, uint64_t max_s, struct ledger **ret) MUST_CHECK;
/* Write it when it changed. Returns 0 or a negative errno. */
int ledger_save(struct ledger *l, int dir_fd) MUST_CHECK;
void ledger_free(struct ledger *l);

/* For tests and for `knell status`: the text form. @ret malloc'd. */
int ledger_format(const struct ledger *l, char **ret, size_t *ret_n) MUST_CHECK;
/* Returns 0, -EBADMSG for anything but a whole text, or -ENOMEM. */
int ledger_parse(const char *text, size_t n, struct ledger **ret) MUST_CHECK;

uint64_t ledger_limited_until(
    const struct ledger *l, uint64_t destination, enum hint_category c);
void ledger_set_limits(
    struct ledger *l, uint64_t destination, const struct hint *h, uint64_t now_s);

/* The host's record, or NULL when it never failed. */
const struct ledger_host *ledger_find_host(const struct ledger *l, const char *host);
/* One more failure. @until_s 0: it only counts. */
void ledger_host_failed(
    struct ledger *l, const char *host, uint64_t until_s, bool configuration);
void ledger_host_succeeded(struct ledger *l, const char *host);

/* The signature's record, made when missing (the one seen longest ago makes room); NULL
 * without memory. Valid until the next call that makes one. */
struct ledger_signature *ledger_signature(struct ledger *l, uint64_t signature);
/* Its record when there is one. */
const struct ledger_signature *ledger_find_signature(
    const struct ledger *l, uint64_t signature);

/**
 * May one more report of this signature go out?
 *
 * Returns 0 (and counts it) or the time when the next one may, in seconds since 1970.
 */
uint64_t ledger_throttle(
    struct ledger *l, uint64_t signature, const struct config_rate *rate, uint64_t now_s);
/* It was counted, and did not arrive. */
void ledger_throttle_undo(struct ledger *l, uint64_t signature);

/**
 * Note the time of a pass. A clock that went back, or forward by more than a week, may be
 * wrong: nothing is thrown away for its age until it went steadily for that long.
 *
 * Returns for how many seconds it has been steady.
 */
uint64_t ledger_steady_s(struct ledger *l, uint64_t now_s);

/* Count what is thrown away. @reason and @category are words of the protocol. */
void ledger_add_drop(
    struct ledger *l, const char *reason, const char *category, uint64_t n);
/* A client report of @n drops as an envelope item ("HEAD\nPAYLOAD\n"), malloc'd; NULL
 * when there is nothing to tell or no memory. */
char *ledger_client_report(const struct ledger_drop *drops, size_t n, uint64_t now_s);
/* It arrived: forget what it told. @told  a copy of drops[] when it was made */
void ledger_drops_told(struct ledger *l, const struct ledger_drop *told, size_t n);
