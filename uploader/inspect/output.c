#include "uploader/inspect/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int output_open(struct session *s, struct output *ret)
{
    const char *path = s->options.output;
    *ret = (struct output){.fd = -1};
    if (!path || strcmp(path, "-") == 0) {
        if (isatty(STDOUT_FILENO) == 1) {
            session_complain(s, "this is no text for a terminal; use -o FILE or a pipe");
            return -EINVAL;
        }
        ret->fd = STDOUT_FILENO;
        return 0;
    }
    ret->path = path;
    struct stat st;
    /* Devices, pipes and links are written to as they are. */
    if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        ret->fd = open(path, O_WRONLY | O_CLOEXEC | O_TRUNC);
    } else if (asprintf(&ret->temporary, "%s.XXXXXX", path) < 0) {
        ret->temporary = NULL;
        errno = ENOMEM;
    } else {
        ret->fd = mkostemp(ret->temporary, O_CLOEXEC); /* 0600: a report is private */
    }
    if (ret->fd >= 0)
        return 0;
    int err = -errno;
    free(ret->temporary);
    ret->temporary = NULL;
    session_complain(s, "cannot write %s: %s", path, strerrordesc_np(-err));
    return err;
}

int output_write(struct output *o, const void *bytes, size_t n)
{
    for (const char *p = bytes; n;) {
        ssize_t k = write(o->fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return -errno;
        p += k;
        n -= (size_t)k;
        o->n_bytes += (uint64_t)k;
    }
    return 0;
}

void output_json(const struct session *s, uint64_t n_bytes, size_t n_reports)
{
    const char *path = s->options.output;
    if (!s->options.json || !path || strcmp(path, "-") == 0)
        return;
    struct json j = session_json(s);
    json_text(&j, "file", path);
    json_uint(&j, "bytes", n_bytes);
    if (n_reports)
        json_uint(&j, "reports", n_reports);
    json_end_object(&j);
}

int output_close(struct session *s, struct output *o, int err)
{
    if (o->path && close(o->fd) < 0 && !err)
        err = -errno;
    if (o->temporary && !err && rename(o->temporary, o->path) < 0)
        err = -errno;
    if (o->temporary && err)
        IGNORE(unlink(o->temporary), "it may never have been made");
    if (err && err != -EPIPE)
        session_complain(s, "cannot write %s: %s", o->path ? o->path : "standard output",
            strerrordesc_np(-err));
    free(o->temporary);
    *o = (struct output){.fd = -1};
    return err == -EPIPE ? 0 : err;
}

void output_drop(struct output *o)
{
    if (o->path)
        close_p(&o->fd);
    if (o->temporary)
        IGNORE(unlink(o->temporary), "nothing was written");
    free(o->temporary);
    *o = (struct output){.fd = -1};
}
