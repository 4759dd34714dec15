#include "uploader/inspect/unadopted.h"

#include "uploader/report/obituary.h"
#include "uploader/spool/adopt.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <knell/journal.h>
#include <knell/minidump.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

struct count {
    const struct spool *spool;
    unsigned n;
};

/* Whether the file is a dead process's: no such process, and no lock, which a process of
 * another container would hold. */
static int open_dead(const struct count *c, const char *file,
    const struct spool_live_name *live, uint64_t max_bytes)
{
    CLEANUP(close_p) int fd = -1;
    if (adopt_is_alive(live, "/proc") ||
        spool_open_file(c->spool, SPOOL_LIVE, file, max_bytes, &fd, NULL) ||
        flock(fd, LOCK_SH | LOCK_NB) < 0)
        return -1;
    return take_fd(&fd);
}

static bool says_something(int journal_fd, bool with_dump)
{
    struct knell_journal_head h;
    if (pread(journal_fd, &h, sizeof h, 0) != sizeof h || h.magic != KNELL_JOURNAL_MAGIC)
        return false;
    bool crashed = h.state == KNELL_RUN_CRASHING || h.state == KNELL_RUN_DUMPED;
    /* With a signal's number it was reported, and a handler of the program's own ended
     * it. */
    return (h.state == KNELL_RUN_RUNNING && h.crash_signo <= 0) || (crashed && with_dump);
}

static bool has_file(const struct count *c, struct spool_live_name live, bool journal)
{
    char file[SPOOL_LIVE_NAME_BYTES + 1];
    struct stat st;
    live.journal = journal;
    spool_live_name_format(&live, file);
    return fstatat(c->spool->state_fd[SPOOL_LIVE], file, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int look(void *ctx, const char *file, const struct spool_name *name)
{
    struct count *c = ctx;
    struct spool_live_name live;
    struct spool_name as = {0};
    (void)name;
    if (spool_live_name_parse(file, &live) || live.segment)
        return 0;
    CLEANUP(close_p)
    int fd = open_dead(
        c, file, &live, live.journal ? KNELL_JOURNAL_MAX_BYTES : KNELL_MAX_REPORT_BYTES);
    if (fd < 0)
        return 0;
    if (live.journal)
        c->n += says_something(fd, has_file(c, live, false));
    else if (!has_file(c, live, true)) /* else its journal was or will be counted */
        c->n += adopt_name_of_dump(fd, 0, &as) == 0;
    return 0;
}

unsigned unadopted_count(const struct spool *s)
{
    struct count c = {.spool = s};
    if (s->state_fd[SPOOL_LIVE] >= 0)
        IGNORE(spool_each(s, SPOOL_LIVE, look, &c), "what was counted is told");
    return c.n;
}

void unadopted_tell(FILE *f, unsigned n)
{
    if (n)
        (void)fprintf(f,
            "%u process%s died and left a report that is not taken in yet: `knell "
            "verify --repair` does that.\n",
            n, n == 1 ? "" : "es");
}

struct taken {
    int err;
    unsigned n;
};

static struct taken take_in(struct spool *s)
{
    struct adopt_result a = {0};
    int err = adopt_all(s, obituary_write, NULL, "/proc", &a);
    return (struct taken){err ? err : a.err, a.n_dumps + a.n_obituaries};
}

/* What is read there is the owner's, and hostile: not as root. */
static _Noreturn void take_in_as_owner(struct spool *s, int answer)
{
    struct stat st;
    struct taken t = {.err = -EPERM};
    if (fstat(s->fd, &st) == 0 && setgroups(0, NULL) == 0 &&
        setresgid(st.st_gid, st.st_gid, st.st_gid) == 0 &&
        setresuid(s->owner, s->owner, s->owner) == 0 && setuid(0) < 0)
        t = take_in(s);
    _exit(write(answer, &t, sizeof t) != sizeof t);
}

int unadopted_take_in(struct spool *s, unsigned *ret_taken)
{
    struct taken t = {.err = -ECHILD};
    int ends[2], status;
    if (geteuid() != 0 || s->owner == 0) {
        t = take_in(s);
        *ret_taken = t.n;
        return t.err;
    }
    *ret_taken = 0;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    pid_t pid = fork();
    if (!pid)
        take_in_as_owner(s, ends[1]);
    (void)close(ends[1]);
    if (pid > 0 && read(ends[0], &t, sizeof t) != sizeof t)
        t = (struct taken){.err = -ECHILD};
    (void)close(ends[0]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    *ret_taken = t.n;
    return t.err;
}
