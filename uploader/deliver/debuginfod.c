#include "uploader/deliver/debuginfod.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

enum { MAX_SERVERS = 8, AT_ONCE = 4 };

struct server {
    struct destination at;
    char *name; /* of its breaker, apart from that of a destination on the same host */
};

struct debuginfod {
    struct debuginfod_options o;
    struct server servers[MAX_SERVERS];
    size_t n_servers;
    bool has_more; /* files arrived: there may be too many now */
};

/* One file of a report. */
struct file {
    struct debuginfod_fetch *fetch;
    struct wish wish;
    size_t server; /* that is asked, or is to be asked next */
    bool out, done;
    int fd; /* while it is out */
    uint64_t began_ms;
    enum wish_answer answer; /* so far */
};

struct debuginfod_fetch {
    struct debuginfod *d;
    uint64_t deadline_ms;
    size_t n_out;
    size_t n_files;
    struct file files[WISHES_MAX];
};

static uint64_t tick_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int add_server(struct debuginfod *d, const char *url, const char **why)
{
    struct server *s = &d->servers[d->n_servers];
    int r = destination_debuginfod(url, &s->at, why);
    if (r < 0)
        return r;
    if (asprintf(&s->name, "debuginfod %s", s->at.host) < 0) {
        s->name = NULL;
        destination_done(&s->at);
        return -ENOMEM;
    }
    d->n_servers++;
    return 0;
}

/* The words of DEBUGINFOD_URLS; "ima:enforcing" and the like are no URLs. */
static int add_servers(struct debuginfod *d, char *note, size_t n_note)
{
    const char *text = d->o.urls;
    while (text && *(text += strspn(text, " \t\n"))) {
        char word[2100], masked[256];
        const char *why = "too many servers";
        size_t n = strcspn(text, " \t\n");
        int r = -E2BIG;
        (void)snprintf(word, sizeof word, "%.*s", (int)n, text);
        bool policy = !strncmp(word, "ima:", 4);
        if (!policy && n < sizeof word && d->n_servers < MAX_SERVERS)
            r = add_server(d, word, &why);
        if (r == -ENOMEM)
            return r;
        if (r < 0 && !policy && !*note) {
            config_mask(word, masked, sizeof masked);
            (void)snprintf(note, n_note, "%s: %s", masked, why);
        }
        text += n;
    }
    return 0;
}

int debuginfod_new(const struct debuginfod_options *options, struct debuginfod **ret,
    char *note, size_t n_note)
{
    struct debuginfod *d = calloc(1, sizeof *d);
    if (!d)
        return -ENOMEM;
    d->o = *options;
    *note = 0;
    int r = add_servers(d, note, n_note);
    if (r < 0 || !d->n_servers) {
        debuginfod_free(d);
        d = NULL;
    }
    if (!r)
        *ret = d;
    return r;
}

void debuginfod_free(struct debuginfod *d)
{
    if (d && d->has_more)
        debuginfod_tidy(d->o.dir, d->o.max_bytes, time(NULL));
    for (size_t i = 0; d && i < d->n_servers; i++) {
        destination_done(&d->servers[i].at);
        free(d->servers[i].name);
    }
    free(d);
}

static bool rests(const struct debuginfod *d, const struct server *s)
{
    const struct ledger_host *h = ledger_find_host(d->o.ledger, s->name);
    return h && h->until_s > (uint64_t)time(NULL);
}

bool debuginfod_is_open(const struct debuginfod *d)
{
    for (size_t i = 0; d && i < d->n_servers; i++) {
        if (!rests(d, &d->servers[i]))
            return true;
    }
    return false;
}

static void let_rest(struct debuginfod *d, const struct server *s)
{
    const struct ledger_host *h = ledger_find_host(d->o.ledger, s->name);
    if (rests(d, s)) /* several requests fail together: one failure */
        return;
    uint64_t n = h ? h->failures : 0, ms = d->o.rest_ms;
    for (; n && ms < d->o.rest_max_ms; n--)
        ms *= 2;
    ms = ms < d->o.rest_max_ms ? ms : d->o.rest_max_ms;
    ledger_host_failed(
        d->o.ledger, s->name, (uint64_t)time(NULL) + (ms + 999) / 1000, false);
}

