#include "uploader/spool/history.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HISTORY_FILE "log"
#define HISTORY_OLD_FILE "log.1"
enum { MAX_LINE = 1024, MAX_LOOK_BACK = 64 << 10 };

/* @fd  of the file, or negative. Returns it, or -1. */
static int check_log(int opened)
{
    CLEANUP(close_p) int fd = opened;
    struct stat st;
    /* A second name would have us write into somebody's file. */
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1)
        return -1;
    return take_fd(&fd);
}

static int open_log(int dir_fd)
{
    return check_log(spool_keep_file(dir_fd, HISTORY_FILE, O_WRONLY | O_APPEND));
}

void history_open(const struct spool *s, struct history *ret)
{
    struct history h = {.dir_fd = s->fd};
    struct stat st;
    h.fd = open_log(s->fd);
    if (h.fd >= 0 && fstat(h.fd, &st) == 0)
        h.n_bytes = (uint64_t)st.st_size;
    *ret = h;
}

void history_close(struct history *h)
{
    close_p(&h->fd);
    h->fd = -1;
}

static void rotate(struct history *h)
{
    if (renameat(h->dir_fd, HISTORY_FILE, h->dir_fd, HISTORY_OLD_FILE) < 0)
        return;
    history_close(h);
    h->fd = open_log(h->dir_fd);
    h->n_bytes = 0;
}

/* A JSON string's inside. */
static void escape(const char *text, char *out, size_t n)
{
    size_t at = 0;
    for (; text && *text && at + 7 < n; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            at += (size_t)sprintf(out + at, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f) /* bytes that may be no UTF-8, too */
            at += (size_t)sprintf(out + at, "\\u%04x", c);
        else
            out[at++] = (char)c;
    }
    out[at] = 0;
}

void history_add(struct history *h, const struct history_line *l)
{
    char line[MAX_LINE], to[256], why[400], status[24] = "", destination[48] = "";
    if (h->fd < 0)
        return;
    escape(l->to, to, sizeof to);
    escape(l->why, why, sizeof why);
    if (l->status)
        snprintf(status, sizeof status, ",\"status\":%d", l->status);
    if (l->destination)
        snprintf(destination, sizeof destination, ",\"destination\":\"%016" PRIx64 "\"",
            l->destination);
    int n = snprintf(line, sizeof line,
        "{\"time_ms\":%" PRIu64 ",\"event_id\":\"%s\",\"what\":\"%s\"%s%s%s%s%s%s%s%s}\n",
        l->time_ms, l->event_id, l->what, destination, status, l->to ? ",\"to\":\"" : "",
        to, l->to ? "\"" : "", l->why ? ",\"why\":\"" : "", why, l->why ? "\"" : "");
    if (n < 0 || (size_t)n >= sizeof line)
        return;
    if (h->n_bytes + (size_t)n > HISTORY_MAX_BYTES)
        rotate(h);
    IGNORE(write(h->fd, line, (size_t)n) < 0, "the spool itself holds the state");
    h->n_bytes += (size_t)n;
}

bool history_was_sent(const struct spool *s, const char *event_id, uint64_t destination)
{
    CLEANUP(close_p)
    int fd = check_log(
        openat(s->fd, HISTORY_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    CLEANUP(free_p) char *text = malloc(MAX_LOOK_BACK + 1);
    struct stat st;
    if (fd < 0 || !text || fstat(fd, &st) < 0)
        return false;
    off_t from = st.st_size > MAX_LOOK_BACK ? st.st_size - MAX_LOOK_BACK : 0;
    ssize_t n = pread(fd, text, MAX_LOOK_BACK, from);
    if (n <= 0)
        return false;
    text[n] = 0;
    char want[160];
    snprintf(want, sizeof want,
        "\"event_id\":\"%s\",\"what\":\"sent\",\"destination\":\"%016" PRIx64 "\"",
        event_id, destination);
    /* NULs in a damaged log end the search early: then it is sent again, no worse. */
    return strstr(text, want) != NULL;
}
