#include "uploader/spool/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

static const char *const state_names[SPOOL_N_STATES] = {
    [SPOOL_LIVE] = KNELL_SPOOL_LIVE,
    [SPOOL_NEW] = KNELL_SPOOL_NEW,
    [SPOOL_WORK] = KNELL_SPOOL_WORK,
    [SPOOL_WAIT] = KNELL_SPOOL_WAIT,
    [SPOOL_HOLD] = KNELL_SPOOL_HOLD,
    [SPOOL_SENT] = KNELL_SPOOL_SENT,
    [SPOOL_BAD] = KNELL_SPOOL_BAD,
};

const char *spool_state_name(enum spool_state state)
{
    return state_names[state];
}

int spool_state_parse(const char *text)
{
    for (int i = 0; i < SPOOL_N_STATES; i++) {
        if (!strcmp(text, state_names[i]))
            return i;
    }
    return -EINVAL;
}

int spool_make_path(const char *path)
{
    CLEANUP(free_p) char *copy = strdup(path);
    if (!copy)
        return -ENOMEM;
    for (char *p = copy + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = 0;
        /* What is between / and the spool is everybody's: the umask decides. */
        if (mkdir(copy, 0755) < 0 && errno != EEXIST)
            return -errno;
        *p = '/';
    }
    return mkdir(copy, KNELL_SPOOL_DIR_MODE) < 0 && errno != EEXIST ? -errno : 0;
}

int spool_make_folder(int dir_fd, const char *name)
{
    struct stat st;
    if (mkdirat(dir_fd, name, KNELL_SPOOL_DIR_MODE) < 0)
        return errno == EEXIST ? 0 : -errno;
    if (geteuid() != 0 || fstat(dir_fd, &st) < 0 || st.st_uid == 0)
        return 0;
    CLEANUP(close_p)
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    IGNORE(fchown(fd, st.st_uid, st.st_gid), "shut in we may not: it is root's then");
    return 0;
}

static int open_state(struct spool *s, int state, bool create, dev_t device)
{
    const char *name = state_names[state];
    int r = create ? spool_make_folder(s->fd, name) : 0;
    if (r < 0)
        return r;
    int fd = openat(s->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return !create && errno == ENOENT ? 0 : -errno;
    s->state_fd[state] = fd;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_dev != device)
        return -EXDEV;
    return 0;
}

static int check_folder(const struct stat *st)
{
    /* The group may share a spool by the administrator's wish; the world may not. */
    if (st->st_mode & S_IWOTH)
        return -EPERM;
    if (st->st_uid != geteuid() && st->st_uid != 0 && geteuid() != 0)
        return -EPERM;
    return 0;
}

int spool_open(const char *path, bool create, struct spool **ret)
{
    if (create) {
        int r = spool_make_path(path);
        if (r < 0)
            return r;
    }
    struct spool *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    for (int i = 0; i < SPOOL_N_STATES; i++)
        s->state_fd[i] = -1;
    s->lock_fd = -1;
    s->path = strdup(path);
    s->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = !s->path ? -ENOMEM : s->fd < 0 ? -errno : 0;
    struct stat st;
    if (!r && fstat(s->fd, &st) < 0)
        r = -errno;
    if (!r)
        r = check_folder(&st);
    for (int i = 0; !r && i < SPOOL_N_STATES; i++)
        r = open_state(s, i, create, st.st_dev);
    if (r < 0) {
        spool_close(s);
        return r;
    }
    s->owner = st.st_uid;
    *ret = s;
    return 0;
}

void spool_close(struct spool *s)
{
    if (!s)
        return;
    spool_unlock(s);
    for (int i = 0; i < SPOOL_N_STATES; i++)
        close_p(&s->state_fd[i]);
    close_p(&s->fd);
    free(s->path);
    free(s);
}

int spool_lock(struct spool *s)
{
    enum { TRIES = 5, STEP_US = 1000 }; /* who only asks is done by then */
    CLEANUP(close_p) int fd = spool_keep_file(s->fd, KNELL_SPOOL_LOCK, O_RDWR);
    if (fd < 0)
        return fd;
    int r = flock(fd, LOCK_EX | LOCK_NB);
    for (int i = 1; r < 0 && errno == EWOULDBLOCK && i < TRIES; i++) {
        (void)usleep(STEP_US);
        r = flock(fd, LOCK_EX | LOCK_NB);
    }
    if (r < 0)
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
    s->lock_fd = take_fd(&fd);
    return 0;
}

