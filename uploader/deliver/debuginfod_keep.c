/* debuginfod_tidy(): the folder of fetched files, kept within its bounds. */
#include "uploader/deliver/debuginfod.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Notes are believed for a day at most; a fetch takes minutes. */
enum { KEPT = 4096, NOTES_S = 2 * 86400, HALF_DONE_S = 3600 };

struct kept {
    char name[WISH_HEX_BYTES];
    int64_t used_s;
    uint64_t n_bytes;
};

static int by_use(const void *a, const void *b)
{
    const struct kept *x = a, *y = b;
    return x->used_s < y->used_s ? -1 : x->used_s > y->used_s;
}

static bool ends(const char *name, const char *with)
{
    size_t n = strlen(name), k = strlen(with);
    return n >= k && !strcmp(name + n - k, with);
}

static int64_t kept_for_s(const char *name)
{
    if (ends(name, "note"))
        return NOTES_S;
    return ends(name, "new") || ends(name, ".part") || ends(name, ".tmp") ? HALF_DONE_S
                                                                          : INT64_MAX;
}

/* Look into the folder of one build-id: true when a file to keep is there. */
static bool look_inside(int fd, int64_t now_s, struct kept *ret)
{
    int copy = dup(fd);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    bool found = false;
    for (struct dirent *e; d && (e = readdir(d));) {
        struct stat st;
        if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
            continue;
        if (now_s > st.st_mtim.tv_sec &&
            now_s - st.st_mtim.tv_sec > kept_for_s(e->d_name))
            (void)unlinkat(fd, e->d_name, 0);
        if (strcmp(e->d_name, "debuginfo") != 0 && strcmp(e->d_name, "executable") != 0)
            continue;
        found = true;
        /* Where times of access are not kept the time of its arrival counts. */
        int64_t used_s =
            st.st_atim.tv_sec > st.st_mtim.tv_sec ? st.st_atim.tv_sec : st.st_mtim.tv_sec;
        ret->used_s = used_s > ret->used_s ? used_s : ret->used_s;
        ret->n_bytes += (uint64_t)st.st_blocks * 512;
    }
    if (d)
        (void)closedir(d);
    else if (copy >= 0)
        (void)close(copy);
    return found;
}

static bool look(int dir_fd, const char *name, int64_t now_s, struct kept *ret)
{
    size_t n = strlen(name);
    if (n >= sizeof ret->name || strspn(name, "0123456789abcdef") != n)
        return false;
    CLEANUP(close_p)
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    memcpy(ret->name, name, n + 1);
    if (look_inside(fd, now_s, ret))
        return true;
    (void)unlinkat(dir_fd, name, AT_REMOVEDIR); /* when nothing is in it any more */
    return false;
}

static void remove_kept(int dir_fd, const struct kept *k)
{
    char path[WISH_HEX_BYTES + sizeof "/executable"];
    (void)snprintf(path, sizeof path, "%s/debuginfo", k->name);
    (void)unlinkat(dir_fd, path, 0);
    (void)snprintf(path, sizeof path, "%s/executable", k->name);
    (void)unlinkat(dir_fd, path, 0);
    (void)unlinkat(dir_fd, k->name, AT_REMOVEDIR);
}

void debuginfod_tidy(const char *dir, uint64_t max_bytes, int64_t now_s)
{
    CLEANUP(free_p) struct kept *all = calloc(KEPT, sizeof *all);
    DIR *d = all ? opendir(dir) : NULL;
    size_t n = 0;
    uint64_t n_bytes = 0;
    if (!d)
        return;
    for (struct dirent *e; n < KEPT && (e = readdir(d));) {
        if (e->d_name[0] == '.' || !look(dirfd(d), e->d_name, now_s, &all[n]))
            continue;
        n_bytes += all[n++].n_bytes;
    }
    qsort(all, n, sizeof *all, by_use);
    for (size_t i = 0; i < n && n_bytes > max_bytes; i++) {
        remove_kept(dirfd(d), &all[i]);
        n_bytes -= all[i].n_bytes;
    }
    (void)closedir(d);
}
