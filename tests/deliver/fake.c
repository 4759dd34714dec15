#include "fake.h"

#include "uploader/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int begin(
    void *ctx, const uint8_t *report, size_t n, const struct worker_options *options)
{
    struct fake *f = ctx;
    f->report = report;
    f->n_report = n;
    f->asked = options;
    f->n_worked++;
    return 0;
}

static int fd(void *ctx)
{
    (void)ctx;
    return -1;
}

static bool says(const struct fake *f, const char *word)
{
    return f->n_report == strlen(word) && !memcmp(f->report, word, f->n_report);
}

/* Compresses about as an event does. Made once: it is no cost of an uploader. */
static const char *padding(struct fake *f)
{
    if (!f->padding) {
        f->padding = malloc(f->n_event_bytes + 1);
        for (size_t i = 0; i < f->n_event_bytes; i++)
            f->padding[i] = (char)('a' + (i * 7 + i / 13 * (i % 11)) % 23);
    }
    return f->padding;
}

static void make_items(struct fake *f, struct worker_result *r)
{
    size_t n_attachment =
        says(f, "BIG") && f->asked->event.max_threads != 1 ? 1u << 20 : 0;
    size_t n_pad = f->n_event_bytes;
    char *event = malloc(n_pad + 256);
    int n = sprintf(event, "{\"event_id\":\"%s\",\"platform\":\"native\",\"extra\":\"",
        f->asked->event.event_id);
    memcpy(event + n, padding(f), n_pad);
    n += (int)n_pad;
    n += sprintf(event + n, "\",\"threads\":%u,\"suppressed\":%llu}",
        f->asked->event.max_threads, (unsigned long long)f->asked->event.suppressed);
    if (f->asked->otlp) {
        r->otlp = (uint8_t *)strdup(event);
        r->n_otlp = strlen(event);
    }
    r->items = malloc((size_t)n + n_attachment + 512);
    size_t at = (size_t)sprintf((char *)r->items,
        "{\"type\":\"event\",\"content_type\":\"application/json\",\"length\":%d}\n%s\n",
        n, event);
    free(event);
    if (n_attachment) {
        at += (size_t)sprintf((char *)r->items + at,
            "{\"type\":\"attachment\",\"length\":%zu,\"filename\":\"x\"}\n",
            n_attachment);
        memset(r->items + at, 'x', n_attachment);
        at += n_attachment;
        r->items[at++] = '\n';
    }
    if (says(f, "RUN"))
        at += (size_t)sprintf(
            (char *)r->items + at, "{\"type\":\"session\",\"length\":2}\n{}\n");
    r->n_items = at;
}

static void make_segment(const struct fake *f, struct worker_result *r)
{
    static const char logs[] = "{\"type\":\"log\",\"length\":2}\n{}\n";
    int n = asprintf((char **)&r->items, "%s%s",
        says(f, "LOGS") ? ""
                        : "{\"type\":\"transaction\",\"length\":2}\n{}\n"
                          "{\"type\":\"session\",\"length\":2}\n{}\n",
        logs);
    r->n_items = n > 0 ? (size_t)n : 0;
}

static int finish(void *ctx, struct worker_result *ret)
{
    struct fake *f = ctx;
    struct worker_result r = {0};
    snprintf(r.why, sizeof r.why, "the report says so");
    bool asks = says(f, "ASK") || says(f, "POISON");
    bool arrived = f->asked->arrived.n > 0;
    bool small = f->asked->event.max_threads == 1;
    f->n_arrived += arrived;
    if (says(f, "DIE") || (says(f, "POISON") && arrived) ||
        (small && says(f, "DIE SMALL"))) {
        *ret = r;
        return -ECHILD;
    }
    if (asks && f->asked->may_ask) {
        r.outcome = WORKER_ASKS;
        wishes_add(&r.wishes, (const uint8_t *)"\xab\xcd\xef\x01", 4, WISH_DEBUGINFO);
        *ret = r;
        return 0;
    }
    if (says(f, "REFUSE") || (small && says(f, "REFUSE SMALL")))
        r.outcome = WORKER_REFUSED;
    else if (says(f, "DROP"))
        r.outcome = WORKER_DROPPED;
    else if (says(f, "SEGMENT") || says(f, "LOGS"))
        make_segment(f, &r);
    else
        make_items(f, &r);
    *ret = r;
    return 0;
}