/* --- one file ------------------------------------------------------------------------
 */

static bool place(const struct file *f, const char *suffix, char out[PATH_MAX])
{
    char hex[WISH_HEX_BYTES];
    wish_hex(&f->wish, hex);
    int n = snprintf(out, PATH_MAX, "%s/%s%s", f->fetch->d->o.dir, hex, suffix);
    return n > 0 && n < PATH_MAX;
}

/* Where the body goes until it is whole; another uploader has another name for it. */
static bool part_place(const struct file *f, char out[PATH_MAX])
{
    char suffix[64];
    (void)snprintf(suffix, sizeof suffix, "/%s.%ld.part", wish_kind_name(f->wish.kind),
        (long)getpid());
    return place(f, suffix, out);
}

static void drop_part(struct file *f)
{
    char path[PATH_MAX];
    if (f->fd < 0)
        return;
    (void)close(f->fd);
    f->fd = -1;
    if (part_place(f, path))
        (void)unlink(path);
}

static void settle(struct file *f, enum wish_answer a)
{
    drop_part(f);
    f->answer = a;
    f->done = true;
}

static uint64_t room_bytes(const struct debuginfod *d)
{
    struct statvfs v;
    if (statvfs(d->o.dir, &v) < 0)
        return 0;
    uint64_t room = (uint64_t)v.f_bavail * v.f_frsize;
    room = room > d->o.keep_free_bytes ? room - d->o.keep_free_bytes : 0;
    return room < d->o.max_file_bytes ? room : d->o.max_file_bytes;
}

