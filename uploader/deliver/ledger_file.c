/* The ledger as text: one record a line, the last line a checksum of all before it. */
#include "uploader/deliver/ledger.h"
#include "uploader/spool/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define LEDGER_FILE "state"
#define LEDGER_FIRST_LINE "knell-state 1\n"
enum { LEDGER_MAX_BYTES = 1 << 20 };

static void print_records(const struct ledger *l, FILE *f)
{
    fputs(LEDGER_FIRST_LINE, f);
    for (size_t i = 0; i < l->n_limits; i++)
        fprintf(f, "limit %" PRIx64 " %u %" PRIu64 "\n", l->limits[i].destination,
            l->limits[i].category, l->limits[i].until_s);
    for (size_t i = 0; i < l->n_hosts; i++)
        fprintf(f, "host %" PRIx64 " %" PRIu64 " %" PRIu64 " %d\n", l->hosts[i].id,
            l->hosts[i].until_s, l->hosts[i].failures, l->hosts[i].configuration);
    for (size_t i = 0; i < l->n_drops; i++)
        fprintf(f, "drop %s %s %" PRIu64 "\n", l->drops[i].reason, l->drops[i].category,
            l->drops[i].n);
    for (size_t i = 0; i < l->n_signatures; i++) {
        const struct ledger_signature *s = &l->signatures[i];
        fprintf(f,
            "sig %" PRIx64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
            "\n",
            s->signature, s->window_s, s->n_sent, s->n_suppressed, s->first_ms,
            s->last_ms);
    }
    fprintf(f, "day %" PRIu64 " %" PRIu64 "\n", l->day_s, l->day_bytes);
    fprintf(f, "clock %" PRIu64 " %" PRIu64 "\n", l->seen_s, l->steady_s);
    fprintf(f, "total %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", l->n_sent, l->n_failed,
        l->n_quarantined);
}

int ledger_format(const struct ledger *l, char **ret, size_t *ret_n)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    if (!f)
        return -ENOMEM;
    print_records(l, f);
    if (fflush(f) == 0)
        fprintf(f, "end %08lx\n", crc32(0, (const Bytef *)text, (uInt)n));
    bool bad = ferror(f);
    if (fclose(f) != 0 || bad) {
        free(text);
        return -ENOMEM;
    }
    *ret = text;
    *ret_n = n;
    return 0;
}

static bool parse_signature(struct ledger *l, const char *line)
{
    struct ledger_signature s = {0};
    if (sscanf(line,
            "sig %" SCNx64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
            &s.signature, &s.window_s, &s.n_sent, &s.n_suppressed, &s.first_ms,
            &s.last_ms) != 6)
        return false;
    struct ledger_signature *to = ledger_signature(l, s.signature);
    if (to)
        *to = s;
    return to != NULL;
}

static bool parse_line(struct ledger *l, const char *line)
{
    struct ledger_limit limit = {0};
    struct ledger_host host = {0};
    struct ledger_drop drop = {0};
    int configuration;
    if (!strncmp(line, "sig ", 4))
        return parse_signature(l, line);
    if (sscanf(line, "limit %" SCNx64 " %u %" SCNu64, &limit.destination, &limit.category,
            &limit.until_s) == 3) {
        if (limit.category >= HINT_N_CATEGORIES || l->n_limits == LEDGER_MAX_LIMITS)
            return false;
        l->limits[l->n_limits++] = limit;
        return true;
    }
    if (sscanf(line, "host %" SCNx64 " %" SCNu64 " %" SCNu64 " %d", &host.id,
            &host.until_s, &host.failures, &configuration) == 4) {
        if (l->n_hosts == LEDGER_MAX_HOSTS)
            return false;
        host.configuration = configuration;
        l->hosts[l->n_hosts++] = host;
        return true;
    }
    if (sscanf(line, "drop %31[a-z_] %31[a-z_] %" SCNu64, drop.reason, drop.category,
            &drop.n) == 3) {
        if (l->n_drops == LEDGER_MAX_DROPS)
            return false;
        l->drops[l->n_drops++] = drop;
        return true;
    }
    return sscanf(line, "day %" SCNu64 " %" SCNu64, &l->day_s, &l->day_bytes) == 2 ||
           sscanf(line, "clock %" SCNu64 " %" SCNu64, &l->seen_s, &l->steady_s) == 2 ||
           sscanf(line, "total %" SCNu64 " %" SCNu64 " %" SCNu64, &l->n_sent,
               &l->n_failed, &l->n_quarantined) == 3;
}

/* Where the checksum line begins, when it is there and right. */
static const char *checked_end(const char *text, size_t n)
{
    enum { END_BYTES = 13 }; /* "end xxxxxxxx\n" */
    unsigned long sum;
    if (n < END_BYTES || text[n - 1] != '\n')
        return NULL;
    const char *end = text + n - END_BYTES;
    char line[END_BYTES + 1] = ""; /* the text has no NUL at its end */
    memcpy(line, end, END_BYTES);
    if (sscanf(line, "end %8lx\n", &sum) != 1 ||
        sum != crc32(0, (const Bytef *)text, (uInt)(n - END_BYTES)))
        return NULL;
    return end;
}

int ledger_parse(const char *text, size_t n, struct ledger **ret)
{
    size_t n_first = strlen(LEDGER_FIRST_LINE);
    struct ledger *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    const char *end = n < LEDGER_MAX_BYTES ? checked_end(text, n) : NULL;
    const char *p = text + n_first;
    bool ok = end && end >= p && !strncmp(text, LEDGER_FIRST_LINE, n_first);
    while (ok && p < end) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        char line[256];
        ok = newline && (size_t)(newline - p) < sizeof line;
        if (!ok)
            break;
        snprintf(line, sizeof line, "%.*s", (int)(newline - p), p);
        ok = parse_line(l, line);
        p = newline + 1;
    }
    if (!ok) {
        ledger_free(l);
        return -EBADMSG;
    }
    l->dirty = false;
    *ret = l;
    return 0;
}

static void cut_to_clock(struct ledger *l, uint64_t now_s, uint64_t max_s)
{
    for (size_t i = 0; i < l->n_limits; i++) {
        if (l->limits[i].until_s > now_s + max_s)
            l->limits[i].until_s = now_s + max_s;
    }
    for (size_t i = 0; i < l->n_hosts; i++) {
        if (l->hosts[i].until_s > now_s + max_s)
            l->hosts[i].until_s = now_s + max_s;
    }
    if (l->day_s > now_s)
        l->day_s = now_s;
}

int ledger_load(int dir_fd, uint64_t now_s, uint64_t max_s, struct ledger **ret)
{
    CLEANUP(free_p) uint8_t *text = NULL;
    size_t n = 0;
    struct stat st;
    CLEANUP(close_p)
    int fd = openat(dir_fd, LEDGER_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct ledger *l = NULL;
    int r = -EBADMSG;
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
        !spool_read_all(fd, LEDGER_MAX_BYTES, &text, &n))
        r = ledger_parse((const char *)text, n, &l);
    if (r == -EBADMSG) {
        l = calloc(1, sizeof *l);
        r = l ? 0 : -ENOMEM;
    }
    if (r < 0)
        return r;
    cut_to_clock(l, now_s, max_s);
    *ret = l;
    return 0;
}

int ledger_save(struct ledger *l, int dir_fd)
{
    CLEANUP(free_p) char *text = NULL;
    size_t n;
    if (!l->dirty)
        return 0;
    int r = ledger_format(l, &text, &n);
    if (!r)
        r = spool_replace_file(dir_fd, LEDGER_FILE, text, n);
    if (!r)
        l->dirty = false;
    return r;
}
