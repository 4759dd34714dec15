#include "uploader/spool/adopt.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <knell/journal.h>
#include <knell/minidump.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

struct adoption {
    struct spool *spool;
    adopt_obituary *obituary;
    void *ctx;
    const char *proc;
    struct adopt_result *result;
};

static int read_text(const char *path, char *out, size_t n)
{
    CLEANUP(close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, out, n - 1);
    if (got < 0)
        return -errno;
    out[got] = 0;
    return 0;
}

bool adopt_is_alive(const struct spool_live_name *live, const char *proc)
{
    char path[PATH_MAX], text[1024];
    uint32_t boot;
    snprintf(path, sizeof path, "%s/sys/kernel/random/boot_id", proc);
    /* Without a boot id only the lock counts. */
    if (read_text(path, text, sizeof text) < 0 || sscanf(text, "%8" SCNx32, &boot) != 1 ||
        boot != live->boot)
        return false;
    snprintf(path, sizeof path, "%s/%" PRIu32 "/stat", proc, live->pid);
    if (read_text(path, text, sizeof text) < 0)
        return false;
    /* The command's name is in brackets and may hold anything, brackets too. */
    const char *p = strrchr(text, ')');
    uint64_t ticks = 0;
    char state = 0;
    if (!p ||
        sscanf(p + 1,
            " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
            "%*s %" SCNu64,
            &state, &ticks) != 2)
        return true;
    return ticks == live->start_ticks && state != 'Z' && state != 'X';
}

/* Take the lock of a live file that is still under its name.
 * Returns an open descriptor, or negative: -EBUSY alive, -ENOENT gone. */
