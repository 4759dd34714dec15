#include "uploader/spool/tend.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

enum { KEEP_SHARE = 20 };

struct file_list {
    const struct spool *spool;
    enum spool_state state;
    struct limits_file *files;
    size_t n, capacity;
};

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);
    return n > k && !strcmp(text + n - k, end);
}

/* What is quarantined may be called anything; its reason goes with it. */
static bool counts(
    enum spool_state state, const char *file, const struct spool_name *name)
{
    return name || (state == SPOOL_BAD && !ends_with(file, KNELL_WHY_SUFFIX));
}

static int add_file(void *ctx, const char *file, const struct spool_name *name)
{
    struct file_list *l = ctx;
    struct stat st;
    if (!counts(l->state, file, name))
        return 0;
    if (fstatat(l->spool->state_fd[l->state], file, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (l->n == l->capacity) {
        size_t more = l->capacity ? l->capacity + l->capacity / 2 : 64;
        struct limits_file *p = reallocarray(l->files, more, sizeof *p);
        if (!p)
            return -ENOMEM;
        l->files = p;
        l->capacity = more;
    }
    /* A rename changes the inode's time. */
    uint64_t settled_ms = (uint64_t)st.st_ctim.tv_sec * 1000;
    char *other = name ? NULL : strdup(file);
    if (!name && !other)
        return -ENOMEM;
    /* Allocated bytes: a sparse file takes little. */
    l->files[l->n++] = (struct limits_file){
        .name = name ? *name : (struct spool_name){.time_ms = settled_ms},
        .state = (uint8_t)l->state,
        .n_bytes = (uint64_t)st.st_blocks * 512,
        .settled_ms = settled_ms,
        .file = other};
    return 0;
}

static void free_files(struct file_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->files[i].file);
    free(l->files);
}

static int list_files(const struct spool *s, struct file_list *l)
{
    static const enum spool_state states[] = {
        SPOOL_NEW, SPOOL_WORK, SPOOL_WAIT, SPOOL_HOLD, SPOOL_SENT, SPOOL_BAD};
    int r = 0;
    l->spool = s;
    for (size_t i = 0; !r && i < sizeof states / sizeof *states; i++) {
        l->state = states[i];
        r = spool_each(s, states[i], add_file, l);
    }
    return r;
}

static void remove_why(const struct spool *s, const char *file)
{
    char why[NAME_MAX + 1];
    if (!spool_why_name(file, why))
        IGNORE(unlinkat(s->state_fd[SPOOL_BAD], why, 0), "there may be none");
}

static int remove_file(const struct spool *s, const struct limits_file *f)
{
    char own[KNELL_SPOOL_NAME_BYTES + 1];
    const char *file = f->file ? f->file : own;
    spool_name_format(&f->name, own);
    int r = unlinkat(s->state_fd[f->state], file, 0) < 0 ? -errno : 0;
    if (!r && f->state == SPOOL_BAD)
        remove_why(s, file);
    return r;
}

int tend_evict(const struct spool *s, const struct limits *limits, uint64_t now_ms,
    void (*gone)(void *ctx, const struct limits_file *file), void *ctx,
    struct tend_evicted *ret)
{
    struct file_list l = {0};
    struct tend_evicted e = {0};
    int r = list_files(s, &l);
    if (!r && limits_choose(l.files, l.n, limits, now_ms) < 0)
        r = -ENOMEM;
    for (size_t i = 0; !r && i < l.n; i++) {
        const struct limits_file *f = &l.files[i];
        if (f->reason == LIMITS_KEEP || remove_file(s, f) < 0)
            continue;
        e.n_expired += f->reason == LIMITS_EXPIRED;
        e.n_overflow += f->reason == LIMITS_OVERFLOW;
        if (gone && f->state != SPOOL_SENT && f->state != SPOOL_BAD)
            gone(ctx, f);
    }
    free_files(&l);
    if (!r)
        *ret = e;
    return r;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void tend_shortage(const struct spool *s, uint64_t keep_bytes, uint64_t keep_files,
    uint64_t *ret_bytes, uint64_t *ret_files)
{
    struct statvfs v;
    *ret_bytes = *ret_files = 0;
    if (fstatvfs(s->fd, &v) < 0)
        return;
    uint64_t bytes = (uint64_t)v.f_bavail * v.f_frsize, files = v.f_favail;
    uint64_t all_bytes = (uint64_t)v.f_blocks * v.f_frsize;
    /* Of a small filesystem that much may not be there to be free. Those without a fixed
     * number of inodes say 0. */
    keep_bytes = least(keep_bytes, all_bytes / KEEP_SHARE);
    keep_files = least(keep_files, v.f_files / KEEP_SHARE);
    *ret_bytes = bytes < keep_bytes ? keep_bytes - bytes : 0;
    *ret_files = files < keep_files ? keep_files - files : 0;
}

bool tend_is_orphan(const struct spool *s, const char *file)
{
    static const char *const suffixes[] = {"", KNELL_SPOOL_SUFFIX, KNELL_SEGMENT_SUFFIX};
    if (!ends_with(file, KNELL_WHY_SUFFIX))
        return false;
    int stem = (int)(strlen(file) - strlen(KNELL_WHY_SUFFIX));
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        char name[NAME_MAX + 8];
        struct stat st;
        int n = snprintf(name, sizeof name, "%.*s%s", stem, file, suffixes[i]);
        if (n < 0 || (size_t)n >= sizeof name ||
            fstatat(s->state_fd[SPOOL_BAD], name, &st, AT_SYMLINK_NOFOLLOW) == 0 ||
            errno != ENOENT)
            return false;
    }
    return true;
}

bool tend_lacks_reason(const struct spool *s, const char *file)
{
    char why[NAME_MAX + 1];
    struct stat st;
    return !ends_with(file, KNELL_WHY_SUFFIX) && !spool_why_name(file, why) &&
           fstatat(s->state_fd[SPOOL_BAD], why, &st, AT_SYMLINK_NOFOLLOW) < 0 &&
           errno == ENOENT;
}

int tend_add_reason(const struct spool *s, const char *file)
{
    static const char reason[] = "no reason was kept\n";
    char why[NAME_MAX + 1];
    int r = spool_why_name(file, why);
    return r < 0 ? r
                 : spool_replace_file(
                       s->state_fd[SPOOL_BAD], why, reason, sizeof reason - 1);
}

static int sweep(void *ctx, const char *file, const struct spool_name *name)
{
    const struct spool *s = ctx;
    (void)name;
    if (tend_is_orphan(s, file))
        IGNORE(unlinkat(s->state_fd[SPOOL_BAD], file, 0), "the next time");
    else if (tend_lacks_reason(s, file))
        IGNORE(tend_add_reason(s, file), "the next time");
    return 0;
}

static bool is_old_temporary(int dir_fd, const char *file)
{
    enum { OLD_S = 3600 };
    struct stat st;
    return file[0] == '.' && ends_with(file, ".tmp") &&
           fstatat(dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           st.st_mtime < time(NULL) - OLD_S;
}

static DIR *open_folder(int dir_fd, const char *name)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d)
        close_p(&fd);
    return d;
}

/* @below  how many levels of folders to go down; only the symbol store has one */
static int clean_folder(int dir_fd, const char *name, int below)
{
    DIR *d = open_folder(dir_fd, name);
    if (!d)
        return -errno;
    for (const struct dirent *e; (e = readdir(d));) {
        if (is_old_temporary(dirfd(d), e->d_name))
            IGNORE(unlinkat(dirfd(d), e->d_name, 0), "the next time");
        else if (below && e->d_name[0] != '.' && e->d_type == DT_DIR)
            IGNORE(clean_folder(dirfd(d), e->d_name, below - 1), "the next time");
    }
    closedir(d);
    return 0;
}

int tend_clean(const struct spool *s)
{
    int r = clean_folder(s->fd, ".", 0);
    for (int i = 0; !r && i < SPOOL_N_STATES; i++)
        r = s->state_fd[i] < 0 ? 0 : clean_folder(s->state_fd[i], ".", 0);
    if (!r)
        r = spool_each(s, SPOOL_BAD, sweep, (void *)(uintptr_t)s);
    if (!r)
        IGNORE(clean_folder(s->fd, SPOOL_SYMBOLS, 1), "few spools have one");
    return r;
}
