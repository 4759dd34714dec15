#include "disk.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PATH_BYTES = 600, MAX_FILES = 256, MAX_VECTORS = 16 };

enum op_kind { MADE, WRITTEN, CUT, RENAMED, REMOVED, FOLDER_MADE, SYNCED, FOLDER_SYNCED };
static const char *const kind_names[] = {"made", "written", "cut", "renamed", "removed",
    "folder made", "synced", "folder synced"};

struct op {
    enum op_kind kind;
    char path[PATH_BYTES], to[PATH_BYTES]; /* below the root */
    ino_t ino;
    off_t at;
    size_t n;
    uint8_t *bytes;
};

struct disk {
    char root[PATH_BYTES], base[PATH_BYTES]; /* a copy of what was there at first */
    struct op ops[DISK_MAX_OPS];
    unsigned n;
};

struct disk *disk_new(const char *root, const char *base)
{
    struct disk *d = calloc(1, sizeof *d);
    char command[3 * PATH_BYTES];
    if (!d)
        abort();
    (void)snprintf(d->root, sizeof d->root, "%s", root);
    (void)snprintf(d->base, sizeof d->base, "%s", base);
    (void)snprintf(command, sizeof command, "cp -a %s/. %s/", root, base);
    if (system(command) != 0)
        abort();
    return d;
}

void disk_free(struct disk *d)
{
    for (unsigned i = 0; i < d->n; i++)
        free(d->ops[i].bytes);
    free(d);
}

unsigned disk_count(const struct disk *d)
{
    return d->n;
}

/* Cuts the root off; false: it lies elsewhere. */
static bool below(const struct disk *d, const char *path, char out[static PATH_BYTES])
{
    size_t n = strlen(d->root);
    if (strncmp(path, d->root, n) != 0 || (path[n] && path[n] != '/'))
        return false;
    (void)snprintf(out, PATH_BYTES, "%s", path + n + (path[n] == '/'));
    return true;
}

static bool path_of_fd(const struct disk *d, const struct trace_call *c, uint64_t fd,
    char out[static PATH_BYTES])
{
    char link[64], full[PATH_BYTES];
    (void)snprintf(link, sizeof link, "/proc/%d/fd/%d", (int)c->tid, (int)fd);
    ssize_t n = readlink(link, full, sizeof full - 1);
    if (n < 0)
        return false;
    full[n] = 0;
    return below(d, full, out);
}

static bool path_at(const struct disk *d, const struct trace_call *c, uint64_t fd,
    uint64_t name, char out[static PATH_BYTES])
{
    char text[PATH_BYTES], folder[PATH_BYTES], full[2 * PATH_BYTES];
    trace_text(c->tid, name, text, sizeof text);
    if (text[0] == '/')
        return below(d, text, out);
    if ((int)fd == AT_FDCWD || !path_of_fd(d, c, fd, folder))
        return false;
    (void)snprintf(full, sizeof full, "%s%s%s", folder, *folder ? "/" : "", text);
    (void)snprintf(out, PATH_BYTES, "%.*s", PATH_BYTES - 1, full);
    return true;
}

static ino_t inode_of(const struct trace_call *c, uint64_t fd)
{
    char link[64];
    struct stat st = {0};
    (void)snprintf(link, sizeof link, "/proc/%d/fd/%d", (int)c->tid, (int)fd);
    return stat(link, &st) < 0 ? 0 : st.st_ino;
}

static struct op *add(struct disk *d, enum op_kind kind)
{
    if (d->n == DISK_MAX_OPS)
        abort();
    struct op *o = &d->ops[d->n++];
    *o = (struct op){.kind = kind};
    return o;
}

