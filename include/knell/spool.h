/* clang-format off */
/**
 * THE spool layout: folders, file names, states, legal moves, and what survives what.
 *
 *     live/  NAME.dmp   pre-filled file of a running process, becomes its report
 *            NAME.jnl   its journal; both under flock(2) for the process's life
 *            NAME.seg   its spans, logs and sessions so far, locked alike; renamed to
 *                       new/ when full, old or ended, there with the grammar below but
 *                       .seg for .dmp, signal 00 and signature 0 (1: part of one that was
 *                       split); the event id is its own
 *     new/   committed reports, not yet looked at
 *     work/  claimed by the uploader
 *     wait/  to be tried again, not before the time in the name
 *     hold/  kept by a person or by missing consent
 *     sent/  delivered
 *     bad/   quarantined; NAME.why beside each says the reason in a line of text
 *     lock   flock(2) by the one uploader at work
 *
 * State is the folder; every move is one renameat(2) within the spool:
 *
 *     live -> new -> work -> sent | wait | hold | bad;   wait, hold -> work;
 *     work -> new when an uploader died
 *
 * Name in live/: BOOT-PID-START-EVENT.dmp, where BOOT is the first 8 hex digits of the
 * boot id, PID and START (clock ticks since boot, proc(5) stat field 22) are decimal, and
 * EVENT is the event id: 32 hex digits, fixed when the process starts.
 *
 * Name elsewhere, all fields of fixed width, so that a listing sorts by time and opens
 * nothing:
 *
 *     TTTTTTTTTTTTT-GGGGGGGGGGGG-EEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEE-sNN.aNN.nNNNNNNNNNN.dmp
 *     |             |            |                                |   |   `- not before, s
 *     |             |            event id, 32 hex                 |   `- attempts
 *     |             grouping signature, 12 hex                    `- signal, 00: none
 *     time of death, ms since 1970
 *
 * Killed at any instruction, a process leaves each report whole in one folder. After a
 * loss of power:
 *
 *     a crash          is there when the handler's sync has returned. Its slot was not
 *                      synced at start, which waits for no disk: fdatasync(2) brings a
 *                      young file's name along on ext4, XFS and btrfs
 *     an obituary      is synced, with its folder, before the journal goes
 *     a settled report may be back in an earlier folder, from where it is sent again
 *                      under its id: the uploader syncs folders once in 64 moves or 250 ms
 *     what a person    moved, imported or consented to is synced when the command ends
 */
/* clang-format on */
#ifndef KNELL_SPOOL_H
#define KNELL_SPOOL_H

#define KNELL_SPOOL_LIVE "live"
#define KNELL_SPOOL_NEW "new"
#define KNELL_SPOOL_WORK "work"
#define KNELL_SPOOL_WAIT "wait"
#define KNELL_SPOOL_HOLD "hold"
#define KNELL_SPOOL_SENT "sent"
#define KNELL_SPOOL_BAD "bad"
#define KNELL_SPOOL_LOCK "lock"
#define KNELL_SPOOL_STAY "stay"
#define KNELL_SPOOL_SUFFIX ".dmp"
#define KNELL_JOURNAL_SUFFIX ".jnl"
#define KNELL_SEGMENT_SUFFIX ".seg"
#define KNELL_WHY_SUFFIX ".why"

/* Where a spool lies when nobody said: this/APP, else $XDG_STATE_HOME/knell/APP, else
 * $HOME/.local/state/knell/APP. */
#define KNELL_SPOOL_SYSTEM_ROOT "/var/spool/knell"

enum {
    KNELL_SPOOL_TIME_DIGITS = 13,
    KNELL_SPOOL_SIGNATURE_DIGITS = 12,
    KNELL_SPOOL_EVENT_DIGITS = 32,
    KNELL_SPOOL_NOT_BEFORE_DIGITS = 10,
    KNELL_SPOOL_NAME_BYTES = 83, /* without NUL */
    KNELL_SPOOL_DIR_MODE = 0700,
    KNELL_SPOOL_FILE_MODE = 0600,
};

#endif