static int open_part(struct file *f)
{
    char path[PATH_MAX];
    if (!place(f, "", path))
        return -ENAMETOOLONG;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return -errno;
    if (!part_place(f, path))
        return -ENAMETOOLONG;
    f->fd = open(
        path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    return f->fd < 0 ? -errno : 0;
}

static int start(struct file *f, uint64_t now_ms)
{
    struct debuginfod *d = f->fetch->d;
    const struct server *s = &d->servers[f->server];
    char url[2300], hex[WISH_HEX_BYTES];
    wish_hex(&f->wish, hex);
    (void)snprintf(
        url, sizeof url, "%s/%s/%s", s->at.url, hex, wish_kind_name(f->wish.kind));
    uint64_t room = room_bytes(d);
    if (!room)
        return -ENOSPC;
    int r = open_part(f);
    if (r < 0)
        return r;
    struct http_fetch q = {.url = url,
        .local = s->at.local,
        .fd = f->fd,
        .max_bytes = room,
        .timeout_ms = f->fetch->deadline_ms - now_ms,
        .tag = f};
    r = http_get(d->o.http, &q);
    if (r < 0) {
        drop_part(f);
        return r;
    }
    f->began_ms = now_ms;
    f->out = true;
    f->fetch->n_out++;
    return 0;
}

/* Of several servers' answers the most telling one stays. A file is missing only when all
 * of them say so. */
static void note_answer(struct file *f, enum wish_answer a)
{
    if (f->answer == WISH_NOT_ASKED || f->answer == WISH_MISSING ||
        (f->answer == WISH_UNREACHABLE && a != WISH_MISSING))
        f->answer = a;
}

/* On to the next server that does not rest: false when there is none. */
static bool find_server(struct file *f)
{
    const struct debuginfod *d = f->fetch->d;
    while (f->server < d->n_servers && rests(d, &d->servers[f->server])) {
        note_answer(f, WISH_UNREACHABLE);
        f->server++;
    }
    return f->server < d->n_servers;
}

void debuginfod_go_on(struct debuginfod_fetch *fetch)
{
    uint64_t now = tick_ms();
    for (size_t i = 0; i < fetch->n_files; i++) {
        struct file *f = &fetch->files[i];
        if (f->done || f->out)
            continue;
        if (now >= fetch->deadline_ms) {
            settle(f, WISH_TIMEOUT);
        } else if (!find_server(f)) {
            settle(f, f->answer);
        } else if (fetch->n_out < AT_ONCE) {
            int r = start(f, now);
            if (r < 0 && r != -EBUSY)
                settle(f, WISH_LOCAL);
        }
    }
}

/* The whole file is here: durable before it has its name. */
static int arrived(struct file *f)
{
    char from[PATH_MAX], to[PATH_MAX], name[64];
    (void)snprintf(name, sizeof name, "/%s", wish_new_name(f->wish.kind));
    if (!part_place(f, from) || !place(f, name, to))
        return -ENAMETOOLONG;
    if (fsync(f->fd) < 0 || rename(from, to) < 0)
        return -errno;
    (void)close(f->fd);
    f->fd = -1;
    return 0;
}

static bool is_servers_fault(const struct answer *a)
{
    return a->failure == ANSWER_UNREACHABLE || a->failure == ANSWER_UNTRUSTED ||
           (a->failure == ANSWER_LOST && !(a->timed_out && a->n_body)) ||
           (a->failure == ANSWER_OK && a->status != 200 && a->status != 404 &&
               !a->body_cut);
}

/* What an answer says about the file; WISH_GRANTED: its bytes are here. */
static enum wish_answer judge(const struct answer *a)
{
    if (a->body_cut)
        return WISH_TOO_LARGE;
    if (a->failure == ANSWER_FORBIDDEN)
        return WISH_NOT_ASKED;
    if (a->failure == ANSWER_LOCAL)
        return WISH_LOCAL;
    if (a->timed_out)
        return WISH_TIMEOUT;
    if (a->failure != ANSWER_OK)
        return WISH_UNREACHABLE;
    return a->status == 200   ? WISH_GRANTED
           : a->status == 404 ? WISH_MISSING
                              : WISH_UNREACHABLE;
}

void debuginfod_answer(void *tag, const struct answer *a)
{
    struct file *f = tag;
    struct debuginfod *d = f->fetch->d;
    const struct server *s = &d->servers[f->server];
    enum wish_answer what = judge(a);
    f->out = false;
    f->fetch->n_out--;
    if (is_servers_fault(a))
        let_rest(d, s);
    else if (a->failure == ANSWER_OK)
        ledger_host_succeeded(d->o.ledger, s->name);
    if (what == WISH_GRANTED && arrived(f) < 0)
        what = WISH_LOCAL;
    if (what == WISH_GRANTED || what == WISH_LOCAL || what == WISH_NOT_ASKED) {
        settle(f, what);
        return;
    }
    drop_part(f);
    note_answer(f, what);
    f->server++;
}

/* --- the fetch -----------------------------------------------------------------------
 */

int debuginfod_begin(
    struct debuginfod *d, const struct wishes *wishes, struct debuginfod_fetch **ret)
{
    if (mkdir(d->o.dir, 0700) < 0 && errno != EEXIST)
        return -errno;
    struct debuginfod_fetch *fetch = calloc(1, sizeof *fetch);
    if (!fetch)
        return -ENOMEM;
    fetch->d = d;
    fetch->deadline_ms = tick_ms() + d->o.time_ms;
    fetch->n_files = wishes->n;
    for (size_t i = 0; i < wishes->n; i++)
        fetch->files[i] =
            (struct file){.fetch = fetch, .wish = wishes->list[i], .fd = -1};
    debuginfod_go_on(fetch);
    *ret = fetch;
    return 0;
}

bool debuginfod_is_done(const struct debuginfod_fetch *fetch)
{
    for (size_t i = 0; i < fetch->n_files; i++) {
        if (!fetch->files[i].done)
            return false;
    }
    return true;
}

void debuginfod_end(struct debuginfod_fetch *fetch, struct wishes *ret)
{
    struct wishes arrived_files = {0};
    for (size_t i = 0; fetch && i < fetch->n_files; i++) {
        struct file *f = &fetch->files[i];
        if (f->out)
            http_cancel(fetch->d->o.http, f);
        drop_part(f);
        if (f->done && f->answer == WISH_GRANTED)
            arrived_files.list[arrived_files.n++] = f->wish;
        else if (f->done && f->answer != WISH_NOT_ASKED)
            IGNORE(
                wish_note(fetch->d->o.dir, &f->wish, f->answer), "it is asked for again");
    }
    if (arrived_files.n)
        fetch->d->has_more = true;
    free(fetch);
    if (ret)
        *ret = arrived_files;
}
