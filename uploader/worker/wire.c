#include "uploader/worker/wire.h"

#include "uploader/event/build.h"
#include "uploader/event/envelope.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WIRE_MAGIC = 0x4b57524b };

struct wire_head {
    uint32_t magic;
    int32_t status;
    uint64_t n_items, n_otlp;
    uint32_t outcome, otlp_traces;
    char why[256], category[32];
    struct worker_summary summary;
    struct wishes wishes;
};

static int write_all(int fd, const void *p, size_t n)
{
    const uint8_t *from = p;
    while (n) {
        ssize_t k = write(fd, from, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return -errno;
        from += k;
        n -= (size_t)k;
    }
    return 0;
}

int wire_write(int fd, int status, const struct worker_result *r)
{
    struct wire_head h;
    memset(&h, 0, sizeof h); /* padding crosses a process boundary */
    h.magic = WIRE_MAGIC;
    h.status = status;
    if (!status || status == -ECHILD)
        memcpy(h.why, r->why, sizeof h.why);
    if (!status) {
        h.n_items = r->n_items;
        h.n_otlp = r->n_otlp;
        h.otlp_traces = r->otlp_traces;
        h.outcome = r->outcome;
        memcpy(h.category, r->category, sizeof h.category);
        h.summary = r->summary;
        h.wishes = r->wishes;
    }
    int err = write_all(fd, &h, sizeof h);
    if (!err && h.n_items)
        err = write_all(fd, r->items, r->n_items);
    if (!err && h.n_otlp)
        err = write_all(fd, r->otlp, r->n_otlp);
    return err;
}

static int read_at(int fd, void *out, size_t n, off_t at)
{
    uint8_t *to = out;
    while (n) {
        ssize_t k = pread(fd, to, n, at);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return k < 0 ? -errno : -EBADMSG;
        to += k;
        at += k;
        n -= (size_t)k;
    }
    return 0;
}

/* Ends the text and takes out what could drive a terminal or break a line. */
static void clean(char *s, size_t n)
{
    char copy[1024];
    s[n - 1] = 0;
    (void)text_copy(copy, n < sizeof copy ? n : sizeof copy, s, strlen(s));
    for (char *p = copy; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
    }
    memcpy(s, copy, strlen(copy) + 1);
}

static bool hex_only(const char *s, size_t n)
{
    return strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

/* A word of the protocol: it goes into the state and into client reports as it is. */
static bool is_word(const char *s)
{
    return strspn(s, "abcdefghijklmnopqrstuvwxyz_") == strlen(s);
}

static bool clean_summary(struct worker_summary *s)
{
    clean(s->event_id, sizeof s->event_id);
    clean(s->signature, sizeof s->signature);
    clean(s->signal, sizeof s->signal);
    clean(s->title, sizeof s->title);
    clean(s->function, sizeof s->function);
    clean(s->file, sizeof s->file);
    clean(s->app, sizeof s->app);
    clean(s->release, sizeof s->release);
    clean(s->environment, sizeof s->environment);
    return (!*s->event_id || hex_only(s->event_id, 32)) &&
           (!*s->signature || hex_only(s->signature, 12));
}

static bool sound_wishes(const struct wishes *w)
{
    bool sound = w->n <= WISHES_MAX;
    for (size_t i = 0; sound && i < w->n; i++)
        sound = w->list[i].n_build_id <= sizeof w->list[i].build_id &&
                w->list[i].kind <= WISH_EXECUTABLE;
    return sound;
}

/* Every item sound, of a kind that knell makes, and nothing behind them. */
static bool sound_items(const uint8_t *items, size_t n)
{
    static const char *const kinds[] = {"event", "attachment", "session", "sessions",
        "transaction", "log", "client_report"};
    struct envelope_view v;
    size_t at = 0;
    int r;
    while ((r = envelope_next(items, n, &at, &v)) == 1) {
        bool known = false;
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
            known |= !strcmp(v.type, kinds[i]);
        if (!known)
            return false;
    }
    return r == 0;
}

static int read_body(int fd, const struct wire_head *h, struct worker_result *r)
{
    int err = 0;
    if (h->n_items) {
        r->items = malloc(h->n_items);
        if (!r->items)
            return -ENOMEM;
        r->n_items = h->n_items;
        err = read_at(fd, r->items, r->n_items, sizeof *h);
    }
    if (!err && h->n_otlp) {
        r->otlp = malloc(h->n_otlp);
        if (!r->otlp)
            return -ENOMEM;
        r->n_otlp = h->n_otlp;
        err = read_at(fd, r->otlp, r->n_otlp, (off_t)(sizeof *h + h->n_items));
    }
    return err;
}

int wire_read(int fd, int *ret_status, struct worker_result *ret)
{
    struct wire_head h;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size == 0)
        return -ENODATA;
    int err = read_at(fd, &h, sizeof h, 0);
    if (err)
        return err;
    if (h.magic != WIRE_MAGIC || h.status > 0 || h.outcome > WORKER_ASKS ||
        h.n_items > WIRE_MAX_BYTES || h.n_otlp > WIRE_MAX_BYTES ||
        (uint64_t)st.st_size != sizeof h + h.n_items + h.n_otlp)
        return -EBADMSG;
    struct worker_result r = {
        .outcome = (enum worker_outcome)h.outcome, .otlp_traces = h.otlp_traces != 0};
    memcpy(r.why, h.why, sizeof r.why);
    memcpy(r.category, h.category, sizeof r.category);
    clean(r.why, sizeof r.why);
    r.category[sizeof r.category - 1] = 0;
    r.summary = h.summary;
    r.wishes = h.wishes;
    bool sound =
        clean_summary(&r.summary) && sound_wishes(&r.wishes) && is_word(r.category);
    err = read_body(fd, &h, &r);
    if (!err && (!sound || !sound_items(r.items, r.n_items)))
        err = -EBADMSG;
    if (err) {
        worker_result_done(&r);
        return err;
    }
    *ret_status = h.status;
    *ret = r;
    return 0;
}
