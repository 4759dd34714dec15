/*
 * Preloaded into knell-symbolize: something goes wrong at one call, as told by
 *
 *     FAULT_CALL   pread, write, fsync, rename, create, malloc
 *     FAULT_FIRST  which of these calls (1: the first)
 *     FAULT_HOW    an errno, which the call then fails with; or, before it goes on:
 *                  kill      SIGKILL to itself
 *                  shrink    FAULT_FILE loses all but its first page
 *                  replace   FAULT_OTHER is renamed to FAULT_FILE
 *                  unlink    FAULT_FILE is removed
 *                  scribble  the second half of FAULT_FILE is overwritten in place
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static const char *call, *how, *file, *other;
static long first, seen;

__attribute__((constructor)) static void set_up(void)
{
    const char *text = getenv("FAULT_FIRST");
    call = getenv("FAULT_CALL");
    how = getenv("FAULT_HOW");
    file = getenv("FAULT_FILE");
    other = getenv("FAULT_OTHER");
    first = text ? atol(text) : 0;
}

static void scribble(void)
{
    static const char junk[4096] = "junk";
    struct stat st;
    int fd = open(file, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        _exit(99);
    for (off_t at = st.st_size / 2; at < st.st_size; at += (off_t)sizeof junk) {
        if (pwrite(fd, junk, sizeof junk, at) < 0)
            _exit(99);
    }
    (void)close(fd);
}

/* Whether this call is to fail; sets errno. */
static int fails(const char *name)
{
    if (!call || !how || strcmp(call, name) != 0 ||
        __atomic_add_fetch(&seen, 1, __ATOMIC_RELAXED) != first)
        return 0;
    if (!strcmp(how, "kill"))
        (void)kill(getpid(), SIGKILL);
    else if (!strcmp(how, "shrink"))
        (void)!truncate(file, 4096);
    else if (!strcmp(how, "replace"))
        (void)!rename(other, file);
    else if (!strcmp(how, "unlink"))
        (void)unlink(file);
    else if (!strcmp(how, "scribble"))
        scribble();
    else
        errno = atoi(how);
    return *how >= '0' && *how <= '9';
}

static void *next(const char *name)
{
    void *p = dlsym(RTLD_NEXT, name);
    if (!p)
        _exit(99);
    return p;
}

ssize_t pread(int fd, void *p, size_t n, off_t at)
{
    static ssize_t (*real)(int, void *, size_t, off_t);
    real = real ? real : (ssize_t(*)(int, void *, size_t, off_t))next("pread");
    return fails("pread") ? -1 : real(fd, p, n, at);
}

ssize_t write(int fd, const void *p, size_t n)
{
    static ssize_t (*real)(int, const void *, size_t);
    real = real ? real : (ssize_t(*)(int, const void *, size_t))next("write");
    return fd > 2 && fails("write") ? -1 : real(fd, p, n);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    static ssize_t (*real)(int, const void *, size_t, off_t);
    real = real ? real : (ssize_t(*)(int, const void *, size_t, off_t))next("pwrite");
    return call && !strcmp(call, "write") && fails("write") ? -1 : real(fd, p, n, at);
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

int openat(int dir, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & O_CREAT ? (mode_t)va_arg(args, int) : 0;
    va_end(args);
    if (flags & O_CREAT && fails("create"))
        return -1;
    return ((int (*)(int, const char *, int, mode_t))next("openat"))(
        dir, path, flags, mode);
}

void *malloc(size_t n)
{
    if (!fails("malloc"))
        return __libc_malloc(n);
    errno = ENOMEM;
    return NULL;
}

void *calloc(size_t n, size_t size)
{
    if (!fails("malloc"))
        return __libc_calloc(n, size);
    errno = ENOMEM;
    return NULL;
}

void *realloc(void *p, size_t n)
{
    if (!fails("malloc"))
        return __libc_realloc(p, n);
    errno = ENOMEM;
    return NULL;
}
