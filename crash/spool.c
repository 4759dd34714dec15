#include "crash/spool.h"

#include "crash/debug.h"
#include "crash/identity.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <knell/journal.h>
#include <knell/spool.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HIGH_FD = 512 };

struct kn_file kn_file_of(int fd)
{
    struct kn_file f = {.fd = fd};
    struct stat st;
    if (fd < 0)
        return KN_FILE_NONE;
    if (fstat(fd, &st)) {
        int err = errno;
        (void)close(fd);
        errno = err;
        return KN_FILE_NONE;
    }
    f.device = st.st_dev;
    f.inode = st.st_ino;
    return f;
}

void kn_file_close(struct kn_file *f)
{
    if (kn_file_ours(f))
        (void)close(f->fd);
    *f = KN_FILE_NONE;
}

int kn_fd_high(int fd)
{
    struct rlimit limit;
    if (fd < 0 || getrlimit(RLIMIT_NOFILE, &limit))
        return fd;
    rlim_t from = HIGH_FD;
    if (limit.rlim_cur < 2 * HIGH_FD)
        from = limit.rlim_cur / 2;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, (int)from);
    if (high < 0)
        return fd;
    (void)close(fd);
    return high;
}

/* mkdir -p. Only the last folder is private: parents may be shared by several daemons. */
static int make_folders(const char *path)
{
    char part[KN_PATH_BYTES];
    kn_copy_text(part, sizeof part, path);
    for (size_t n = strlen(part); n > 1 && part[n - 1] == '/';)
        part[--n] = 0;
    for (char *p = part + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = 0;
        if (mkdir(part, 0755) && errno != EEXIST && errno != EROFS && errno != EACCES)
            return -errno;
        *p = '/';
    }
    if (mkdir(part, KNELL_SPOOL_DIR_MODE) && errno != EEXIST)
        return -errno;
    return 0;
}

static int open_folder(int at, const char *name)
{
    int fd = openat(at, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : kn_fd_high(fd);
}

static int make_and_open(int at, const char *name, struct kn_file *ret)
{
    if (mkdirat(at, name, KNELL_SPOOL_DIR_MODE) && errno != EEXIST)
        return -errno;
    if (!ret)
        return 0;
    int fd = open_folder(at, name);
    if (fd < 0)
        return fd;
    *ret = kn_file_of(fd);
    return ret->fd < 0 ? -errno : 0;
}

/* Whoever may write into the spool may plant or remove reports. */
static int check_owner(int dir)
{
    struct stat st;
    if (fstat(dir, &st))
        return -errno;
    if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & S_IWOTH))
        return -EPERM;
    return 0;
}

static int open_spool(const char *path, struct kn_spool *ret)
{
    static const char *const others[] = {KNELL_SPOOL_WORK, KNELL_SPOOL_WAIT,
        KNELL_SPOOL_HOLD, KNELL_SPOOL_SENT, KNELL_SPOOL_BAD};
    struct kn_spool s = KN_SPOOL_NONE;
    int r = make_folders(path);
    if (r)
        return r;
    int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -errno;
    s.dir = kn_file_of(kn_fd_high(dir));
    r = s.dir.fd < 0 ? -errno : check_owner(s.dir.fd);
    if (!r)
        r = make_and_open(s.dir.fd, KNELL_SPOOL_LIVE, &s.live);
    if (!r)
        r = make_and_open(s.dir.fd, KNELL_SPOOL_NEW, &s.fresh);
    for (size_t i = 0; !r && i < sizeof others / sizeof *others; i++)
        r = make_and_open(s.dir.fd, others[i], NULL);
    if (!r && faccessat(s.live.fd, ".", W_OK, AT_EACCESS))
        r = -errno;
    /* The handler may have to open it again, wherever the daemon is by then. */
    char full[PATH_MAX];
    if (!r && !realpath(path, full))
        r = -errno;
    if (!r && strlen(full) >= sizeof s.path)
        r = -ENAMETOOLONG;
    if (r) {
        kn_spool_done(&s);
        return r;
    }
    kn_copy_text(s.path, sizeof s.path, full);
    *ret = s;
    return 0;
}