/* The bytes of write(2), pwrite(2) or writev(2), as far as they were taken. */
static void take_bytes(struct op *o, const struct trace_call *c)
{
    struct iovec v[MAX_VECTORS] = {{(void *)(uintptr_t)c->args[1], c->args[2]}};
    size_t n_vectors = 1;
    if (c->number == SYS_writev || c->number == SYS_pwritev) {
        n_vectors = c->args[2] < MAX_VECTORS ? c->args[2] : MAX_VECTORS;
        if (trace_read(c->tid, c->args[1], v, n_vectors * sizeof *v) < 0)
            n_vectors = 0;
    }
    o->bytes = calloc(1, (size_t)c->result + 1);
    for (size_t i = 0; o->bytes && i < n_vectors && o->n < (size_t)c->result; i++) {
        size_t n = (size_t)c->result - o->n;
        n = v[i].iov_len < n ? v[i].iov_len : n;
        if (trace_read(c->tid, (uint64_t)v[i].iov_base, o->bytes + o->n, n) < 0)
            return;
        o->n += n;
    }
}

/* Where a write(2) that has returned began. */
static off_t offset_of(const struct trace_call *c)
{
    char path[64], line[64];
    long long at = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", (int)c->tid, (int)c->args[0]);
    FILE *f = fopen(path, "re");
    if (f && fgets(line, sizeof line, f))
        (void)sscanf(line, "pos: %lld", &at);
    if (f)
        (void)fclose(f);
    return (off_t)at - c->result;
}

static void see_write(struct disk *d, const struct trace_call *c)
{
    char path[PATH_BYTES];
    if (c->result <= 0 || !path_of_fd(d, c, c->args[0], path))
        return;
    struct op *o = add(d, WRITTEN);
    memcpy(o->path, path, sizeof path);
    o->ino = inode_of(c, c->args[0]);
    bool placed = c->number == SYS_pwrite64 || c->number == SYS_pwritev;
    o->at = placed ? (off_t)c->args[3] : offset_of(c);
    take_bytes(o, c);
}

static void see_file(struct disk *d, const struct trace_call *c, enum op_kind kind)
{
    char path[PATH_BYTES];
    struct stat st;
    char link[64];
    if (!path_of_fd(d, c, c->args[0], path))
        return;
    (void)snprintf(link, sizeof link, "/proc/%d/fd/%d", (int)c->tid, (int)c->args[0]);
    if (stat(link, &st) < 0)
        return;
    struct op *o = add(d, kind == SYNCED && S_ISDIR(st.st_mode) ? FOLDER_SYNCED : kind);
    memcpy(o->path, path, sizeof path);
    o->ino = st.st_ino;
    o->n = (size_t)st.st_size;
}

static void see_names(struct disk *d, const struct trace_call *c)
{
    char path[PATH_BYTES], to[PATH_BYTES];
    if (c->number == SYS_renameat || c->number == SYS_renameat2) {
        if (path_at(d, c, c->args[0], c->args[1], path) &&
            path_at(d, c, c->args[2], c->args[3], to)) {
            struct op *o = add(d, RENAMED);
            memcpy(o->path, path, sizeof path);
            memcpy(o->to, to, sizeof to);
        }
    } else if (c->number == SYS_unlinkat || c->number == SYS_mkdirat) {
        if (path_at(d, c, c->args[0], c->args[1], path))
            memcpy(add(d, c->number == SYS_mkdirat ? FOLDER_MADE : REMOVED)->path, path,
                sizeof path);
    }
#if defined(SYS_mkdir)
    if (c->number == SYS_mkdir && path_at(d, c, (uint64_t)AT_FDCWD, c->args[0], path))
        memcpy(add(d, FOLDER_MADE)->path, path, sizeof path);
#endif
}

static void see_open(struct disk *d, const struct trace_call *c)
{
    char path[PATH_BYTES];
    if (!(c->args[2] & O_CREAT) || !path_of_fd(d, c, (uint64_t)c->result, path))
        return;
    ino_t ino = inode_of(c, (uint64_t)c->result);
    char base[3 * PATH_BYTES];
    (void)snprintf(base, sizeof base, "%s/%s", d->base, path);
    for (unsigned i = 0; i < d->n; i++) {
        if (d->ops[i].kind == MADE && d->ops[i].ino == ino &&
            !strcmp(d->ops[i].path, path))
            return; /* opened again */
    }
    if (access(base, F_OK) == 0 && !(c->args[2] & O_EXCL))
        return; /* was there */
    struct op *o = add(d, MADE);
    memcpy(o->path, path, sizeof path);
    o->ino = ino;
}

