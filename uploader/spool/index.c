#include "uploader/spool/index.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <zlib.h>

enum {
    VERSION_BYTES = 2, /* "1\t" */
    ID_END = VERSION_BYTES + 32,
    SUM_BYTES = 8,
    N_NUMBERS = 9,
    N_TEXTS = 11,
    COMPACT_LINES = 1000,
    COMPACT_BYTES = 64 << 10, /* fewer lines cannot be that many */
    BLOCK_BYTES = 64 << 10,   /* read first; then twice as much each time */
    MIN_SLOTS = 64,
};

struct slot {
    uint64_t hash;
    uint32_t at, n; /* of the line, without its newline; n 0: free */
};

/* The newest reports are what is mostly asked for, and their lines are the last: the file
 * is read from its end, no further than what is asked for needs. */
struct index {
    int fd;      /* -1: nothing more to read */
    char *bytes; /* the file at its place; before @from not read yet */
    size_t n_bytes, room_bytes;
    size_t from;
    size_t line_from; /* lines from here on are in @slots; a newline is before it */
    bool has_end;     /* a newline was seen; what follows the last one is torn */
    struct slot *slots;
    size_t n_slots; /* power of two */
    size_t n_used, n_lines;
    char *line; /* scratch of the entry that was found last */
    size_t room;
};

const char *index_kind_name(enum index_kind kind)
{
    static const char *const names[] = {
        "", "crash", "error", "message", "hang", "obituary"};
    return (size_t)kind < sizeof names / sizeof *names ? names[kind] : "";
}

static enum index_kind kind_parse(const char *text)
{
    for (int i = INDEX_KIND_CRASH; i <= INDEX_KIND_OBITUARY; i++)
        if (strcmp(text, index_kind_name((enum index_kind)i)) == 0)
            return (enum index_kind)i;
    return INDEX_KIND_UNKNOWN;
}

/* Event ids should be random, but whoever can write to the spool chooses them: the
 * process's own random bytes keep him from making listings slow. */
static uint64_t hash_of(const uint8_t id[static SPOOL_EVENT_ID_BYTES])
{
    static uint64_t seed;
    const void *random = (const void *)getauxval(AT_RANDOM);
    if (!seed && random)
        memcpy(&seed, random, sizeof seed);
    uint64_t a, b;
    memcpy(&a, id, 8);
    memcpy(&b, id + 8, 8);
    uint64_t h = (a ^ seed) * UINT64_C(0xff51afd7ed558ccd);
    h = (h ^ h >> 32 ^ b) * UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ h >> 32;
}

static bool line_id(const char *line, size_t n, uint8_t ret[static SPOOL_EVENT_ID_BYTES])
{
    return n > ID_END + 1 + SUM_BYTES && n <= INDEX_MAX_LINE_BYTES && line[0] == '1' &&
           line[1] == '\t' && line[ID_END] == '\t' &&
           spool_event_id_parse(line + VERSION_BYTES, ret) == 0;
}

/* The slot of an id, or the free one where it belongs. */
static struct slot *probe(
    const struct index *x, const uint8_t id[static SPOOL_EVENT_ID_BYTES])
{
    uint64_t hash = hash_of(id);
    for (size_t i = hash;; i++) {
        struct slot *slot = &x->slots[i & (x->n_slots - 1)];
        if (!slot->n)
            return slot;
        uint8_t other[SPOOL_EVENT_ID_BYTES];
        if (slot->hash == hash && line_id(x->bytes + slot->at, slot->n, other) &&
            memcmp(other, id, sizeof other) == 0)
            return slot;
    }
}

static int grow(struct index *x)
{
    size_t n_old = x->n_slots, n = n_old ? n_old * 2 : MIN_SLOTS;
    struct slot *old = x->slots, *slots = calloc(n, sizeof *slots);
    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < n_old; i++) {
        size_t at = old[i].hash;
        while (old[i].n && slots[at & (n - 1)].n)
            at++;
        if (old[i].n)
            slots[at & (n - 1)] = old[i];
    }
    free(old);
    x->slots = slots;
    x->n_slots = n;
    return 0;
}

