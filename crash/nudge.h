/**
 * Reports of a daemon that lives on should not wait for its next start: the uploader is
 * started for them, and stays for a while to take the next ones too.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* The uploader that knell starts stays so long for what comes after (--stay), and for a
 * bit less than that no other one is started. */
enum { KN_STAY_S = 60, KN_STAY_MARGIN_S = 5 };

/**
 * Something came into new/. At most once in KN_STAY_S - KN_STAY_MARGIN_S this starts the
 * uploader, which blocks the calling thread until the program is loaded; else it costs a
 * try of a lock and a coarse clock. Does nothing where no uploader shall be started or
 * nothing shall be sent. In arm.c, which owns what it needs.
 *
 * Context: normal; never waits for a lock. errno is kept.
 */
void kn_nudge(void);

/**
 * Whether it is time to start one; if so the time is noted down.
 *
 * Context: normal, under arm.c's lock.
 */
bool kn_nudge_due(void);

/**
 * In a fork child: what was started was the parent's.
 *
 * Context: fork child; async-signal-safe.
 */
void kn_nudge_fork_child(void);
