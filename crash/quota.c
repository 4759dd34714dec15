#include "crash/quota.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <knell/spool.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_LOOK = 4096, KEEP_FIRST = 3, MAX_SLACK = 64 * 1024 };

const struct kn_quota kn_quota_default = {.max_reports = 1000, .max_bytes = 256u << 20};

struct report {
    char name[KNELL_SPOOL_NAME_BYTES + 1];
    uint64_t n_bytes;
    bool gone;
};

struct heap {
    struct report *reports; /* sorted by signature, then time */
    uint32_t n, n_left;
    uint64_t n_bytes;
    int dir;
    const char *suffix;
};

/* Names are as long as a report's, or begin with a dot. */
static bool counts(const struct heap *h, const char *name)
{
    size_t n = strlen(name), k = h->suffix ? strlen(h->suffix) : 0;
    return name[0] != '.' && n == KNELL_SPOOL_NAME_BYTES &&
           (!k || !strcmp(name + n - k, h->suffix));
}

static const char *signature_of(const struct report *r)
{
    return r->name + KNELL_SPOOL_TIME_DIGITS + 1;
}

static int by_signature_and_time(const void *a, const void *b)
{
    const struct report *x = a, *y = b;
    int r = strncmp(signature_of(x), signature_of(y), KNELL_SPOOL_SIGNATURE_DIGITS);
    return r ? r : strcmp(x->name, y->name); /* the name begins with the time */
}

static bool same_signature(const struct report *a, const struct report *b)
{
    return !strncmp(signature_of(a), signature_of(b), KNELL_SPOOL_SIGNATURE_DIGITS);
}

/* A dying process does not wait for the file system to take back what it reserved. */
static void give_back(int dir, const char *name, struct stat *st)
{
    struct stat now;
    int fd = openat(dir, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    if (!fstat(fd, &now) && now.st_ino == st->st_ino && now.st_size == st->st_size &&
        !ftruncate(fd, now.st_size) && !fstat(fd, &now))
        *st = now;
    (void)close(fd);
}

static int read_folder(struct heap *h, DIR *d)
{
    for (const struct dirent *e; h->n < MAX_LOOK && (e = readdir(d));) {
        struct stat st;
        if (!counts(h, e->d_name) ||
            fstatat(h->dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
            continue;
        if ((h->n & (h->n - 1)) == 0) { /* room doubles at each power of two */
            struct report *more =
                realloc(h->reports, (h->n ? 2 * (size_t)h->n : 1) * sizeof *more);
            if (!more)
                return -ENOMEM;
            h->reports = more;
        }
        struct report *r = &h->reports[h->n++];
        memcpy(r->name, e->d_name, sizeof r->name);
        if ((uint64_t)st.st_blocks * 512 > (uint64_t)st.st_size + MAX_SLACK)
            give_back(h->dir, e->d_name, &st);
        r->n_bytes = (uint64_t)st.st_blocks * 512;
        r->gone = false;
        h->n_bytes += r->n_bytes;
    }
    h->n_left = h->n;
    return 0;
}

static bool fits(const struct heap *h, const struct kn_quota *q)
{
    return h->n_left <= q->max_reports && h->n_bytes <= q->max_bytes;
}

static bool drop(struct heap *h, struct report *r)
{
    if (unlinkat(h->dir, r->name, 0))
        return false;
    r->gone = true;
    h->n_left--;
    h->n_bytes -= r->n_bytes;
    return true;
}

/* One round: of each group larger than @keep + 1, the first that may go. Larger groups
 * lose more rounds, so all end equally small. Returns whether any went. */
static bool thin(struct heap *h, const struct kn_quota *q, uint32_t keep, uint32_t above)
{
    bool any = false;
    for (uint32_t i = 0, end; i < h->n && !fits(h, q); i = end) {
        uint32_t left = 0, nth = 0;
        for (end = i; end < h->n && same_signature(&h->reports[i], &h->reports[end]);
             end++)
            left += !h->reports[end].gone;
        if (left <= above)
            continue;
        for (uint32_t k = i; k + 1 < end; k++) {
            if (h->reports[k].gone || nth++ < keep)
                continue;
            any |= drop(h, &h->reports[k]);
            break;
        }
    }
    return any;
}

static uint32_t largest_group(const struct heap *h)
{
    uint32_t most = 0, left = 0;
    for (uint32_t i = 0; i < h->n; i++) {
        if (i && !same_signature(&h->reports[i - 1], &h->reports[i]))
            left = 0;
        left += !h->reports[i].gone;
        most = left > most ? left : most;
    }
    return most;
}

static void drop_oldest(struct heap *h, const struct kn_quota *q)
{
    while (!fits(h, q)) {
        struct report *oldest = NULL;
        for (uint32_t i = 0; i < h->n; i++) {
            struct report *r = &h->reports[i];
            if (!r->gone && (!oldest || strcmp(r->name, oldest->name) < 0))
                oldest = r;
        }
        if (!oldest || !drop(h, oldest))
            return;
    }
}

static void keep(struct heap *h, const struct kn_quota *q)
{
    qsort(h->reports, h->n, sizeof *h->reports, by_signature_and_time);
    /* Level by level, so that the largest group pays first. */
    for (uint32_t level = largest_group(h); level > KEEP_FIRST + 1 && !fits(h, q);
         level--)
        (void)thin(h, q, KEEP_FIRST, level - 1);
    for (uint32_t level = largest_group(h); level > 1 && !fits(h, q); level--)
        (void)thin(h, q, 0, level - 1);
    drop_oldest(h, q);
}

int kn_quota_keep(int fresh, const struct kn_quota *quota)
{
    struct heap h = {.dir = openat(fresh, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
        .suffix = quota->suffix};
    DIR *d = h.dir < 0 ? NULL : fdopendir(h.dir);
    if (!d) {
        int err = -errno;
        if (h.dir >= 0)
            (void)close(h.dir);
        return err;
    }
    int r = read_folder(&h, d);
    if (!r && h.n && !fits(&h, quota))
        keep(&h, quota);
    if (!r)
        r = (int)(h.n - h.n_left);
    (void)closedir(d);
    free(h.reports);
    return r;
}
