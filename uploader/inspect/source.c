#include "uploader/inspect/source.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_LINE = 1000, MAX_FILE_BYTES = 16 << 20 };

/* Only a regular file is read: names come from debug information that nobody vouches
 * for. */
static FILE *open_file(const char *path, uint64_t report_time_ms, bool *ret_changed)
{
    CLEANUP(close_p) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        st.st_size > MAX_FILE_BYTES)
        return NULL;
    if ((uint64_t)st.st_mtim.tv_sec > report_time_ms / 1000 + 1) {
        *ret_changed = true;
        return NULL;
    }
    FILE *f = fdopen(fd, "re");
    if (f)
        fd = -1;
    return f;
}

static FILE *find(
    const struct crash_frame *f, const char *sysroot, uint64_t time_ms, bool *ret_changed)
{
    CLEANUP(free_p) char *path = NULL;
    const char *root = sysroot ? sysroot : "";
    int n;
    if (f->file[0] == '/')
        n = asprintf(&path, "%s%s", root, f->file);
    else if (f->directory && f->directory[0] == '/')
        n = asprintf(&path, "%s%s/%s", root, f->directory, f->file);
    else
        return NULL;
    if (n < 0) {
        path = NULL;
        return NULL;
    }
    return open_file(path, time_ms, ret_changed);
}

/* What the symbolizer already read. */
static bool take_context(const struct crash_frame *f, struct source *x)
{
    if (!f->context || !f->n_context || f->n_before >= f->n_context ||
        f->n_context > SOURCE_MAX_LINES)
        return false;
    x->n_before = f->n_before;
    x->first_line = f->line - f->n_before;
    for (; x->n < f->n_context; x->n++) {
        x->at[x->n] = x->text.n;
        safe_raw(&x->text, f->context[x->n], strlen(f->context[x->n]) + 1);
    }
    return true;
}

void source_read(const struct crash_frame *f, const char *sysroot,
    uint64_t report_time_ms, struct source *ret)
{
    *ret = (struct source){0};
    if (!f->file || !f->line || take_context(f, ret))
        return;
    FILE *in = find(f, sysroot, report_time_ms, &ret->changed);
    if (!in)
        return;
    uint32_t first = f->line > SOURCE_AROUND ? f->line - SOURCE_AROUND : 1, line = 1;
    char buffer[MAX_LINE];
    ret->first_line = first;
    ret->n_before = f->line - first;
    while (line <= f->line + SOURCE_AROUND && fgets(buffer, sizeof buffer, in)) {
        size_t n = strcspn(buffer, "\r\n");
        bool whole = buffer[n] != 0 || feof(in);
        buffer[n] = 0;
        if (line >= first && ret->n < SOURCE_MAX_LINES &&
            (ret->n == 0 || line == first + ret->n)) {
            ret->at[ret->n++] = ret->text.n;
            safe_raw(&ret->text, buffer, n + 1);
        }
        line += whole;
    }
    (void)fclose(in);
    /* A file that ends before the line is another one. */
    if (ret->n <= ret->n_before || ret->text.failed)
        source_done(ret);
}

void source_done(struct source *x)
{
    safe_done(&x->text);
    x->n = 0;
}