int kn_spool_init(const struct kn_settings *settings, struct kn_spool *ret)
{
    if (settings->spool_dir[0])
        return open_spool(settings->spool_dir, ret);
    char path[KN_PATH_BYTES + 64];
    (void)snprintf(path, sizeof path, "%s/%s", KNELL_SPOOL_SYSTEM_ROOT, settings->app);
    int r = open_spool(path, ret);
    if (!r)
        return 0;
    kn_debug("spool %s: %s; trying the user's own", path, strerrordesc_np(-r));
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n;
    if (state && state[0] == '/')
        n = snprintf(path, sizeof path, "%s/knell/%s", state, settings->app);
    else if (home && home[0] == '/')
        n = snprintf(path, sizeof path, "%s/.local/state/knell/%s", home, settings->app);
    else
        return r;
    return n < KN_PATH_BYTES ? open_spool(path, ret) : -ENAMETOOLONG;
}

void kn_spool_done(struct kn_spool *s)
{
    kn_file_close(&s->dir);
    kn_file_close(&s->live);
    kn_file_close(&s->fresh);
}

/* A name in one of the folders: through its descriptor, else by its path. */
struct place {
    int dir;
    char name[KN_PATH_BYTES + KN_STEM_BYTES + 64];
};

static void place(struct place *ret, const struct kn_spool *s,
    const struct kn_file *folder, const char *folder_name, const char *name,
    const char *suffix)
{
    bool is_open = kn_file_ours(folder);
    ret->dir = is_open ? folder->fd : AT_FDCWD;
    (void)snprintf(ret->name, sizeof ret->name, "%s%s%s%s%s%s", is_open ? "" : s->path,
        is_open ? "" : "/", is_open ? "" : folder_name, is_open ? "" : "/", name, suffix);
}

/* Over no other file, where the file system can say so. */
static int rename_to(const struct place *from, const struct place *to)
{
    int r = renameat2(from->dir, from->name, to->dir, to->name, RENAME_NOREPLACE);
    return r && errno == EINVAL ? renameat(from->dir, from->name, to->dir, to->name) : r;
}

int kn_spool_create_live(
    const struct kn_spool *s, const char *stem, const char *suffix, int *ret_fd)
{
    char hidden[KN_STEM_BYTES + 1];
    struct place at, made;
    (void)snprintf(hidden, sizeof hidden, ".%s", stem);
    place(&at, s, &s->live, KNELL_SPOOL_LIVE, stem, suffix);
    place(&made, s, &s->live, KNELL_SPOOL_LIVE, hidden, ".tmp");
    int fd = openat(made.dir, made.name,
        O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, KNELL_SPOOL_FILE_MODE);
    if (fd < 0)
        return -errno;
    /* Locked before it has its name: who finds it without would take us for dead. */
    if (flock(fd, LOCK_EX | LOCK_NB) || rename_to(&made, &at)) {
        int r = -errno;
        (void)close(fd);
        (void)unlinkat(made.dir, made.name, 0);
        return r;
    }
    *ret_fd = kn_fd_high(fd);
    return 0;
}

int kn_spool_publish(
    const struct kn_spool *s, const char *stem, const char *suffix, const char *name)
{
    struct place from, to;
    place(&from, s, &s->live, KNELL_SPOOL_LIVE, stem, suffix);
    place(&to, s, &s->fresh, KNELL_SPOOL_NEW, name, suffix);
    return renameat(from.dir, from.name, to.dir, to.name) ? -errno : 0;
}

int kn_spool_allocate(int fd, uint32_t n_bytes)
{
    struct rlimit limit;
    if (!getrlimit(RLIMIT_FSIZE, &limit) && limit.rlim_cur < n_bytes)
        return -EFBIG;
    return -posix_fallocate(fd, 0, n_bytes);
}

void kn_spool_remove_live(const struct kn_spool *s, const char *stem, const char *suffix)
{
    struct place at;
    place(&at, s, &s->live, KNELL_SPOOL_LIVE, stem, suffix);
    (void)unlinkat(at.dir, at.name, 0);
}