static void cancel(void *ctx)
{
    (void)ctx;
}

struct fake *fake_new(const char *const *overrides)
{
    struct fake *f = calloc(1, sizeof *f);
    struct config_sources sources = {.file = "/dev/null", .overrides = overrides};
    if (!f || config_load(&sources, &f->config) < 0)
        exit(99);
    CHECK_INT(f->config.n_notes, 0);
    f->path = test_tmpdir();
    f->worker = (struct pipeline_worker){
        .ctx = f, .begin = begin, .fd = fd, .finish = finish, .cancel = cancel};
    f->options = (struct pipeline_options){.config = &f->config.values,
        .worker = &f->worker,
        .destinations = f->destinations};
    log_open(getenv("FAKE_VERBOSE") ? LOG_LEVEL_DEBUG : 0, NULL);
    return f;
}

void fake_free(struct fake *f)
{
    for (size_t i = 0; i < f->n_destinations; i++)
        destination_done(&f->destinations[i]);
    config_done(&f->config);
    free(f->padding);
    test_tmpdir_done(f->path);
    free(f);
}

void fake_destination(struct fake *f, const char *format, int port)
{
    char text[512];
    const char *why = "";
    const char *mark = strstr(format, "%d");
    snprintf(text, sizeof text, "%.*s", mark ? (int)(mark - format) : (int)strlen(format),
        format);
    if (mark)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%d%s", port, mark + 2);
    CHECK_INT(destination_parse(text, &f->destinations[f->n_destinations], &why), 0);
    CHECK_STR(why, "not printable, or too long");
    f->n_destinations++;
    f->options.n_destinations = f->n_destinations;
}

void fake_report(struct fake *f, const char *state, unsigned number, const char *text,
    const struct spool_name *base)
{
    fake_report_bytes(f, state, number, text, strlen(text), base);
}

void fake_report_bytes(struct fake *f, const char *state, unsigned number,
    const void *bytes, size_t n_bytes, const struct spool_name *base)
{
    struct spool_name n = base ? *base : (struct spool_name){.signo = 11};
    char file[KNELL_SPOOL_NAME_BYTES + 1], path[KNELL_SPOOL_NAME_BYTES + 32];
    if (!n.signature)
        n.signature = 0x1000 + number;
    if (!n.time_ms)
        n.time_ms = (uint64_t)time(NULL) * 1000 - number * 1000ull;
    for (int i = 0; i < 4; i++)
        n.event_id[15 - i] = (uint8_t)(number >> (8 * i));
    n.event_id[0] = 0xab;
    spool_name_format(&n, file);
    snprintf(path, sizeof path, "%s/%s", state, file);
    test_write_file(f->path, path, bytes, n_bytes);
}

void fake_reports(struct fake *f, unsigned n, const char *text)
{
    for (unsigned i = 0; i < n; i++)
        fake_report(f, "new", i, text, NULL);
}

int fake_run(struct fake *f)
{
    struct spool *s = NULL;
    f->result = (struct pipeline_result){0};
    int r = spool_open(f->path, true, &s);
    if (!r)
        r = spool_lock(s);
    if (!r)
        r = pipeline_run(s, &f->options, &f->result);
    spool_close(s);
    return r;
}

int fake_count(const struct fake *f, const char *state)
{
    int n = test_count_files(f->path, state);
    return n < 0 ? 0 : n;
}

int fake_total(const struct fake *f)
{
    static const char *const states[] = {"new", "work", "wait", "hold", "sent"};
    int n = fake_count(f, "bad") / 2; /* a .why beside each */
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        n += fake_count(f, states[i]);
    return n;
}

static int make_due(void *ctx, const char *file, const struct spool_name *name)
{
    struct spool *s = ctx;
    struct spool_name due;
    (void)file;
    if (!name || !name->not_before_s)
        return 0;
    due = *name;
    due.not_before_s = 0;
    return spool_move(s, SPOOL_WAIT, name, SPOOL_WAIT, &due);
}

void fake_make_due(struct fake *f)
{
    struct spool *s = NULL;
    if (spool_open(f->path, true, &s) < 0)
        exit(99);
    CHECK_INT(spool_each(s, SPOOL_WAIT, make_due, s), 0);
    spool_close(s);
}

void fake_forgive(struct fake *f)
{
    char state[512];
    fake_make_due(f);
    snprintf(state, sizeof state, "%s/state", f->path);
    (void)unlink(state);
}
