#include "uploader/stay.h"

#include <errno.h>
#include <fcntl.h>
#include <knell/spool.h>
#include <limits.h>
#include <poll.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum {
    GATHER_MS = 200, /* what comes together is taken together */
    LEAST_WAIT_MS = 2000,
    RETRY_MAX_MS = 15 * 60 * 1000, /* how much longer for what is to be tried again */
    STAY_MAX_MS = 20 * 60 * 1000,  /* however often it is asked to */
};

struct staying {
    const struct stay *s;
    int events; /* inotify on new/ and live/; -1: none, then only the last look counts */
    int file;   /* flock(2) of the one that stays */
    uint64_t stamp;
    uint64_t until_ms; /* CLOCK_MONOTONIC */
    uint64_t last_ms;  /* until_ms at most */
    uint64_t due_ms;   /* something is to be tried again; 0: nothing */
    bool leave;
    int status;
};

static uint64_t now_ms(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t read_stamp(const struct staying *t)
{
    uint64_t stamp = 0;
    return pread(t->file, &stamp, sizeof stamp, 0) == sizeof stamp ? stamp : 0;
}

/* Whoever stays sees that it has changed. */
static void announce(const struct staying *t)
{
    uint64_t stamp = 0;
    if (getrandom(&stamp, sizeof stamp, 0) != sizeof stamp)
        stamp = now_ms(CLOCK_REALTIME) ^ (uint64_t)getpid() << 48;
    ssize_t n = pwrite(t->file, &stamp, sizeof stamp, 0);
    (void)n; /* on a full disk it was there before, or staying is of little use */
}

static int watch(int fd, const char *spool, const char *folder, uint32_t what)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", spool, folder);
    if (n < 0 || (size_t)n >= sizeof path)
        return -ENAMETOOLONG;
    return inotify_add_watch(fd, path, what | IN_DELETE_SELF | IN_ONLYDIR) < 0 ? -errno
                                                                               : 0;
}

/* A process that was killed moves nothing: the kernel closes its journal. One that ends
 * well has removed it before, and wakes nobody. */
static int open_events(const char *spool)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd >= 0 &&
        (watch(fd, spool, KNELL_SPOOL_NEW, IN_MOVED_TO) ||
            watch(fd, spool, KNELL_SPOOL_LIVE, IN_CLOSE_WRITE | IN_EXCL_UNLINK))) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

static int open_file(const char *spool)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/" KNELL_SPOOL_STAY, spool);
    if (n < 0 || (size_t)n >= sizeof path)
        return -1;
    return open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
        KNELL_SPOOL_FILE_MODE);
}

/* Whether something has come since the last call. Without the folder there is nothing to
 * stay for. */
static bool take_events(struct staying *t)
{
    alignas(struct inotify_event) char bytes[4096];
    bool any = false;
    for (ssize_t n; t->events >= 0 && (n = read(t->events, bytes, sizeof bytes)) > 0;) {
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const void *)(bytes + at);
            t->leave |= (e->mask & IN_IGNORED) != 0;
            at += (ssize_t)(sizeof *e + e->len);
        }
        any = true;
    }
    return any;
}

static void pass(struct staying *t)
{
    struct stay_next next = {.due_s = 0};
    uint64_t in = LEAST_WAIT_MS;
    (void)take_events(t); /* this pass sees what they tell of */
    if (t->leave)
        return;
    t->status = t->s->pass(t->s->ctx, t->s->path, &next);
    t->leave |= next.leave;
    uint64_t wall = now_ms(CLOCK_REALTIME), now = now_ms(CLOCK_MONOTONIC);
    if (next.due_s * 1000 > wall + LEAST_WAIT_MS)
        in = next.due_s * 1000 - wall;
    t->due_ms = next.due_s && now + in <= t->until_ms + RETRY_MAX_MS ? now + in : 0;
}

/* Wait for an event, a signal to stop or @until_ms. The signals are blocked. */
static bool wait_for_events(const struct staying *t, uint64_t until_ms)
{
    sigset_t none;
    struct pollfd p = {.fd = t->events, .events = POLLIN};
    uint64_t now = now_ms(CLOCK_MONOTONIC), left = until_ms > now ? until_ms - now : 0;
    struct timespec most = {
        .tv_sec = (time_t)(left / 1000), .tv_nsec = (long)(left % 1000 * 1000000)};
    (void)sigemptyset(&none);
    return ppoll(&p, 1, &most, &none) > 0;
}

static void stay_here(struct staying *t)
{
    sigset_t stops, before;
    (void)sigemptyset(&stops);
    (void)sigaddset(&stops, SIGTERM);
    (void)sigaddset(&stops, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &stops, &before);
    while (!*t->s->stop && !t->leave) {
        uint64_t now = now_ms(CLOCK_MONOTONIC);
        uint64_t stamp = read_stamp(t);
        if (stamp != t->stamp) {
            t->stamp = stamp;
            t->until_ms = now + t->s->seconds * 1000u;
            t->until_ms = t->until_ms < t->last_ms ? t->until_ms : t->last_ms;
        }
        uint64_t end = t->due_ms > t->until_ms ? t->due_ms : t->until_ms;
        uint64_t next = t->due_ms && t->due_ms < end ? t->due_ms : end;
        bool woken = wait_for_events(t, next);
        now = now_ms(CLOCK_MONOTONIC);
        bool due = t->due_ms && now >= t->due_ms;
        if (!woken && !due && now >= end && read_stamp(t) == t->stamp)
            break;
        if (*t->s->stop || (!woken && !due))
            continue;
        if (woken)
            (void)poll(NULL, 0, GATHER_MS);
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
        pass(t);
        (void)sigprocmask(SIG_BLOCK, &stops, NULL);
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
}

int stay_run(const struct stay *s)
{
    struct staying t = {
        .s = s, .events = open_events(s->path), .file = open_file(s->path)};
    bool busy = false;
    announce(&t);
    t.until_ms = now_ms(CLOCK_MONOTONIC) + s->seconds * 1000u;
    t.last_ms = t.until_ms + STAY_MAX_MS;
    pass(&t);
    if (t.events < 0) /* the pass has made the folders */
        t.events = open_events(s->path);
    /* Who stays already has seen the announcement, or will when it lets go of the lock.
     */
    while (t.file >= 0 && !t.leave && !*s->stop) {
        int r = flock(t.file, LOCK_EX | LOCK_NB);
        busy = r && errno == EWOULDBLOCK;
        if (r)
            break;
        t.stamp = 0; /* what was announced meanwhile counts from now */
        stay_here(&t);
        (void)flock(t.file, LOCK_UN);
        if (read_stamp(&t) == t.stamp || now_ms(CLOCK_MONOTONIC) >= t.last_ms)
            break;
    }
    if (!*s->stop && (t.events < 0 || take_events(&t)) && !t.leave)
        pass(&t);
    close_p(&t.file);
    close_p(&t.events);
    return busy ? s->busy_status : t.status;
}