/* Note the line at @at, which is @n long. @newer  it replaces the one that is known */
static int put_slot(struct index *x, size_t at, size_t n, bool newer)
{
    uint8_t id[SPOOL_EVENT_ID_BYTES];
    x->n_lines++;
    if (!line_id(x->bytes + at, n, id))
        return 0;
    if ((x->n_used + 1) * 2 > x->n_slots && grow(x))
        return -ENOMEM;
    struct slot *slot = probe(x, id);
    bool known = slot->n;
    x->n_used += !known;
    if (!known || newer)
        *slot = (struct slot){.hash = hash_of(id), .at = (uint32_t)at, .n = (uint32_t)n};
    return 0;
}

/* Note the whole lines between @from and @line_from, the last one first. */
static int scan(struct index *x)
{
    char *p = x->bytes;
    if (!x->has_end) {
        const char *end = memrchr(p + x->from, '\n', x->line_from - x->from);
        x->line_from = end ? (size_t)(end - p) + 1 : x->from;
        x->has_end = end;
    }
    while (x->line_from > x->from) {
        size_t stop = x->line_from - 1;
        const char *before = memrchr(p + x->from, '\n', stop - x->from);
        if (!before && x->from)
            break; /* it begins in what is not read yet */
        size_t begin = before ? (size_t)(before - p) + 1 : 0;
        if (put_slot(x, begin, stop - begin, false))
            return -ENOMEM;
        x->line_from = begin;
    }
    return 0;
}

/* Returns 1, 0 at the file's beginning or when it cannot be read further, or -ENOMEM. */
static int read_more(struct index *x)
{
    size_t n_read = x->n_bytes - x->from;
    size_t want = n_read > BLOCK_BYTES ? n_read : BLOCK_BYTES;
    size_t from = x->from > want ? x->from - want : 0;
    bool whole = x->fd >= 0;
    for (size_t at = from; whole && at < x->from;) {
        ssize_t n = pread(x->fd, x->bytes + at, x->from - at, (off_t)at);
        whole = n > 0; /* 0: somebody cut it off */
        at += whole ? (size_t)n : 0;
    }
    if (!from || !whole)
        close_p(&x->fd);
    if (!whole || from == x->from)
        return 0;
    x->from = from;
    int err = scan(x);
    return err ? err : 1;
}

static int read_all(struct index *x)
{
    int more = 1;
    while (more > 0)
        more = read_more(x);
    return more;
}

static int open_index(const struct spool *s, struct index *x)
{
    CLEANUP(close_p)
    int fd =
        openat(s->fd, SPOOL_INDEX_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || (st.st_uid != s->owner && st.st_uid != geteuid()))
        return -EPERM;
    if (st.st_size > (off_t)INDEX_MAX_BYTES)
        return -E2BIG;
    size_t n = (size_t)st.st_size;
    x->bytes = malloc(n + 1);
    if (!x->bytes)
        return -ENOMEM;
    x->n_bytes = x->room_bytes = x->from = x->line_from = n;
    x->fd = take_fd(&fd);
    return 0;
}

int index_load(const struct spool *s, struct index **ret)
{
    struct index *x = calloc(1, sizeof *x);
    if (!x)
        return -ENOMEM;
    x->fd = -1;
    if (grow(x) || open_index(s, x) == -ENOMEM) {
        index_free(x);
        return -ENOMEM;
    }
    *ret = x;
    return 0;
}

void index_free(struct index *x)
{
    if (!x)
        return;
    close_p(&x->fd);
    free(x->bytes);
    free(x->slots);
    free(x->line);
    free(x);
}

size_t index_count(struct index *x)
{
    return read_all(x) ? 0 : x->n_used;
}

static uint32_t sum_of(const char *p, size_t n)
{
    return (uint32_t)crc32(0, (const Bytef *)p, (uInt)n);
}

