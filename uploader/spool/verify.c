/* tend_verify(): is every file of a spool what it should be, where it should be? */
#include "uploader/spool/tend.h"

#include "symbolize/bytes.h"

#include <fcntl.h>
#include <knell/minidump.h>
#include <limits.h>
#include <stdio.h>

struct check {
    const struct spool *spool;
    enum spool_state state;
    void (*found)(void *ctx, const struct tend_finding *finding);
    void *ctx;
    long n;
    struct spool_list all; /* reports of all folders, to find twins */
};

static void tell(struct check *c, const char *file, const char *what)
{
    c->n++;
    if (c->found)
        c->found(c->ctx,
            &(struct tend_finding){.state = c->state, .file = file, .what = what});
}

/* The header and the bounds of each stream. @fd  of @n bytes */
static const char *look_into(int fd, uint64_t n)
{
    uint8_t head[sizeof(struct knell_md_header) +
                 KNELL_MAX_STREAMS * sizeof(struct knell_md_directory)];
    ssize_t got = pread(fd, head, sizeof(struct knell_md_header), 0);
    if (got < (ssize_t)sizeof(struct knell_md_header))
        return "too short";
    struct bytes b = bytes_of(head, (size_t)got);
    uint32_t magic = bytes_u32(&b, "magic");
    (void)bytes_u32(&b, "version");
    uint32_t n_streams = bytes_u32(&b, "streams"), rva = bytes_u32(&b, "directory");
    if (magic != KNELL_MINIDUMP_MAGIC)
        return "not a minidump";
    size_t n_directory = (size_t)n_streams * sizeof(struct knell_md_directory);
    if (n_streams > KNELL_MAX_STREAMS || rva > n || n_directory > n - rva ||
        pread(fd, head, n_directory, (off_t)rva) != (ssize_t)n_directory)
        return "directory out of bounds";
    b = bytes_of(head, n_directory);
    for (uint32_t i = 0; i < n_streams; i++) {
        (void)bytes_u32(&b, "type");
        uint64_t n_bytes = bytes_u32(&b, "size"), at = bytes_u32(&b, "rva");
        if (at > n || n_bytes > n - at)
            return "a stream out of bounds";
    }
    return NULL;
}

static bool has_why(const struct check *c, const char *file)
{
    char why[NAME_MAX + 1];
    const char *dot = strrchr(file, '.');
    int n = dot ? (int)(dot - file) : (int)strlen(file);
    snprintf(why, sizeof why, "%.*s%s", n, file, KNELL_WHY_SUFFIX);
    return faccessat(c->spool->state_fd[SPOOL_BAD], why, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static const char *fault_of(int r)
{
    switch (r) {
    case -ELOOP:
        return "a symbolic link";
    case -EBADF:
    case -ENXIO:
        return "not a regular file";
    case -EMLINK:
        return "more than one name";
    case -EPERM:
        return "owner or mode";
    case -E2BIG:
        return "too large";
    default:
        return "cannot be opened";
    }
}

static void verify_report(struct check *c, const char *file, bool segment)
{
    CLEANUP(close_p) int fd = -1;
    struct stat st;
    int r = spool_open_file(c->spool, c->state, file, KNELL_MAX_REPORT_BYTES, &fd, &st);
    if (r == -ENOENT)
        return; /* moved meanwhile */
    const char *what = r < 0 ? fault_of(r) : NULL;
    if (!what && !segment)
        what = look_into(fd, (uint64_t)st.st_size);
    if (what)
        tell(c, file, what);
}

static int verify_one(void *ctx, const char *file, const struct spool_name *name)
{
    struct check *c = ctx;
    const char *dot = strrchr(file, '.');
    if (c->state == SPOOL_BAD) {
        /* What lies here is known to be bad; but somebody must have said why. */
        if (!(dot && !strcmp(dot, KNELL_WHY_SUFFIX)) && name && !has_why(c, file))
            tell(c, file, "quarantined without a reason");
        return 0;
    }
    if (!name) {
        tell(c, file, "not a report's name");
        return 0;
    }
    verify_report(c, file, name->segment);
    return 0;
}

static int verify_live(void *ctx, const char *file, const struct spool_name *name)
{
    struct check *c = ctx;
    struct spool_live_name live;
    (void)name;
    if (spool_live_name_parse(file, &live) < 0)
        tell(c, file, "not the name of a live file");
    return 0;
}

static int by_event(const void *a, const void *b)
{
    const struct spool_name *x = a, *y = b;
    return memcmp(x->event_id, y->event_id, sizeof x->event_id);
}

static int find_twins(struct check *c)
{
    int r = 0;
    for (int i = SPOOL_NEW; !r && i <= SPOOL_SENT; i++)
        r = spool_list_add(c->spool, (enum spool_state)i, &c->all);
    if (r < 0 || !c->all.n)
        return r;
    qsort(c->all.names, c->all.n, sizeof *c->all.names, by_event);
    for (size_t i = 1; i < c->all.n; i++) {
        char file[KNELL_SPOOL_NAME_BYTES + 1];
        if (by_event(&c->all.names[i - 1], &c->all.names[i]) != 0)
            continue;
        spool_name_format(&c->all.names[i], file);
        tell(c, file, "the same report in two places");
    }
    return 0;
}

long tend_verify(const struct spool *s,
    void (*found)(void *ctx, const struct tend_finding *finding), void *ctx)
{
    struct check c = {.spool = s, .found = found, .ctx = ctx};
    c.state = SPOOL_LIVE;
    int r = spool_each(s, SPOOL_LIVE, verify_live, &c);
    for (int i = SPOOL_NEW; !r && i < SPOOL_N_STATES; i++) {
        c.state = (enum spool_state)i;
        r = spool_each(s, c.state, verify_one, &c);
    }
    c.state = SPOOL_NEW;
    if (!r)
        r = find_twins(&c);
    spool_list_done(&c.all);
    return r < 0 ? r : c.n;
}