static int take(struct adoption *a, const char *file, const struct spool_live_name *live)
{
    CLEANUP(close_p) int fd = -1;
    struct stat st, named;
    uint64_t max = live->journal ? KNELL_JOURNAL_MAX_BYTES : KNELL_MAX_REPORT_BYTES;
    int r = spool_open_file(a->spool, SPOOL_LIVE, file, max, &fd, &st);
    if (r < 0)
        return r;
    /* Asked before the lock: a process that is just making its files is about to lock
     * them, and must not find us there. */
    if (adopt_is_alive(live, a->proc))
        return -EBUSY;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
    /* Another adopter may have moved it between our open and our lock. */
    if (fstatat(a->spool->state_fd[SPOOL_LIVE], file, &named, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    return named.st_ino == st.st_ino ? take_fd(&fd) : -ENOENT;
}

/* Returns 0, -EBADMSG when the file ends before, or what the disk said: that is no reason
 * to take a file for less than it is. */
static int read_at(int fd, uint64_t at, void *out, size_t n)
{
    ssize_t got = 0;
    if (at > KNELL_MAX_REPORT_BYTES)
        return -EBADMSG;
    do
        got = pread(fd, out, n, (off_t)at);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got == (ssize_t)n ? 0 : -EBADMSG;
}

/* FNV-1a; loading at random addresses leaves the place in its page alone. */
uint64_t adopt_signature(uint32_t signo, uint64_t pc)
{
    uint64_t h = 0xcbf29ce484222325u, words[2] = {signo, pc & 0xfff};
    const uint8_t *p = (const uint8_t *)words;
    for (size_t i = 0; i < sizeof words; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return (h ^ (h >> 48)) & 0xffffffffffffu;
}

int adopt_name_of_dump(int fd, uint64_t mtime_ms, struct spool_name *ret)
{
    struct knell_md_header h;
    struct knell_md_exception e;
    struct knell_signal_record s;
    int r = read_at(fd, 0, &h, sizeof h);
    if (r == -EBADMSG || (!r && h.magic != KNELL_MINIDUMP_MAGIC))
        return -ENODATA;
    if (!r && h.n_streams > KNELL_MAX_STREAMS)
        return -EBADMSG;
    uint32_t signo = 0;
    uint64_t pc = 0;
    for (uint32_t i = 0; !r && i < h.n_streams; i++) {
        struct knell_md_directory d;
        r = read_at(fd, h.directory_rva + (uint64_t)i * sizeof d, &d, sizeof d);
        if (r)
            break;
        if (d.type == KNELL_STREAM_EXCEPTION && d.at.n_bytes >= sizeof e &&
            !read_at(fd, d.at.rva, &e, sizeof e))
            signo = e.code;
        if (d.type == KNELL_STREAM_SIGNAL && d.at.n_bytes >= sizeof s &&
            !read_at(fd, d.at.rva, &s, sizeof s))
            pc = s.pc;
    }
    if (r)
        return r;
    ret->signo = signo < 65 ? (uint8_t)signo : 0;
    ret->signature = adopt_signature(signo, pc);
    /* The file's own time has milliseconds; it counts when it is of the same moment. */
    uint64_t header_ms = (uint64_t)h.time_s * 1000;
    bool same = mtime_ms + 5000 > header_ms && mtime_ms < header_ms + 60000;
    ret->time_ms = same || !h.time_s ? mtime_ms : header_ms;
    return 0;
}

static uint64_t mtime_ms(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_mtim.tv_sec < 0)
        return 0;
    return (uint64_t)st.st_mtim.tv_sec * 1000 + (uint64_t)st.st_mtim.tv_nsec / 1000000;
}

static void remove_live(struct adoption *a, const char *file)
{
    if (unlinkat(a->spool->state_fd[SPOOL_LIVE], file, 0) == 0)
        a->result->n_removed++;
}

/* This machine has trouble: the next time. */
static void left(struct adoption *a, int err)
{
    a->result->n_left++;
    a->result->err = err;
}

static void quarantine(struct adoption *a, const char *file, const char *why)
{
    int r = spool_quarantine(a->spool, SPOOL_LIVE, file, why);
    if (r < 0)
        left(a, r);
    else
        a->result->n_quarantined++;
}

/* Make @bytes a report in new/, durable before its journal goes. */
static int commit(
    struct adoption *a, const struct spool_name *name, const uint8_t *bytes, size_t n)
{
    char file[KNELL_SPOOL_NAME_BYTES + 1];
    spool_name_format(name, file);
    return spool_replace_file(a->spool->state_fd[SPOOL_NEW], file, bytes, n);
}

static int write_obituary(
    struct adoption *a, const struct spool_live_name *live, int journal_fd, int slot_fd)
{
    CLEANUP(free_p) uint8_t *image = NULL;
    CLEANUP(free_p) uint8_t *slot = NULL;
    CLEANUP(free_p) uint8_t *report = NULL;
    size_t n_image = 0, n_slot = 0, n_report = 0;
    struct spool_name name = {.time_ms = mtime_ms(journal_fd)};
    memcpy(name.event_id, live->event_id, sizeof name.event_id);
    int r = spool_read_all(journal_fd, KNELL_JOURNAL_MAX_BYTES, &image, &n_image);
    if (!r && slot_fd >= 0)
        r = spool_read_all(slot_fd, KNELL_MAX_REPORT_BYTES, &slot, &n_slot);
    if (!r)
        r = a->obituary(
            a->ctx, image, n_image, live, slot, n_slot, &name, &report, &n_report);
    name.attempts = 0;
    name.not_before_s = 0;
    /* An adoption that was cut off here had committed it, and a person may have moved it
     * since. */
    int there = r ? 0 : spool_has_event(a->spool, name.event_id);
    if (r || there)
        return r ? r : there < 0 ? there : 0;
    r = commit(a, &name, report, n_report);
    if (!r)
        a->result->n_obituaries++;
    return r;
}

/* The state field of a journal's head. -ENODATA: its process died while it made the file,
 * the magic is what it writes last; -EBADMSG: no journal; or what the disk said. */
static int state_of(int fd)
{
    struct knell_journal_head h = {0};
    int r = read_at(fd, 0, &h, sizeof h);
    if ((!r || r == -EBADMSG) && !h.magic)
        return -ENODATA;
    if (r)
        return r;
    return h.magic == KNELL_JOURNAL_MAGIC && h.state <= KNELL_RUN_CLEAN ? (int)h.state
                                                                        : -EBADMSG;
}

/* A journal, with the dump that was begun beside it or without. */
static void adopt_journal(struct adoption *a, const char *file,
    const struct spool_live_name *live, int fd, int slot_fd, const char *slot)
{
    int state = state_of(fd), r = -ENODATA;
    if (state < 0 && state != -EBADMSG && state != -ENODATA) {
        left(a, state);
        return;
    }
    if (state == -EBADMSG) {
        quarantine(a, file, "not a journal");
    } else if (state == -ENODATA || state == KNELL_RUN_CLEAN ||
               (state == KNELL_RUN_DUMPED && slot_fd < 0)) {
        /* A dump that is no longer here was committed and renamed by the handler. */
        remove_live(a, file);
    } else {
        r = a->obituary ? write_obituary(a, live, fd, slot_fd) : -ENOSYS;
        if (r == -EBADMSG)
            quarantine(a, file, "a journal that cannot be read");
        else if (r == 0 || r == -ENODATA)
            remove_live(a, file);
        else {
            if (a->obituary)
                left(a, r);
            return;
        }
    }
    if (slot)
        remove_live(a, slot);
}

static void adopt_dump(
    struct adoption *a, const char *file, const struct spool_live_name *live, int fd)
{
    struct spool_live_name beside = *live;
    struct spool_name name = {0};
    char journal[SPOOL_LIVE_NAME_BYTES + 1], as[KNELL_SPOOL_NAME_BYTES + 1];
    memcpy(name.event_id, live->event_id, sizeof name.event_id);
    beside.journal = true;
    spool_live_name_format(&beside, journal);
    int r = adopt_name_of_dump(fd, mtime_ms(fd), &name);
    if (r == -EBADMSG) {
        quarantine(a, file, "a dump whose directory is damaged");
        return;
    }
    if (r == -ENODATA) {
        CLEANUP(close_p) int journal_fd = take(a, journal, &beside);
        if (journal_fd >= 0)
            adopt_journal(a, journal, &beside, journal_fd, fd, file);
        else if (journal_fd == -ENOENT)
            remove_live(a, file);
        else if (journal_fd != -EBUSY && !spool_fault(journal_fd)) /* its own turn's */
            left(a, journal_fd);
        return;
    }
    spool_name_format(&name, as);
    if (!r)
        r = fsync(fd) < 0 ? -errno : 0;
    if (!r)
        r = spool_move_file(a->spool, SPOOL_LIVE, file, SPOOL_NEW, as);
    if (r == -EEXIST) {
        quarantine(a, file, "a second report of the same event");
        return;
    }
    if (!r)
        r = spool_sync(a->spool, SPOOL_NEW);
    if (r < 0) {
        left(a, r);
        return;
    }
    a->result->n_dumps++;
    /* The dump holds the journal's image. */
    remove_live(a, journal);
}

/* @ret_id  of the segment itself. -EBADMSG: nothing is in it. */
static int read_segment_head(int fd, uint8_t ret_id[static SPOOL_EVENT_ID_BYTES])
{
    struct knell_segment_head h;
    int r = read_at(fd, 0, &h, offsetof(struct knell_segment_head, created_ns));
    if (r || h.magic != KNELL_SEGMENT_MAGIC || !h.n_records)
        return r ? r : -EBADMSG;
    memcpy(ret_id, h.event_id, sizeof h.event_id);
    return 0;
}

static void adopt_segment(struct adoption *a, const char *file, int fd)
{
    struct spool_name name = {.time_ms = mtime_ms(fd), .segment = true};
    char as[KNELL_SPOOL_NAME_BYTES + 1];
    int r = read_segment_head(fd, name.event_id);
    if (r == -EBADMSG) {
        remove_live(a, file);
        return;
    }
    spool_name_format(&name, as);
    if (!r)
        r = fsync(fd) < 0 ? -errno : 0;
    if (!r)
        r = spool_move_file(a->spool, SPOOL_LIVE, file, SPOOL_NEW, as);
    if (r)
        left(a, r);
    else
        a->result->n_segments++;
}

static int adopt_one(void *ctx, const char *file, const struct spool_name *name)
{
    struct adoption *a = ctx;
    struct spool_live_name live;
    (void)name;
    if (spool_live_name_parse(file, &live) < 0)
        return 0;
    CLEANUP(close_p) int fd = take(a, file, &live);
    if (fd == -EBUSY)
        a->result->n_alive++;
    if (fd < 0 && spool_fault(fd))
        quarantine(a, file, spool_fault(fd));
    else if (fd < 0 && fd != -EBUSY && fd != -ENOENT)
        left(a, fd);
    if (fd < 0)
        return 0;
    if (live.segment) {
        adopt_segment(a, file, fd);
        return 0;
    }
    if (!live.journal) {
        adopt_dump(a, file, &live, fd);
        return 0;
    }
    struct spool_live_name beside = live;
    char dump[SPOOL_LIVE_NAME_BYTES + 1];
    struct stat st;
    beside.journal = false;
    spool_live_name_format(&beside, dump);
    /* With a dump beside it, the dump's turn does both. */
    if (fstatat(a->spool->state_fd[SPOOL_LIVE], dump, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    if (errno == ENOENT)
        adopt_journal(a, file, &live, fd, -1, NULL);
    else
        left(a, -errno);
    return 0;
}

int adopt_all(struct spool *s, adopt_obituary *obituary, void *ctx, const char *proc,
    struct adopt_result *ret)
{
    struct adopt_result result = {0};
    struct adoption a = {
        .spool = s, .obituary = obituary, .ctx = ctx, .proc = proc, .result = &result};
    int r = spool_each(s, SPOOL_LIVE, adopt_one, &a);
    *ret = result;
    return r;
}