/* Undo \t, \n and \\ in place. */
static void unescape(char *s)
{
    char *to = strchr(s, '\\');
    if (!to)
        return;
    for (const char *from = to; *from; from++) {
        if (*from == '\\' && from[1]) {
            from++;
            *to++ = (char)(*from == 't' ? '\t' : *from == 'n' ? '\n' : *from);
        } else {
            *to++ = *from;
        }
    }
    *to = 0;
}

/* The next field of a line, NUL put behind it; NULL at the end. */
static char *take_field(char **rest)
{
    char *field = *rest;
    if (!field)
        return NULL;
    char *tab = strchr(field, '\t');
    if (tab)
        *tab = 0;
    *rest = tab ? tab + 1 : NULL;
    return field;
}

static bool take_number(char **rest, int base, uint64_t most, uint64_t *ret)
{
    const char *field = take_field(rest);
    if (!field || *field == '-' || !*field)
        return false;
    char *end;
    errno = 0;
    unsigned long long v = strtoull(field, &end, base);
    if (errno || *end || v > most)
        return false;
    *ret = v;
    return true;
}

static int parse_line(char *line, struct index_entry *ret)
{
    char *rest = line + ID_END + 1;
    uint64_t v[N_NUMBERS];
    for (size_t i = 0; i < N_NUMBERS; i++) {
        bool is_code = i == 2, is_64 = i >= 3 && i != 6 && i != 7;
        bool negative = is_code && rest && *rest == '-';
        if (negative)
            rest++;
        if (!take_number(&rest, i == 3 ? 16 : 10,
                is_code ? INT32_MAX
                : is_64 ? UINT64_MAX
                        : UINT32_MAX,
                &v[i]))
            return -EBADMSG;
        if (negative)
            v[i] = 0 - v[i];
    }
    const char *kind = take_field(&rest);
    *ret = (struct index_entry){.pid = (uint32_t)v[0],
        .tid = (uint32_t)v[1],
        .code = (int32_t)v[2],
        .address = v[3],
        .time_us = v[4],
        .uptime_ms = v[5],
        .line = (uint32_t)v[6],
        .n_threads = (uint32_t)v[7],
        .report_bytes = v[8],
        .kind = kind_parse(kind ? kind : "")};
    const char **texts[N_TEXTS] = {&ret->app, &ret->release, &ret->environment,
        &ret->dist, &ret->server, &ret->executable, &ret->thread, &ret->function,
        &ret->file, &ret->module, &ret->cause};
    for (size_t i = 0; i < N_TEXTS; i++) {
        char *text = take_field(&rest);
        if (!text)
            return -EBADMSG;
        unescape(text);
        *texts[i] = *text ? text : NULL;
    }
    for (char *tag; ret->n_tags < INDEX_MAX_TAGS && (tag = take_field(&rest));) {
        unescape(tag);
        ret->tags[ret->n_tags++] = tag;
    }
    return 0;
}

int index_find(struct index *x, const uint8_t event_id[static SPOOL_EVENT_ID_BYTES],
    struct index_entry *ret)
{
    const struct slot *slot = probe(x, event_id);
    while (!slot->n) {
        if (read_more(x) <= 0)
            return -ENODATA;
        slot = probe(x, event_id);
    }
    const char *line = x->bytes + slot->at;
    size_t n = slot->n - SUM_BYTES - 1; /* before the last tab */
    char sum[SUM_BYTES + 1];
    (void)snprintf(sum, sizeof sum, "%08" PRIx32, sum_of(line, n));
    if (line[n] != '\t' || memcmp(line + n + 1, sum, SUM_BYTES) != 0)
        return -ENODATA;
    if (x->room <= n) {
        char *more = realloc(x->line, n + 1024);
        if (!more)
            return -ENODATA;
        x->line = more;
        x->room = n + 1024;
    }
    memcpy(x->line, line, n);
    x->line[n] = 0;
    if (strlen(x->line) != n || parse_line(x->line, ret))
        return -ENODATA;
    memcpy(ret->event_id, event_id, SPOOL_EVENT_ID_BYTES);
    return 0;
}