void disk_see(struct disk *d, const struct trace_call *c)
{
    if (!c->after || c->result < 0)
        return;
    switch (c->number) {
    case SYS_openat:
        see_open(d, c);
        break;
    case SYS_write:
    case SYS_pwrite64:
    case SYS_writev:
    case SYS_pwritev:
        see_write(d, c);
        break;
    case SYS_ftruncate:
    case SYS_fallocate:
        see_file(d, c, CUT);
        break;
    case SYS_fsync:
    case SYS_fdatasync:
        see_file(d, c, SYNCED);
        break;
    default:
        see_names(d, c);
        break;
    }
}

/* A file as the replay has it. */
struct file {
    ino_t ino; /* 0: it was there at first */
    char path[PATH_BYTES];
    bool named;
    uint8_t *bytes;
    size_t n;
};

struct replay {
    const struct disk *d;
    const char *to;
    unsigned at;
    enum disk_loss loss;
    unsigned which;
    unsigned n_lost; /* names that were not synced, so far */
    struct file files[MAX_FILES];
    unsigned n_files;
};

/* The folder that a name stands in. */
static size_t folder_bytes(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) : 0;
}

static bool in_folder(const char *path, const char *folder)
{
    return folder_bytes(path) == strlen(folder) && !strncmp(path, folder, strlen(folder));
}

/* Whether the bytes of operation @i were synced before the power failed. */
static bool bytes_are_safe(const struct replay *r, unsigned i)
{
    for (unsigned k = i + 1; k < r->at; k++) {
        if (r->d->ops[k].kind == SYNCED && r->d->ops[k].ino == r->d->ops[i].ino)
            return true;
    }
    return false;
}

/* A name is safe when its folder was synced after it; a rename when both were, for all
 * that a disk may do; a removal may be lost without harm and is safe likewise. */
static bool name_is_safe(const struct replay *r, unsigned i)
{
    const struct op *o = &r->d->ops[i];
    bool from = false, to = o->kind != RENAMED;
    for (unsigned k = i + 1; k < r->at; k++) {
        const struct op *s = &r->d->ops[k];
        if (s->kind != FOLDER_SYNCED)
            continue;
        from |= in_folder(o->path, s->path);
        to |= o->kind == RENAMED && in_folder(o->to, s->path);
        /* One journal holds both ends of a rename. */
        if (o->kind == RENAMED && (from || to))
            return true;
    }
    return from && to;
}

/* Whether operation @i has left a trace. */
static bool is_kept(struct replay *r, unsigned i)
{
    const struct op *o = &r->d->ops[i];
    bool is_name = o->kind == RENAMED || o->kind == REMOVED;
    if (o->kind == WRITTEN || o->kind == CUT)
        return r->loss == DISK_KEEPS_ALL || r->loss == DISK_LOSES_ONE_NAME ||
               r->loss == DISK_HALVES_BYTES || bytes_are_safe(r, i);
    if (!is_name || name_is_safe(r, i))
        return true;
    if (r->loss == DISK_LOSES_NAMES)
        return false;
    return r->loss != DISK_LOSES_ONE_NAME || r->n_lost++ != r->which;
}

static struct file *by_path(struct replay *r, const char *path)
{
    for (unsigned i = 0; i < r->n_files; i++) {
        if (r->files[i].named && !strcmp(r->files[i].path, path))
            return &r->files[i];
    }
    return NULL;
}

static struct file *new_file(struct replay *r, ino_t ino, const char *path)
{
    if (r->n_files == MAX_FILES)
        abort();
    struct file *f = &r->files[r->n_files++];
    *f = (struct file){.ino = ino, .named = true};
    (void)snprintf(f->path, sizeof f->path, "%s", path);
    return f;
}

static void full_path(const char *root, const char *path, char out[static 3 * PATH_BYTES])
{
    (void)snprintf(out, 3 * PATH_BYTES, "%s/%s", root, path);
}

static void resize(struct file *f, size_t n)
{
    uint8_t *p = realloc(f->bytes, n + 1);
    if (!p)
        abort();
    if (n > f->n)
        memset(p + f->n, 0, n - f->n);
    f->bytes = p;
    f->n = n;
}