/* BOOT-PID-START-...: its process lives when boot id, PID and start agree. */
static bool lives(const char *name, const char *own_stem)
{
    char *end;
    if (strncmp(name, own_stem, 9) != 0)
        return false;
    uint32_t pid = (uint32_t)strtoul(name + 9, &end, 10);
    if (*end != '-')
        return false;
    if (kill((pid_t)pid, 0) && errno == ESRCH)
        return false;
    uint64_t start = strtoull(end + 1, NULL, 10), now = kn_start_ticks(pid);
    return !start || !now || start == now;
}

static DIR *open_to_read(const struct kn_spool *s, const char *folder)
{
    struct place at;
    place(&at, s, &s->dir, ".", folder, "");
    int fd = openat(at.dir, at.name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir && fd >= 0)
        (void)close(fd);
    return dir;
}

uint32_t kn_spool_count(const struct kn_spool *s, const char *folder, const char *suffix)
{
    size_t n_suffix = strlen(suffix);
    DIR *dir = open_to_read(s, folder);
    uint32_t n = 0;
    if (!dir)
        return 0;
    for (const struct dirent *e; (e = readdir(dir));) {
        size_t len = strlen(e->d_name);
        n += e->d_name[0] != '.' && len >= n_suffix &&
             !strcmp(e->d_name + len - n_suffix, suffix);
    }
    (void)closedir(dir);
    return n;
}

/* Whether nobody holds the journal and it was left in the midst of an ordinary life. */
static bool is_left(const struct kn_spool *s, const char *journal)
{
    struct knell_journal_head h;
    int fd = openat(s->live.fd, journal, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool left = fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB) &&
                pread(fd, &h, sizeof h, 0) == (ssize_t)sizeof h &&
                h.magic == KNELL_JOURNAL_MAGIC && h.state <= KNELL_RUN_RUNNING;
    if (fd >= 0)
        (void)close(fd);
    return left;
}

void kn_spool_forget_earlier(const struct kn_spool *s, const char *own_stem)
{
    const size_t n_event = KNELL_SPOOL_EVENT_DIGITS, n_stem = strlen(own_stem);
    DIR *dir = open_to_read(s, KNELL_SPOOL_LIVE);
    if (!dir)
        return;
    for (const struct dirent *e; (e = readdir(dir));) {
        char stem[KN_STEM_BYTES];
        if (n_stem >= sizeof stem ||
            strncmp(e->d_name, own_stem, n_stem - n_event) != 0 ||
            strlen(e->d_name) != n_stem + strlen(KNELL_JOURNAL_SUFFIX) ||
            strcmp(e->d_name + n_stem, KNELL_JOURNAL_SUFFIX) != 0 ||
            !is_left(s, e->d_name))
            continue;
        (void)snprintf(stem, sizeof stem, "%.*s", (int)n_stem, e->d_name);
        kn_spool_remove_live(s, stem, KNELL_SPOOL_SUFFIX);
        kn_spool_remove_live(s, stem, KNELL_JOURNAL_SUFFIX);
    }
    (void)closedir(dir);
}

static bool folder_has_work(const struct kn_spool *s, const char *folder, const char *own)
{
    DIR *dir = open_to_read(s, folder);
    if (!dir)
        return false;
    bool found = false;
    struct dirent *e;
    while (!found && (e = readdir(dir))) {
        if (e->d_name[0] == '.')
            continue;
        found =
            !own || (strncmp(e->d_name, own, strlen(own)) != 0 && !lives(e->d_name, own));
    }
    (void)closedir(dir);
    return found;
}

bool kn_spool_has_fresh(const struct kn_spool *s)
{
    return folder_has_work(s, KNELL_SPOOL_NEW, NULL);
}

bool kn_spool_has_work(const struct kn_spool *s, const char *own_stem)
{
    return kn_spool_has_fresh(s) || folder_has_work(s, KNELL_SPOOL_WAIT, NULL) ||
           folder_has_work(s, KNELL_SPOOL_WORK, NULL) ||
           folder_has_work(s, KNELL_SPOOL_LIVE, own_stem);
}