static void put_text(FILE *f, const char *s)
{
    (void)fputc('\t', f);
    for (; s && *s; s++) {
        if (*s == '\t')
            (void)fputs("\\t", f);
        else if (*s == '\n')
            (void)fputs("\\n", f);
        else if (*s == '\\')
            (void)fputs("\\\\", f);
        else
            (void)fputc(*s, f);
    }
}

static void put_line(FILE *f, const struct index_entry *e)
{
    char id[33];
    spool_event_id_format(e->event_id, id);
    (void)fprintf(f,
        "1\t%s\t%" PRIu32 "\t%" PRIu32 "\t%" PRId32 "\t%" PRIx64 "\t%" PRIu64 "\t%" PRIu64
        "\t%" PRIu32 "\t%" PRIu32 "\t%" PRIu64 "\t%s",
        id, e->pid, e->tid, e->code, e->address, e->time_us, e->uptime_ms, e->line,
        e->n_threads, e->report_bytes, index_kind_name(e->kind));
    const char *const texts[N_TEXTS] = {e->app, e->release, e->environment, e->dist,
        e->server, e->executable, e->thread, e->function, e->file, e->module, e->cause};
    for (size_t i = 0; i < N_TEXTS; i++)
        put_text(f, texts[i]);
    for (size_t i = 0; i < e->n_tags && i < INDEX_MAX_TAGS; i++)
        put_text(f, e->tags[i]);
}

/* Lines of @entries, each with its sum; those beyond INDEX_MAX_LINE_BYTES left out. */
static int format_lines(
    const struct index_entry *entries, size_t n, char **ret, size_t *ret_n)
{
    char *all = NULL;
    size_t n_all = 0;
    FILE *to = open_memstream(&all, &n_all);
    if (!to)
        return -ENOMEM;
    bool failed = false;
    for (size_t i = 0; i < n && !failed; i++) {
        CLEANUP(free_p) char *line = NULL;
        size_t n_line = 0;
        FILE *f = open_memstream(&line, &n_line);
        failed = !f;
        if (failed)
            break;
        put_line(f, &entries[i]);
        failed = fclose(f) != 0;
        if (!failed && n_line + 1 + SUM_BYTES <= INDEX_MAX_LINE_BYTES)
            (void)fprintf(to, "%s\t%08" PRIx32 "\n", line, sum_of(line, n_line));
    }
    if (fclose(to) || failed) {
        free(all);
        return -ENOMEM;
    }
    *ret = all;
    *ret_n = n_all;
    return 0;
}

int index_add(struct index *x, const struct index_entry *entry)
{
    CLEANUP(free_p) char *line = NULL;
    size_t n;
    int err = format_lines(entry, 1, &line, &n);
    if (err)
        return err;
    if (!n || x->n_bytes + n > INDEX_MAX_BYTES)
        return -E2BIG;
    if (x->n_bytes + n > x->room_bytes) {
        size_t room = (x->n_bytes + n) * 2;
        char *bytes = realloc(x->bytes, room);
        if (!bytes)
            return -ENOMEM;
        x->bytes = bytes;
        x->room_bytes = room;
    }
    memcpy(x->bytes + x->n_bytes, line, n);
    err = put_slot(x, x->n_bytes, n - 1, true);
    x->n_bytes += n;
    return err;
}

static int open_to_append(const struct spool *s, int *ret)
{
    const int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    CLEANUP(close_p) int fd = openat(s->fd, SPOOL_INDEX_FILE, flags);
    if (fd < 0 && errno == ENOENT) {
        fd = openat(
            s->fd, SPOOL_INDEX_FILE, flags | O_CREAT | O_EXCL, KNELL_SPOOL_FILE_MODE);
        if (fd >= 0 && s->owner != geteuid() && fchown(fd, s->owner, (gid_t)-1) < 0) {
            int err = -errno;
            IGNORE(unlinkat(s->fd, SPOOL_INDEX_FILE, 0), "nobody has written to it yet");
            return err;
        }
        if (fd < 0 && errno == EEXIST)
            fd = openat(s->fd, SPOOL_INDEX_FILE, flags);
    }
    if (fd < 0)
        return -errno;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_nlink != 1 ||
        (st.st_uid != s->owner && st.st_uid != geteuid()))
        return -EPERM;
    if (st.st_size > (off_t)INDEX_MAX_BYTES)
        return -EFBIG;
    *ret = take_fd(&fd);
    return 0;
}