bool spool_is_locked(const struct spool *s)
{
    CLEANUP(close_p)
    int fd =
        openat(s->fd, KNELL_SPOOL_LOCK, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

void spool_unlock(struct spool *s)
{
    close_p(&s->lock_fd);
    s->lock_fd = -1;
}

static void close_dir_p(DIR **d)
{
    if (*d)
        closedir(*d);
}

int spool_each(const struct spool *s, enum spool_state state,
    int (*visit)(void *ctx, const char *file, const struct spool_name *name), void *ctx)
{
    if (s->state_fd[state] < 0)
        return 0;
    /* A descriptor of its own: a duplicate would share the read position. */
    int fd = openat(s->state_fd[state], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    CLEANUP(close_dir_p) DIR *d = fdopendir(fd);
    if (!d) {
        int err = -errno;
        close_p(&fd);
        return err;
    }
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(d);
        if (!e)
            return -errno;
        if (e->d_name[0] == '.')
            continue;
        struct spool_name name;
        bool ours = spool_name_parse(e->d_name, &name) == 0;
        int r = visit(ctx, e->d_name, ours ? &name : NULL);
        if (r)
            return r;
    }
}

static int add_name(void *ctx, const char *file, const struct spool_name *name)
{
    (void)file;
    struct spool_list *l = ctx;
    if (!name || name->segment)
        return 0;
    if (l->n == l->capacity) {
        size_t more = l->capacity ? l->capacity + l->capacity / 2 : 64;
        struct spool_name *p = reallocarray(l->names, more, sizeof *p);
        if (!p)
            return -ENOMEM;
        l->names = p;
        l->capacity = more;
    }
    l->names[l->n++] = *name;
    return 0;
}

int spool_list_add(const struct spool *s, enum spool_state state, struct spool_list *list)
{
    return spool_each(s, state, add_name, list);
}

static int older_first(const void *a, const void *b)
{
    const struct spool_name *x = a, *y = b;
    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? -1 : 1;
    return memcmp(x->event_id, y->event_id, sizeof x->event_id);
}

void spool_list_sort(struct spool_list *list)
{
    if (list->n)
        qsort(list->names, list->n, sizeof *list->names, older_first);
}

void spool_list_done(struct spool_list *list)
{
    free(list->names);
    *list = (struct spool_list){0};
}

static int is_event(void *ctx, const char *file, const struct spool_name *name)
{
    (void)file;
    return name && !name->segment && !memcmp(name->event_id, ctx, sizeof name->event_id);
}

int spool_has_event(
    const struct spool *s, const uint8_t event_id[static SPOOL_EVENT_ID_BYTES])
{
    uint8_t id[SPOOL_EVENT_ID_BYTES];
    memcpy(id, event_id, sizeof id);
    int r = 0;
    for (int state = SPOOL_NEW; !r && state < SPOOL_N_STATES; state++)
        r = spool_each(s, (enum spool_state)state, is_event, id);
    return r;
}

int spool_move_file(const struct spool *s, enum spool_state from, const char *file,
    enum spool_state to, const char *as)
{
    int a = s->state_fd[from], b = s->state_fd[to];
    if (renameat2(a, file, b, as, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    /* Some filesystems know no flags. Nobody else makes names under the lock. */
    struct stat st;
    if (fstatat(b, as, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return -EEXIST;
    return renameat(a, file, b, as) < 0 ? -errno : 0;
}

int spool_move(const struct spool *s, enum spool_state from,
    const struct spool_name *name, enum spool_state to, const struct spool_name *as)
{
    char a[KNELL_SPOOL_NAME_BYTES + 1], b[KNELL_SPOOL_NAME_BYTES + 1];
    spool_name_format(name, a);
    spool_name_format(as ? as : name, b);
    return spool_move_file(s, from, a, to, b);
}

int spool_sync(const struct spool *s, enum spool_state state)
{
    return fsync(s->state_fd[state]) < 0 ? -errno : 0;
}
