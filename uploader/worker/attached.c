#include "uploader/worker/attached.h"

#include "uploader/event/build.h"

#include <errno.h>
#include <fcntl.h>
#include <knell/journal.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
    ALL_FILES_BYTES = 8 << 20, /* of one report */
    MAX_HALF_LINE = 4096,      /* left out at the start of what was cut */
};

void attached_done(struct attached *a)
{
    for (size_t i = 0; i < a->n; i++)
        free(a->all[i].own);
    for (size_t i = 0; i < a->n_notes; i++)
        free(a->notes[i]);
    *a = (struct attached){.n = 0};
}

static int note(struct attached *a, const char *name, const char *what)
{
    char line[300];
    /* One more than there is room for files says how many more there were. */
    if (a->n_notes + 1 >= sizeof a->notes / sizeof *a->notes)
        return 0;
    (void)snprintf(line, sizeof line, "%s: %s", name, what);
    a->notes[a->n_notes] = strdup(line);
    if (!a->notes[a->n_notes])
        return -ENOMEM;
    a->n_notes++;
    return 0;
}

/* Fit for a header line, and for a file name on the other side. */
static void clean_name(char *out, size_t room, const char *name)
{
    (void)text_copy(out, room, name, strlen(name));
    for (char *p = out; *p; p++) {
        if (*p < 0x20 || *p > 0x7e || strchr("/\\\"", *p))
            *p = '_';
    }
}

/* Their files are answers of the kernel, about the process that asks. */
static bool is_pseudo(int fd)
{
    static const uint32_t kinds[] = {PROC_SUPER_MAGIC, SYSFS_MAGIC, DEBUGFS_MAGIC,
        TRACEFS_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, SECURITYFS_MAGIC,
        BPF_FS_MAGIC, EFIVARFS_MAGIC, SELINUX_MAGIC, PSTOREFS_MAGIC};
    struct statfs fs;
    if (fstatfs(fd, &fs))
        return true;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if ((uint32_t)fs.f_type == kinds[i])
            return true;
    }
    return false;
}

static const char *open_plain(const char *path, int *ret_fd, uint64_t *ret_bytes)
{
    struct stat st;
    if (*path != '/')
        return "not an absolute path";
    if (fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW))
        return strerrordesc_np(errno);
    /* Looked at first, because opening a device can be an act. */
    if (S_ISLNK(st.st_mode))
        return "a symbolic link";
    if (!S_ISREG(st.st_mode))
        return "not a regular file";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return strerrordesc_np(errno);
    const char *why = NULL;
    if (fstat(fd, &st))
        why = strerrordesc_np(errno);
    else if (!S_ISREG(st.st_mode) || is_pseudo(fd))
        why = "not a regular file";
    if (why) {
        (void)close(fd);
        return why;
    }
    *ret_fd = fd;
    *ret_bytes = st.st_size > 0 ? (uint64_t)st.st_size : 0;
    return NULL;
}

/* The last @want bytes of a file that may be growing or shrinking. */
static const char *read_end(int fd, uint64_t size, struct attached_one *ret, size_t want)
{
    off_t at = (off_t)(size - want);
    while (ret->n < want) {
        ssize_t k = pread(fd, ret->own + ret->n, want - ret->n, at + (off_t)ret->n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return strerrordesc_np(errno);
        if (!k)
            break;
        ret->n += (size_t)k;
    }
    ret->bytes = ret->own;
    return NULL;
}

/* Where text was cut it begins with a whole line. */
static void skip_half_line(struct attached_one *one)
{
    size_t n = one->n < MAX_HALF_LINE ? one->n : MAX_HALF_LINE;
    const uint8_t *eol = memchr(one->bytes, '\n', n);
    if (!eol || eol + 1 == one->bytes + one->n)
        return;
    one->n -= (size_t)(eol + 1 - one->bytes);
    one->bytes = eol + 1;
}

static int add_file(
    struct attached *a, const char *path, uint64_t max_bytes, uint64_t *left)
{
    struct attached_one *one = &a->all[a->n];
    uint64_t size = 0;
    CLEANUP(close_p) int fd = -1;
    const char *why = open_plain(path, &fd, &size);
    if (why)
        return note(a, one->name, why);
    uint64_t want = size < max_bytes ? size : max_bytes;
    want = want < *left ? want : *left;
    if (!want)
        return note(a, one->name, size ? "no room left" : "empty");
    one->own = malloc(want);
    if (!one->own)
        return -ENOMEM;
    why = read_end(fd, size, one, want);
    if (why || !one->n) {
        free(one->own);
        one->own = NULL;
        one->n = 0;
        return note(a, one->name, why ? why : "empty");
    }
    *left -= one->n;
    a->n++;
    if (want == size)
        return 0;
    char what[96];
    skip_half_line(one);
    (void)snprintf(what, sizeof what, "cut to the last %zu of %llu bytes", one->n,
        (unsigned long long)size);
    return note(a, one->name, what);
}

int attached_gather(const struct crash *c, uint64_t max_bytes, struct attached *ret)
{
    uint64_t left = ALL_FILES_BYTES;
    uint32_t n_more = 0;
    int err = 0;
    for (uint32_t i = 0; !err && c->said && i < c->said->n_facts; i++) {
        const struct journal_fact *f = &c->said->facts[i];
        bool file = f->type == KNELL_ENTRY_FILE && f->value.type == KNELL_VALUE_TEXT;
        bool bytes = f->type == KNELL_ENTRY_BYTES && f->value.n;
        if (!bytes && !(file && max_bytes))
            continue;
        if (ret->n == ATTACHED_MAX) {
            n_more++;
            continue;
        }
        struct attached_one *one = &ret->all[ret->n];
        *one = (struct attached_one){.n = 0};
        clean_name(one->name, sizeof one->name, f->key);
        if (file) {
            err = add_file(ret, f->value.text, max_bytes, &left);
        } else {
            one->bytes = (const uint8_t *)f->value.text;
            one->n = f->value.n;
            ret->n++;
        }
    }
    if (!err && n_more) {
        char what[32];
        (void)snprintf(what, sizeof what, "left out, %u of them", n_more);
        err = note(ret, "more attachments", what);
    }
    return err;
}

int attached_add(const struct attached *a, struct envelope *e)
{
    int err = 0;
    for (size_t i = 0; !err && i < a->n; i++) {
        const struct attached_one *one = &a->all[i];
        bool text = !memchr(one->bytes, 0, one->n);
        struct envelope_item item = {.type = "attachment",
            .content_type = text ? "text/plain" : "application/octet-stream",
            .filename = one->name,
            .attachment_type = "event.attachment"};
        err = envelope_add(e, &item, one->bytes, one->n);
    }
    return err;
}
