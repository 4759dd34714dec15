/* Single files of a spool: open with every check, read once, write whole or not at all.
 */
#include "uploader/spool/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static int check_file(const struct spool *s, const struct stat *st, uint64_t max_bytes)
{
    if (!S_ISREG(st->st_mode))
        return -EBADF;
    /* A second name may be a link to a file that the spool's owner may not read. */
    if (st->st_nlink != 1)
        return -EMLINK;
    if ((st->st_uid != s->owner && st->st_uid != geteuid()) || (st->st_mode & S_IWOTH))
        return -EPERM;
    if (st->st_size < 0 || (uint64_t)st->st_size > max_bytes)
        return -E2BIG;
    return 0;
}

/* Why a file could not be opened: its own mode, or a policy of this machine's although
 * its mode allows it. */
static int why_denied(int dir_fd, const char *file)
{
    struct stat st;
    if (fstatat(dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    bool ours = st.st_uid == geteuid() && st.st_mode & S_IRUSR;
    return ours || geteuid() == 0 ? -EACCES : -EPERM;
}

int spool_open_file(const struct spool *s, enum spool_state state, const char *file,
    uint64_t max_bytes, int *ret_fd, struct stat *ret_stat)
{
    CLEANUP(close_p)
    int fd = openat(s->state_fd[state], file,
        O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES ? why_denied(s->state_fd[state], file) : -errno;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    int r = check_file(s, &st, max_bytes);
    if (r < 0)
        return r;
    if (ret_stat)
        *ret_stat = st;
    *ret_fd = take_fd(&fd);
    return 0;
}

const char *spool_fault(int err)
{
    switch (err) {
    case -ELOOP:
        return "a symbolic link";
    case -EBADF:
    case -ENXIO:
    case -EISDIR:
        return "not a regular file";
    case -EMLINK:
        return "a file with more than one name";
    case -EPERM:
        return "owner or mode are wrong";
    case -E2BIG:
        return "too large";
    default:
        return NULL;
    }
}

int spool_read_all(int fd, uint64_t max_bytes, uint8_t **ret, size_t *ret_n)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if ((uint64_t)st.st_size > max_bytes)
        return -E2BIG;
    /* One byte more than it was: a file that grows meanwhile is noticed, not followed. */
    size_t n = (size_t)st.st_size, at = 0;
    CLEANUP(free_p) uint8_t *p = malloc(n + 1);
    if (!p)
        return -ENOMEM;
    while (at <= n) {
        ssize_t r = pread(fd, p + at, n + 1 - at, (off_t)at);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -errno;
        if (!r)
            break;
        at += (size_t)r;
    }
    *ret_n = at < n ? at : n;
    *ret = p;
    p = NULL;
    return 0;
}

static int write_all(int fd, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    while (n) {
        ssize_t r = write(fd, p, n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return r < 0 ? -errno : -EIO;
        p += r;
        n -= (size_t)r;
    }
    return 0;
}

int spool_make_file(int dir_fd, const char *file, int flags)
{
    struct stat st;
    int fd = openat(dir_fd, file, flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
        KNELL_SPOOL_FILE_MODE);
    if (fd < 0)
        return -errno;
    if (geteuid() == 0 && fstat(dir_fd, &st) == 0 && st.st_uid != 0)
        IGNORE(fchown(fd, st.st_uid, st.st_gid), "shut in we may not: it is root's then");
    return fd;
}

int spool_keep_file(int dir_fd, const char *file, int flags)
{
    enum { TRIES = 3 };
    int r = -EEXIST;
    flags |= O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    for (int i = 0; i < TRIES && r == -EEXIST; i++) {
        int fd = openat(dir_fd, file, flags);
        if (fd >= 0 || errno != ENOENT)
            return fd < 0 ? -errno : fd;
        r = spool_make_file(dir_fd, file, flags); /* another process may be first */
    }
    return r;
}

static int put_file(
    int dir_fd, const char *file, const void *bytes, size_t n, bool durable)
{
    char tmp[NAME_MAX + 1];
    int len = snprintf(tmp, sizeof tmp, ".%s.%d.tmp", file, (int)getpid());
    if (len < 0 || (size_t)len >= sizeof tmp)
        return -ENAMETOOLONG;
    CLEANUP(close_p) int fd = spool_make_file(dir_fd, tmp, O_WRONLY);
    /* Left by a process with our id that was killed here. */
    if (fd == -EEXIST && unlinkat(dir_fd, tmp, 0) == 0)
        fd = spool_make_file(dir_fd, tmp, O_WRONLY);
    if (fd < 0)
        return fd;
    int r = write_all(fd, bytes, n);
    if (!r && durable && fsync(fd) < 0)
        r = -errno;
    if (!r && renameat(dir_fd, tmp, dir_fd, file) < 0)
        r = -errno;
    if (r < 0) {
        IGNORE(unlinkat(dir_fd, tmp, 0), "the first failure is the one to tell");
        return r;
    }
    return durable && fsync(dir_fd) < 0 ? -errno : 0;
}

int spool_replace_file(int dir_fd, const char *file, const void *bytes, size_t n)
{
    return put_file(dir_fd, file, bytes, n, true);
}

int spool_replace_file_later(int dir_fd, const char *file, const void *bytes, size_t n)
{
    return put_file(dir_fd, file, bytes, n, false);
}

/* A name in bad/ for @file: its own, or for the @n-th time one that is not taken. */
static int quarantine_name(const char *file, unsigned n, char out[static NAME_MAX + 1])
{
    struct spool_name name;
    if (n && spool_name_parse(file, &name) == 0) {
        name.attempts = (uint8_t)((name.attempts + n) % 100);
        spool_name_format(&name, out);
        return 0;
    }
    char number[16] = "";
    if (n)
        snprintf(number, sizeof number, "~%u", n);
    int len = snprintf(out, NAME_MAX + 1, "%s%s", file, number);
    return len < 0 || len > NAME_MAX ? -ENAMETOOLONG : 0;
}

int spool_why_name(const char *file, char out[static NAME_MAX + 1])
{
    const char *dot = strrchr(file, '.');
    bool suffix =
        dot && (!strcmp(dot, KNELL_SPOOL_SUFFIX) || !strcmp(dot, KNELL_SEGMENT_SUFFIX));
    int stem = suffix ? (int)(dot - file) : (int)strlen(file);
    int len = snprintf(out, NAME_MAX + 1, "%.*s%s", stem, file, KNELL_WHY_SUFFIX);
    return len < 0 || len > NAME_MAX ? -ENAMETOOLONG : 0;
}

int spool_quarantine(
    const struct spool *s, enum spool_state from, const char *file, const char *why)
{
    enum { TRIES = 100 };
    char line[512], as[NAME_MAX + 1], beside[NAME_MAX + 1];
    int bad = s->state_fd[SPOOL_BAD];
    size_t n = 0;
    for (; why[n] && n < sizeof line - 1; n++) {
        unsigned char c = (unsigned char)why[n];
        line[n] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
    }
    line[n++] = '\n';
    int r = -EEXIST;
    for (unsigned i = 0; r == -EEXIST && i < TRIES; i++) {
        struct stat st;
        r = quarantine_name(file, i, as);
        if (!r)
            r = spool_why_name(as, beside);
        if (!r && fstatat(bad, as, &st, AT_SYMLINK_NOFOLLOW) == 0)
            r = -EEXIST;
    }
    if (r < 0)
        return r;
    /* The reason first: a report in bad/ always has one. A disk too full for it must not
     * keep a poisonous report in the queue, though. */
    int told = spool_replace_file(bad, beside, line, n);
    r = spool_move_file(s, from, file, SPOOL_BAD, as);
    return r < 0 ? r : told;
}