static void load(struct file *f, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0) {
        resize(f, (size_t)st.st_size);
        if (pread(fd, f->bytes, f->n, 0) != (ssize_t)f->n)
            abort();
    }
    if (fd >= 0)
        close(fd);
}

/* The file that an operation is about, found by its inode or, for one that was there at
 * first, by the name it had then. */
static struct file *file_of(struct replay *r, const struct op *o)
{
    for (unsigned i = 0; o->ino && i < r->n_files; i++) {
        if (r->files[i].ino == o->ino)
            return &r->files[i];
    }
    struct file *f = by_path(r, o->path);
    if (!f) {
        char path[3 * PATH_BYTES];
        full_path(r->to, o->path, path);
        if (access(path, F_OK) < 0)
            return NULL;
        f = new_file(r, o->ino, o->path);
        load(f, path);
    }
    f->ino = o->ino ? o->ino : f->ino;
    return f;
}

static void apply_bytes(struct replay *r, unsigned i)
{
    const struct op *o = &r->d->ops[i];
    struct file *f = file_of(r, o);
    if (!f)
        return;
    if (o->kind == CUT) {
        resize(f, o->n);
        return;
    }
    size_t n = o->n;
    if (r->loss == DISK_HALVES_BYTES && !bytes_are_safe(r, i))
        n /= 2;
    if ((size_t)o->at + n > f->n)
        resize(f, (size_t)o->at + n);
    memcpy(f->bytes + o->at, o->bytes, n);
}

static void apply_name(struct replay *r, const struct op *o)
{
    char a[3 * PATH_BYTES], b[3 * PATH_BYTES];
    full_path(r->to, o->path, a);
    full_path(r->to, o->to, b);
    struct file *f = by_path(r, o->path), *over = by_path(r, o->to);
    if (o->kind == RENAMED) {
        if (over)
            over->named = false;
        if (f)
            (void)snprintf(f->path, sizeof f->path, "%s", o->to);
        (void)rename(a, b);
    } else if (o->kind == REMOVED) {
        if (f)
            f->named = false;
        (void)unlink(a);
    } else if (o->kind == FOLDER_MADE) {
        (void)mkdir(a, 0700);
    } else if (o->kind == MADE) {
        (void)new_file(r, o->ino, o->path);
        int fd = open(a, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd >= 0)
            close(fd);
    }
}

static void write_files(struct replay *r)
{
    for (unsigned i = 0; i < r->n_files; i++) {
        struct file *f = &r->files[i];
        char path[3 * PATH_BYTES];
        full_path(r->to, f->path, path);
        int fd = f->named ? open(path, O_WRONLY | O_TRUNC | O_CLOEXEC) : -1;
        if (fd >= 0) {
            if (f->n && write(fd, f->bytes, f->n) != (ssize_t)f->n)
                abort();
            close(fd);
        }
        free(f->bytes);
    }
}

bool disk_make(const struct disk *d, unsigned at, enum disk_loss loss, unsigned which,
    const char *to)
{
    struct replay *r = calloc(1, sizeof *r);
    char command[4 * PATH_BYTES];
    (void)snprintf(command, sizeof command, "cp -a %s/. %s/", d->base, to);
    if (!r || system(command) != 0)
        abort();
    *r = (struct replay){.d = d, .to = to, .at = at, .loss = loss, .which = which};
    for (unsigned i = 0; i < at; i++) {
        const struct op *o = &d->ops[i];
        if (!is_kept(r, i))
            continue;
        if (o->kind == WRITTEN || o->kind == CUT)
            apply_bytes(r, i);
        else if (o->kind != SYNCED && o->kind != FOLDER_SYNCED)
            apply_name(r, o);
    }
    write_files(r);
    bool exists = loss != DISK_LOSES_ONE_NAME || which < r->n_lost;
    free(r);
    return exists;
}

const char *disk_describe(const struct disk *d, unsigned at)
{
    static char text[2 * PATH_BYTES + 64];
    if (!at)
        return "at first";
    const struct op *o = &d->ops[at - 1];
    (void)snprintf(text, sizeof text, "%s %s%s%s", o->path, kind_names[o->kind],
        *o->to ? " to " : "", o->to);
    return text;
}
