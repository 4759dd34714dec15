#include "uploader/prometheus.h"

#include "uploader/deliver/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <time.h>

static const struct {
    const char *name, *type, *help;
} metrics[PROMETHEUS_N_METRICS] = {
    [PROMETHEUS_REPORTS] = {"knell_reports", "gauge", "Reports in the spool by state."},
    [PROMETHEUS_SENT] = {"knell_sent_total", "counter",
        "Reports delivered since the spool was made."},
    [PROMETHEUS_DEFERRED] = {"knell_deferred_total", "counter", "Deliveries put off."},
    [PROMETHEUS_QUARANTINED] = {"knell_quarantined_total", "counter",
        "Reports quarantined."},
    [PROMETHEUS_LAST_PASS] = {"knell_last_pass_timestamp_seconds", "gauge",
        "When the uploader last ran."},
};

static void done(struct prometheus *p)
{
    for (size_t i = 0; i < PROMETHEUS_N_METRICS; i++) {
        if (p->rows[i].stream)
            IGNORE(fclose(p->rows[i].stream), "it was looked at before");
        free(p->rows[i].text);
    }
    *p = (struct prometheus){0};
}

int prometheus_begin(struct prometheus *p)
{
    *p = (struct prometheus){0};
    for (size_t i = 0; i < PROMETHEUS_N_METRICS; i++) {
        struct prometheus_rows *r = &p->rows[i];
        r->stream = open_memstream(&r->text, &r->n);
        if (!r->stream) {
            done(p);
            return -ENOMEM;
        }
        fprintf(r->stream, "# HELP %s %s\n# TYPE %s %s\n", metrics[i].name,
            metrics[i].help, metrics[i].name, metrics[i].type);
    }
    return 0;
}

/* A label's value: backslash, quote and line end are escaped. */
static void put_label(FILE *f, const char *text)
{
    for (; *text; text++) {
        if (*text == '\n')
            fputs("\\n", f);
        else if (*text == '"' || *text == '\\')
            fprintf(f, "\\%c", *text);
        else
            fputc(*text, f);
    }
}

/* The row's beginning; returns the stream for the rest of it. */
static FILE *put_name(
    struct prometheus *p, enum prometheus_metric which, const struct spool *s)
{
    FILE *f = p->rows[which].stream;
    fprintf(f, "%s{spool=\"", metrics[which].name);
    put_label(f, s->path);
    fputc('"', f);
    return f;
}

static int count(void *ctx, const char *file, const struct spool_name *name)
{
    (void)file;
    *(uint64_t *)ctx += name && !name->segment;
    return 0;
}

static void put_number(
    struct prometheus *p, enum prometheus_metric which, const struct spool *s, uint64_t n)
{
    fprintf(put_name(p, which, s), "} %" PRIu64 "\n", n);
}

void prometheus_add(struct prometheus *p, const struct spool *s)
{
    struct ledger *l = NULL;
    uint64_t now_s = (uint64_t)time(NULL);
    if (ledger_load(s->fd, now_s, UINT32_MAX, &l) < 0)
        return;
    for (int i = SPOOL_NEW; i < SPOOL_N_STATES; i++) {
        uint64_t n = 0;
        IGNORE(
            spool_each(s, (enum spool_state)i, count, &n), "then it counts what it saw");
        fprintf(put_name(p, PROMETHEUS_REPORTS, s), ",state=\"%s\"} %" PRIu64 "\n",
            spool_state_name((enum spool_state)i), n);
    }
    put_number(p, PROMETHEUS_SENT, s, l->n_sent);
    put_number(p, PROMETHEUS_DEFERRED, s, l->n_failed);
    put_number(p, PROMETHEUS_QUARANTINED, s, l->n_quarantined);
    put_number(p, PROMETHEUS_LAST_PASS, s, now_s);
    ledger_free(l);
}

/* All rows in one text. @ret malloc'd */
static int join(struct prometheus *p, char **ret, size_t *ret_n)
{
    FILE *f = open_memstream(ret, ret_n);
    bool bad = !f;
    for (size_t i = 0; f && i < PROMETHEUS_N_METRICS; i++) {
        struct prometheus_rows *r = &p->rows[i];
        bad |= fflush(r->stream) != 0;
        bad |= !bad && fwrite(r->text, 1, r->n, f) != r->n;
    }
    return (f && fclose(f)) || bad ? -ENOMEM : 0;
}

static int replace(const char *path, const char *text, size_t n_text)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path;
    int n = slash ? snprintf(dir, sizeof dir, "%.*s/", (int)(slash - path), path)
                  : snprintf(dir, sizeof dir, ".");
    if (n < 0 || (size_t)n >= sizeof dir)
        return -ENAMETOOLONG;
    CLEANUP(close_p) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = spool_replace_file(fd, file, text, n_text);
    /* The exporter is another user. */
    return !r && fchmodat(fd, file, 0644, 0) < 0 ? -errno : r;
}

int prometheus_end(struct prometheus *p, const char *path)
{
    CLEANUP(free_p) char *text = NULL;
    size_t n = 0;
    int r = join(p, &text, &n);
    if (!r)
        r = replace(path, text, n);
    done(p);
    return r;
}
