#include "uploader/spool/marks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MARKS_FOLDER "done"
enum { MARK_NAME_BYTES = 32 + 1 + 16 };

static int compare(const void *a, const void *b)
{
    const struct mark *x = a, *y = b;
    int r = memcmp(x->event_id, y->event_id, sizeof x->event_id);
    if (r)
        return r;
    return x->destination == y->destination  ? 0
           : x->destination < y->destination ? -1
                                             : 1;
}

static void name_of(const uint8_t event_id[static SPOOL_EVENT_ID_BYTES],
    uint64_t destination, char out[static MARK_NAME_BYTES + 1])
{
    char id[33];
    spool_event_id_format(event_id, id);
    snprintf(out, MARK_NAME_BYTES + 1, "%s-%016" PRIx64, id, destination);
}

static bool parse(const char *name, struct mark *ret)
{
    char again[MARK_NAME_BYTES + 1];
    if (strlen(name) != MARK_NAME_BYTES ||
        spool_event_id_parse(name, ret->event_id) < 0 ||
        sscanf(name + 33, "%16" SCNx64, &ret->destination) != 1)
        return false;
    name_of(ret->event_id, ret->destination, again);
    return !strcmp(again, name);
}

static int read_folder(struct marks *m)
{
    int fd = openat(m->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    int r = 0;
    if (!d) {
        r = -errno;
        close_p(&fd);
        return r;
    }
    for (const struct dirent *e; !r && (e = readdir(d));) {
        struct mark mark = {.queued = false};
        if (!parse(e->d_name, &mark))
            continue;
        if ((m->n & (m->n - 1)) == 0) { /* room doubles at each power of two */
            struct mark *p = reallocarray(m->all, m->n ? 2 * m->n : 1, sizeof *p);
            if (!p) {
                r = -ENOMEM;
                break;
            }
            m->all = p;
        }
        m->all[m->n++] = mark;
    }
    closedir(d);
    if (m->n)
        qsort(m->all, m->n, sizeof *m->all, compare);
    return r;
}

static int open_folder(const struct spool *s)
{
    int fd = openat(s->fd, MARKS_FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int marks_load(const struct spool *s, struct marks *ret)
{
    struct marks m = {.fd = open_folder(s)};
    if (m.fd == -ENOENT) {
        *ret = (struct marks){.fd = -1};
        return 0;
    }
    if (m.fd < 0)
        return m.fd;
    int r = read_folder(&m);
    if (r < 0)
        marks_done(&m);
    else
        *ret = m;
    return r;
}

void marks_done(struct marks *m)
{
    close_p(&m->fd);
    free(m->all);
    *m = (struct marks){.fd = -1};
}

bool marks_has(const struct marks *m, const uint8_t event_id[static SPOOL_EVENT_ID_BYTES],
    uint64_t destination)
{
    struct mark key = {.destination = destination};
    memcpy(key.event_id, event_id, sizeof key.event_id);
    return m->n && bsearch(&key, m->all, m->n, sizeof key, compare);
}

bool marks_rejected(const struct marks *m,
    const uint8_t event_id[static SPOOL_EVENT_ID_BYTES], uint64_t destination)
{
    char name[MARK_NAME_BYTES + 1];
    struct stat st;
    name_of(event_id, destination, name);
    return fstatat(m->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > 0;
}

int marks_add(const struct spool *s, struct marks *m,
    const uint8_t event_id[static SPOOL_EVENT_ID_BYTES], uint64_t destination,
    bool rejected)
{
    char name[MARK_NAME_BYTES + 1];
    if (m->fd < 0) {
        int r = spool_make_folder(s->fd, MARKS_FOLDER);
        if (r < 0)
            return r;
        int fd = open_folder(s);
        if (fd < 0)
            return fd;
        m->fd = fd;
    }
    name_of(event_id, destination, name);
    CLEANUP(close_p)
    int fd = spool_keep_file(m->fd, name, O_WRONLY);
    if (fd < 0)
        return fd;
    if (rejected)
        IGNORE(write(fd, "rejected\n", 9) < 0 || fsync(fd) < 0,
            "no room: it counts as taken");
    return fsync(m->fd) < 0 ? -errno : 0;
}

static void forget(struct marks *m, const uint8_t event_id[static SPOOL_EVENT_ID_BYTES],
    uint64_t destination)
{
    char name[MARK_NAME_BYTES + 1];
    if (m->fd < 0)
        return;
    name_of(event_id, destination, name);
    IGNORE(unlinkat(m->fd, name, 0), "a mark too many is harmless");
}

static size_t find_first(
    const struct marks *m, const uint8_t event_id[static SPOOL_EVENT_ID_BYTES])
{
    size_t low = 0, high = m->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (memcmp(m->all[mid].event_id, event_id, SPOOL_EVENT_ID_BYTES) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static int is_queued(void *ctx, const char *file, const struct spool_name *name)
{
    struct marks *m = ctx;
    (void)file;
    for (size_t i = name ? find_first(m, name->event_id) : m->n;
         i < m->n && !memcmp(m->all[i].event_id, name->event_id, sizeof name->event_id);
         i++)
        m->all[i].queued = true;
    return 0;
}

int marks_sweep(const struct spool *s, struct marks *m)
{
    static const enum spool_state queued[] = {
        SPOOL_NEW, SPOOL_WORK, SPOOL_WAIT, SPOOL_HOLD};
    int r = 0;
    for (size_t i = 0; m->n && !r && i < sizeof queued / sizeof *queued; i++)
        r = spool_each(s, queued[i], is_queued, m);
    for (size_t i = 0; !r && i < m->n; i++) {
        if (!m->all[i].queued)
            forget(m, m->all[i].event_id, m->all[i].destination);
    }
    return r;
}
