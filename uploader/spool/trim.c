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

static int trim_one(void *ctx, const char *file, const struct spool_name *name)
{
    const struct spool *s = ctx;
    struct stat st;
    CLEANUP(close_p) int fd = -1;
    if (!name || name->segment ||
        fstatat(s->state_fd[SPOOL_NEW], file, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    /* What was reserved lies behind the end. Without that the file is not opened. */
    uint64_t slack = (uint64_t)st.st_blksize * 4;
    if ((uint64_t)st.st_blocks * 512 <= (uint64_t)st.st_size + slack ||
        spool_open_file(s, SPOOL_NEW, file, KNELL_MAX_REPORT_BYTES, &fd, &st) < 0)
        return 0;
    uint64_t end = length_of(fd, (uint64_t)st.st_size);
    if (!end)
        return 0;
    CLEANUP(close_p)
    int out = openat(s->state_fd[SPOOL_NEW], file,
        O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat now;
    if (out < 0 || fstat(out, &now) < 0 || now.st_ino != st.st_ino ||
        now.st_dev != st.st_dev || now.st_size != st.st_size)
        return 0;
    IGNORE(ftruncate(out, (off_t)end), "it only takes more room than it needs");
    return 0;
}

int tend_trim(struct spool *s)
{
    return spool_each(s, SPOOL_NEW, trim_one, s);
}
