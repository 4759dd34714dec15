#include "symbolize/source.h"

#include "symbolize/elf_file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_SOURCE_BYTES = 8 << 20,
    MAX_ALL_BYTES = 64 << 20, /* of one batch */
    MAX_LINE_BYTES = 1024,
    MAX_CONTEXT_LINES = 64,
};

struct source_file {
    struct source_file *next;
    const char *path;
    const char *bytes; /* NULL: could not be had */
    size_t n;
};

static int load(const char *path, struct store *out, size_t room, struct source_file *f)
{
    struct elf_file raw = {.fd = -1};
    int err = elf_open_regular(path, &raw.fd, &raw.identity);
    if (err < 0)
        return err == -ENOMEM ? err : 0;
    raw.n_bytes = (uint64_t)raw.identity.st_size;
    if (raw.n_bytes <= MAX_SOURCE_BYTES && raw.n_bytes <= room) {
        char *bytes = store_array(out, (size_t)raw.n_bytes + 1, 1);
        err = bytes ? elf_file_read(&raw, 0, bytes, (size_t)raw.n_bytes) : -ENOMEM;
        if (err == 0) {
            f->bytes = bytes;
            f->n = (size_t)raw.n_bytes;
        }
    }
    elf_file_done(&raw);
    return err == -ENOMEM ? err : 0;
}

static int find(struct sources *s, const char *path, struct source_file **ret)
{
    size_t used = 0;
    for (struct source_file *f = s->files; f; f = f->next) {
        used += f->n;
        if (!strcmp(f->path, path)) {
            *ret = f;
            return 0;
        }
    }
    struct source_file *f = store_array(s->out, 1, sizeof *f);
    char *kept = store_text(s->out, path, strlen(path));
    if (!f || !kept)
        return -ENOMEM;
    f->path = kept;
    f->next = s->files;
    s->files = f;
    *ret = f;
    return load(path, s->out, used < MAX_ALL_BYTES ? MAX_ALL_BYTES - used : 0, f);
}

/* Where line @number begins (from 1), or NULL when the file is shorter. */
static const char *line_at(const struct source_file *f, uint32_t number)
{
    const char *at = f->bytes, *end = f->bytes + f->n;
    for (uint32_t i = 1; at && i < number; i++) {
        at = memchr(at, '\n', (size_t)(end - at));
        at = at ? at + 1 : NULL;
    }
    return at && at < end ? at : NULL;
}

static int take_lines(struct sources *s, const struct source_file *f, uint32_t first,
    uint32_t last, struct knell_symbol_frame *frame)
{
    const char **lines = store_array(s->out, last - first + 1, sizeof *lines);
    const char *at = line_at(f, first), *end = f->bytes + f->n;
    uint32_t n = 0;
    if (!lines)
        return -ENOMEM;
    for (uint32_t i = first; i <= last && at && at < end; i++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((stop ? stop : end) - at);
        len -= len && at[len - 1] == '\r';
        lines[n] = store_text(s->out, at, len < MAX_LINE_BYTES ? len : MAX_LINE_BYTES);
        if (!lines[n++])
            return -ENOMEM;
        at = stop ? stop + 1 : NULL;
    }
    if (n <= frame->line - first)
        return 0; /* the file ends before the line: it is another version */
    frame->context = lines;
    frame->n_context = n;
    frame->n_before = frame->line - first;
    return 0;
}

int source_context(struct sources *s, struct knell_symbol_frame *frame)
{
    char path[PATH_MAX];
    struct source_file *f;
    if (!s->n_lines || !frame->file || !frame->line)
        return 0;
    bool absolute = *frame->file == '/';
    const char *dir = absolute || !frame->directory ? "" : frame->directory;
    if (!absolute && *dir != '/')
        return 0; /* relative to a folder nobody knows */
    int n = snprintf(path, sizeof path, "%s%s%s%s", s->sysroot ? s->sysroot : "", dir,
        *dir ? "/" : "", frame->file);
    if (n < 0 || n >= (int)sizeof path)
        return 0;
    int err = find(s, path, &f);
    if (err < 0 || !f->bytes)
        return err;
    uint32_t around = s->n_lines < MAX_CONTEXT_LINES ? s->n_lines : MAX_CONTEXT_LINES;
    uint32_t first = frame->line > around ? frame->line - around : 1;
    return take_lines(s, f, first, frame->line + around, frame);
}
