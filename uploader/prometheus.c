#include "uploader/prometheus.h"

#include "uploader/deliver/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <time.h>

int prometheus_begin(struct prometheus *p)
{
    *p = (struct prometheus){0};
    p->stream = open_memstream(&p->text, &p->n);
    if (!p->stream)
        return -ENOMEM;
    fputs("# HELP knell_reports Reports in the spool by state.\n"
          "# TYPE knell_reports gauge\n"
          "# HELP knell_sent_total Reports delivered since the spool was made.\n"
          "# TYPE knell_sent_total counter\n"
          "# HELP knell_deferred_total Deliveries put off.\n"
          "# TYPE knell_deferred_total counter\n"
          "# HELP knell_quarantined_total Reports quarantined.\n"
          "# TYPE knell_quarantined_total counter\n"
          "# HELP knell_last_pass_timestamp_seconds When the uploader last ran.\n"
          "# TYPE knell_last_pass_timestamp_seconds gauge\n",
        p->stream);
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

static void put_name(FILE *f, const char *metric, const struct spool *s)
{
    fprintf(f, "%s{spool=\"", metric);
    put_label(f, s->path);
    fputc('"', f);
}

static int count(void *ctx, const char *file, const struct spool_name *name)
{
    (void)file;
    *(uint64_t *)ctx += name && !name->segment;
    return 0;
}

static void put_counter(FILE *f, const char *metric, const struct spool *s, uint64_t n)
{
    put_name(f, metric, s);
    fprintf(f, "} %" PRIu64 "\n", n);
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
        put_name(p->stream, "knell_reports", s);
        fprintf(p->stream, ",state=\"%s\"} %" PRIu64 "\n",
            spool_state_name((enum spool_state)i), n);
    }
    put_counter(p->stream, "knell_sent_total", s, l->n_sent);
    put_counter(p->stream, "knell_deferred_total", s, l->n_failed);
    put_counter(p->stream, "knell_quarantined_total", s, l->n_quarantined);
    put_counter(p->stream, "knell_last_pass_timestamp_seconds", s, now_s);
    ledger_free(l);
}

int prometheus_end(struct prometheus *p, const char *path)
{
    char dir[PATH_MAX];
    int r = fclose(p->stream) ? -ENOMEM : 0;
    const char *slash = strrchr(path, '/');
    int n = slash ? snprintf(dir, sizeof dir, "%.*s/", (int)(slash - path), path)
                  : snprintf(dir, sizeof dir, ".");
    if (!r && (n < 0 || (size_t)n >= sizeof dir))
        r = -ENAMETOOLONG;
    CLEANUP(close_p)
    int fd = r ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!r && fd < 0)
        r = -errno;
    const char *file = slash ? slash + 1 : path;
    if (!r)
        r = spool_replace_file(fd, file, p->text, p->n);
    /* The exporter is another user. */
    if (!r && fchmodat(fd, file, 0644, 0) < 0)
        r = -errno;
    free(p->text);
    *p = (struct prometheus){0};
    return r;
}
