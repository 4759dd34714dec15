/**
 * What dead processes left in live/: a committed dump becomes a report in new/, a journal
 * without a clean exit becomes one through its reader, and what says nothing is removed.
 *
 * A file is a dead process's when its lock is free and no process of this boot has its
 * pid and start time: a daemon that closed all its descriptors holds no lock.
 */
#pragma once
#include "uploader/spool/dir.h"

/**
 * Turn the journal of a process that died without a report of its own into one.
 *
 * @ctx    as given to adopt_all()
 * @image  the journal's @n bytes, as found; not trusted
 * @live   of its name
 * @slot   bytes of its dump that was begun and never committed; NULL: none
 * @name   in: event id of the file name; out: every field but attempts and not-before
 * @ret    a whole report, malloc'd
 * Returns 0; -ENODATA when there is nothing to report (a clean exit); -EBADMSG when it is
 * no journal (it is then quarantined); else a negative errno, and it is tried again
 * later.
 */
typedef int adopt_obituary(void *ctx, const uint8_t *image, size_t n,
    const struct spool_live_name *live, const uint8_t *slot, size_t n_slot,
    struct spool_name *name, uint8_t **ret, size_t *ret_n);

struct adopt_result {
    unsigned n_dumps, n_obituaries, n_segments, n_removed, n_quarantined, n_alive;
    unsigned n_left; /* that this machine could not take in now */
    int err;         /* of the last of them */
};

/**
 * @s         opened with create; the caller holds its lock
 * @obituary  NULL: journals of dead processes are left alone
 * @proc      "/proc"; tests give another
 * Returns 0 (what could not be adopted stays for the next time) or the errno of listing.
 */
int adopt_all(struct spool *s, adopt_obituary *obituary, void *ctx, const char *proc,
    struct adopt_result *ret) MUST_CHECK;

/* Whether the process of a live name may still run. */
bool adopt_is_alive(const struct spool_live_name *live, const char *proc);

/* A signature from the signal and the place of the crash in its page. */
uint64_t adopt_signature(uint32_t signo, uint64_t pc);

/**
 * The fields of a report's name from a committed dump: time, signal, and a signature from
 * the signal and the place of the crash in its page.
 *
 * Returns 0, -ENODATA when the dump was never committed, -EBADMSG, or read(2)'s errno.
 */
int adopt_name_of_dump(int fd, uint64_t mtime_ms, struct spool_name *ret) MUST_CHECK;
