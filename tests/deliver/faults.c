/*
 * Preloaded into knell-upload: makes the file system fail now and then, as told by
 *
 *     FAULT_CALL   write, fsync, rename, open, read, mkdir, unlink, clock; full: all that
 *                  take room
 *     FAULT_ERRNO  number; 0: a short write, or for clock: seconds to add
 *     FAULT_FIRST  which call is the first to fail (1: the first one)
 *     FAULT_COUNT  how many in a row fail
 *
 * Only calls about the spool count: descriptors and names are not looked at, but calls
 * before the program opened FAULT_AFTER (a path) are left alone.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int armed;
static long seen;

static long number(const char *name)
{
    const char *v = getenv(name);
    return v ? atol(v) : 0;
}

/* Whether this call is to fail; sets errno. */
static int fails(const char *call)
{
    const char *want = getenv("FAULT_CALL");
    if (!armed || !want || strcmp(want, call) != 0)
        return 0;
    long n = __atomic_add_fetch(&seen, 1, __ATOMIC_RELAXED);
    long first = number("FAULT_FIRST"), count = number("FAULT_COUNT");
    if (n < first || n >= first + count)
        return 0;
    errno = (int)number("FAULT_ERRNO");
    return 1;
}

static void *next(const char *name)
{
    void *p = dlsym(RTLD_NEXT, name);
    if (!p)
        abort();
    return p;
}

static void look_at(const char *path)
{
    const char *after = getenv("FAULT_AFTER");
    if (after && path && !strcmp(path, after))
        armed = 1;
}

int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = (mode_t)va_arg(args, int);
    va_end(args);
    look_at(path);
    if (fails("open"))
        return -1;
    return ((int (*)(const char *, int, mode_t))next("open"))(path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = (mode_t)va_arg(args, int);
    va_end(args);
    if (fails("open"))
        return -1;
    return ((int (*)(int, const char *, int, mode_t))next("openat"))(
        dir, path, flags, mode);
}

ssize_t write(int fd, const void *p, size_t n)
{
    if (fd > 2 && (fails("write") || fails("full"))) {
        if (errno)
            return -1;
        n = n > 1 ? n / 2 : n; /* a short write */
    }
    return ((ssize_t(*)(int, const void *, size_t))next("write"))(fd, p, n);
}

int posix_fallocate(int fd, off_t at, off_t n)
{
    return fails("full")
               ? errno
               : ((int (*)(int, off_t, off_t))next("posix_fallocate"))(fd, at, n);
}

ssize_t pread(int fd, void *p, size_t n, off_t at)
{
    if (fails("read")) {
        if (errno)
            return -1;
        n = n > 1 ? n / 2 : n;
    }
    return ((ssize_t(*)(int, void *, size_t, off_t))next("pread"))(fd, p, n, at);
}

int fsync(int fd)
{
    return fails("fsync") ? -1 : ((int (*)(int))next("fsync"))(fd);
}

int renameat(int a, const char *from, int b, const char *to)
{
    if (fails("rename"))
        return -1;
    return ((int (*)(int, const char *, int, const char *))next("renameat"))(
        a, from, b, to);
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
    if (fails("rename"))
        return -1;
    return ((int (*)(int, const char *, int, const char *, unsigned))next("renameat2"))(
        a, from, b, to, flags);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
    if (fails("mkdir"))
        return -1;
    return ((int (*)(int, const char *, mode_t))next("mkdirat"))(dir, path, mode);
}

int unlinkat(int dir, const char *path, int flags)
{
    if (fails("unlink"))
        return -1;
    return ((int (*)(int, const char *, int))next("unlinkat"))(dir, path, flags);
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    int r = ((int (*)(clockid_t, struct timespec *))next("clock_gettime"))(id, t);
    const char *want = getenv("FAULT_CALL");
    if (!r && id == CLOCK_REALTIME && want && !strcmp(want, "clock"))
        t->tv_sec += number("FAULT_ERRNO");
    return r;
}