int index_append(const struct spool *s, const struct index_entry *entries, size_t n)
{
    CLEANUP(free_p) char *lines = NULL;
    size_t n_lines;
    int err = format_lines(entries, n, &lines, &n_lines);
    if (err || !n_lines)
        return err;
    CLEANUP(close_p) int fd = -1;
    err = open_to_append(s, &fd);
    if (err)
        return err;
    ssize_t written = write(fd, lines, n_lines);
    if (written < 0)
        return -errno;
    if ((size_t)written < n_lines) {
        /* What was cut is skipped for its sum; end it, so that the next line is whole. */
        IGNORE(write(fd, "\n", 1) != 1, "a cache");
        return -ENOSPC;
    }
    return 0;
}

static int by_event(const void *a, const void *b)
{
    const struct spool_name *x = a, *y = b;
    return memcmp(x->event_id, y->event_id, sizeof x->event_id);
}

static int list_reports(const struct spool *s, struct spool_list *ret)
{
    int err = 0;
    for (int state = SPOOL_NEW; !err && state < SPOOL_N_STATES; state++)
        err = spool_list_add(s, (enum spool_state)state, ret);
    if (ret->n)
        qsort(ret->names, ret->n, sizeof *ret->names, by_event);
    return err;
}

static bool is_there(
    const struct spool_list *l, const uint8_t id[static SPOOL_EVENT_ID_BYTES])
{
    struct spool_name key = {0};
    memcpy(key.event_id, id, sizeof key.event_id);
    return l->n && bsearch(&key, l->names, l->n, sizeof key, by_event);
}

static int compact(const struct spool *s, const struct spool_list *reports)
{
    struct index *x = NULL;
    int err = index_load(s, &x);
    if (!err)
        err = read_all(x);
    if (err) {
        index_free(x);
        return err;
    }
    size_t n_keep = 0, n = 0;
    for (size_t i = 0; i < x->n_slots; i++) {
        uint8_t id[SPOOL_EVENT_ID_BYTES];
        struct slot *slot = &x->slots[i];
        if (!slot->n || !line_id(x->bytes + slot->at, slot->n, id))
            continue;
        if (!is_there(reports, id))
            slot->n = 0;
        n_keep += slot->n != 0;
    }
    char *out = NULL;
    if (x->n_lines > COMPACT_LINES && x->n_lines > 2 * n_keep) {
        out = malloc(x->n_bytes + 1);
        err = out ? 1 : -ENOMEM;
    }
    for (size_t i = 0; out && i < x->n_slots; i++) {
        const struct slot *slot = &x->slots[i];
        if (!slot->n)
            continue;
        memcpy(out + n, x->bytes + slot->at, slot->n + 1);
        n += slot->n + 1;
    }
    if (out) {
        int write_err = spool_replace_file(s->fd, SPOOL_INDEX_FILE, out, n);
        err = write_err ? write_err : err;
    }
    free(out);
    index_free(x);
    return err;
}

int index_compact(const struct spool *s)
{
    struct spool_list reports = {0};
    struct stat st;
    if (fstatat(s->fd, SPOOL_INDEX_FILE, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISREG(st.st_mode) || st.st_size < COMPACT_BYTES)
        return 0;
    if (st.st_size > (off_t)INDEX_MAX_BYTES) /* nobody reads it any more */
        return unlinkat(s->fd, SPOOL_INDEX_FILE, 0) < 0 ? -errno : 1;
    int err = list_reports(s, &reports);
    if (!err)
        err = compact(s, &reports);
    spool_list_done(&reports);
    return err;
}
