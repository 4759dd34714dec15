#include "crash/handler/maps.h"

#include "crash/handler/digits.h"
#include "crash/handler/minidump.h"
#include "crash/handler/proc.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "crash/handler/poison.h"

enum {
    LINE_BYTES = 512 /* longer ones lose the end of their path */
};

/* One line, as far as it matters here. */
struct line {
    uint64_t start, end;
    uint32_t flags;
    const char *path;
    size_t n_path;
};

static void skip_field(const char **p, const char *end)
{
    while (*p < end && **p != ' ')
        (*p)++;
    while (*p < end && **p == ' ')
        (*p)++;
}

static void parse(const char *p, const char *end, struct line *l)
{
    *l = (struct line){0};
    l->start = kn_number(&p, end, 16);
    p += p < end;
    l->end = kn_number(&p, end, 16);
    p += p < end;
    for (; p < end && *p != ' '; p++) {
        l->flags |= *p == 'r' ? KN_MAP_READ : 0u;
        l->flags |= *p == 'w' ? KN_MAP_WRITE : 0u;
        l->flags |= *p == 'x' ? KN_MAP_EXEC : 0u;
    }
    skip_field(&p, end); /* to the offset */
    skip_field(&p, end); /* to the device */
    skip_field(&p, end); /* to the inode */
    skip_field(&p, end); /* to the path */
    l->path = p;
    l->n_path = (size_t)(end - p);
    static const char deleted[] = " (deleted)";
    size_t n = sizeof deleted - 1;
    if (l->n_path > n && !memcmp(end - n, deleted, n))
        l->n_path -= n;
}

static bool is_known(const struct kn_capture *c, uint64_t address)
{
    const struct kn_modules *m = &c->process->modules;
    for (uint32_t i = 0; i < m->n; i++) {
        if (c->stale[i / 8] & 1u << i % 8)
            continue;
        if (address - m->all[i].base < m->all[i].size)
            return true;
    }
    return false;
}

/* A file's first mapping opens a candidate; it is a module when code of it follows. */
struct candidate {
    bool open, has_code;
};

static void close_candidate(struct kn_capture *c, struct candidate *k)
{
    if (k->open && k->has_code) {
        if (c->n_late + 1 < KN_MAX_LATE_MODULES)
            c->n_late++;
        else
            c->n_late_dropped++;
    }
    *k = (struct candidate){0};
}

static void look_for_module(
    struct kn_capture *c, const struct line *l, struct candidate *k)
{
    struct kn_module *m = &c->late[c->n_late];
    char *path = c->late_paths[c->n_late];
    size_t n = sizeof c->late_paths[0] - 1;
    n = l->n_path < n ? l->n_path : n;
    if (!k->open || !n || memcmp(path, l->path, n) != 0 || path[n]) {
        close_candidate(c, k);
        if (!n || l->path[0] != '/' || is_known(c, l->start))
            return;
        m = &c->late[c->n_late];
        path = c->late_paths[c->n_late];
        *m = (struct kn_module){.base = l->start, .path = path};
        memcpy(path, l->path, n);
        path[n] = 0;
        k->open = true;
    }
    m->size = l->end - m->base;
    k->has_code |= (l->flags & KN_MAP_EXEC) != 0;
}

static void take_line(
    struct kn_capture *c, const char *p, const char *end, struct candidate *k)
{
    struct line l;
    parse(p, end, &l);
    if (c->n_maps < KN_MAX_MAPS)
        c->maps[c->n_maps++] = (struct kn_map){l.start, l.end | l.flags};
    else
        c->n_maps_dropped++;
    look_for_module(c, &l, k);
}

void kn_maps_read(struct kn_capture *c)
{
    int fd = kn_proc_open(c, "maps", 0);
    if (fd < 0) {
        kn_note(c, fd, 0);
        return;
    }
    char *text = (char *)c->scratch, line[LINE_BYTES];
    size_t n_line = 0;
    struct candidate k = {0};
    c->lacks_maps = true; /* until the end was seen */
    kn_sink_align(&c->sink, 4);
    uint32_t at = kn_sink_at(&c->sink);
    for (;;) {
        long n = KN_SYS3(SYS_read, fd, text, sizeof c->scratch);
        if (n == -EINTR)
            continue;
        if (n <= 0)
            break;
        kn_sink_put(&c->sink, text, (size_t)n);
        for (long i = 0; i < n; i++) {
            if (text[i] == '\n') {
                take_line(c, line, line + n_line, &k);
                n_line = 0;
            } else if (n_line < sizeof line) {
                line[n_line++] = text[i];
            }
        }
    }
    kn_close(fd);
    c->lacks_maps = c->n_maps_dropped != 0;
    close_candidate(c, &k);
    kn_stream(c, KNELL_STREAM_LINUX_MAPS, at, kn_sink_at(&c->sink) - at);
    if (c->n_maps_dropped)
        kn_note(c, 0, c->n_maps_dropped);
    if (c->n_late_dropped)
        kn_note(c, 0, c->n_late_dropped);
}

bool kn_maps_tell(const struct kn_capture *c, uint64_t address)
{
    return c->n_maps && (!c->lacks_maps || address < kn_map_end(&c->maps[c->n_maps - 1]));
}

const struct kn_map *kn_maps_find(const struct kn_capture *c, uint64_t address)
{
    uint32_t low = 0, high = c->n_maps;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (kn_map_end(&c->maps[middle]) <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < c->n_maps && c->maps[low].start <= address)
        return &c->maps[low];
    return NULL;
}

const struct kn_map *kn_maps_above(
    const struct kn_capture *c, uint64_t address, uint64_t within)
{
    for (uint32_t i = 0; i < c->n_maps; i++) {
        const struct kn_map *m = &c->maps[i];
        if (kn_map_end(m) <= address || !(m->end_flags & KN_MAP_READ))
            continue;
        if (m->start > address && m->start - address > within)
            return NULL;
        return m;
    }
    return NULL;
}
