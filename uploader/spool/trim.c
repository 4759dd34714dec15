/* tend_trim(): the room that a report was given before it was written, and did not use.
 */
#include "uploader/spool/tend.h"

#include <errno.h>
#include <fcntl.h>
#include <knell/minidump.h>
#include <unistd.h>

/* Where a report of knell's own ends: its directory is the last thing in it. 0: it is
 * somebody else's, or damaged. */
static uint64_t length_of(int fd, uint64_t n)
{
    struct knell_md_header h;
    struct knell_md_directory all[KNELL_MAX_STREAMS];
    if (pread(fd, &h, sizeof h, 0) != (ssize_t)sizeof h ||
        h.magic != KNELL_MINIDUMP_MAGIC || h.n_streams > KNELL_MAX_STREAMS)
        return 0;
    size_t n_directory = h.n_streams * sizeof *all;
    uint64_t end = h.directory_rva + (uint64_t)n_directory;
    bool ours = false;
    if (end > n ||
        pread(fd, all, n_directory, (off_t)h.directory_rva) != (ssize_t)n_directory)
        return 0;
    for (uint32_t i = 0; i < h.n_streams; i++) {
        if (all[i].at.rva + (uint64_t)all[i].at.n_bytes > h.directory_rva)
            return 0;
        ours |= all[i].type == KNELL_STREAM_SIGNAL || all[i].type == KNELL_STREAM_JOURNAL;
    }
    return ours ? end : 0;
}

void tend_trim_report(const struct spool *s, enum spool_state state, const char *file)
{
    struct stat st, now;
    CLEANUP(close_p) int fd = -1;
    int folder = s->state_fd[state];
    if (fstatat(folder, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    /* What was reserved lies behind the end. Without that the file is not opened. */
    uint64_t slack = (uint64_t)st.st_blksize * 4;
    if ((uint64_t)st.st_blocks * 512 <= (uint64_t)st.st_size + slack ||
        spool_open_file(s, state, file, KNELL_MAX_REPORT_BYTES, &fd, &st) < 0)
        return;
    uint64_t end = length_of(fd, (uint64_t)st.st_size);
    if (!end)
        return;
    CLEANUP(close_p)
    int out =
        openat(folder, file, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (out < 0 || fstat(out, &now) < 0 || now.st_ino != st.st_ino ||
        now.st_dev != st.st_dev || now.st_size != st.st_size)
        return;
    IGNORE(ftruncate(out, (off_t)end), "it only takes more room than it needs");
}

struct trimmed {
    const struct spool *spool;
    enum spool_state state;
};

static int trim_one(void *ctx, const char *file, const struct spool_name *name)
{
    const struct trimmed *t = ctx;
    if (name && !name->segment)
        tend_trim_report(t->spool, t->state, file);
    return 0;
}

int tend_trim(const struct spool *s)
{
    static const enum spool_state states[] = {SPOOL_NEW, SPOOL_WAIT, SPOOL_HOLD};
    int r = 0;
    for (size_t i = 0; !r && i < sizeof states / sizeof *states; i++)
        r = spool_each(
            s, states[i], trim_one, &(struct trimmed){.spool = s, .state = states[i]});
    return r;
}
