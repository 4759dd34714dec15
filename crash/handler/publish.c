#include "crash/handler/publish.h"

#include "crash/handler/digits.h"
#include "crash/handler/modules.h"
#include "crash/handler/proc.h"
#include "crash/handler/regs.h"
#include <errno.h>
#include <fcntl.h>
#include <knell/spool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "crash/handler/poison.h"

enum {
    PATH_BYTES = KN_SPOOL_PATH_BYTES + KN_LIVE_NAME_BYTES + 8,
    N_SIGNATURE_FRAMES = 8,
    START_TICKS_FIELD = 22, /* proc(5), /proc/PID/stat */
    HEADER_BYTES = sizeof(struct knell_md_header),
};
#define FNV_OFFSET 0xcbf29ce484222325u
#define FNV_PRIME 0x100000001b3u

/* A name in one of the spool's folders: through its descriptor, else by its path. */
struct place {
    int dir;
    char path[PATH_BYTES];
};

static void place_init(struct place *ret, const struct kn_process *p,
    const struct kn_file *folder, const char *folder_name, const char *name)
{
    struct kn_text t;
    kn_text_init(&t, ret->path, sizeof ret->path);
    ret->dir = AT_FDCWD;
    if (kn_file_ours(folder)) {
        ret->dir = folder->fd;
    } else {
        kn_text_put(&t, p->spool_path);
        kn_text_put(&t, "/");
        kn_text_put(&t, folder_name);
        kn_text_put(&t, "/");
    }
    kn_text_put(&t, name);
}

static uint64_t start_ticks(struct kn_capture *c)
{
    char *text = (char *)c->scratch;
    int n = kn_proc_read(c, "stat", text, sizeof c->scratch), at = n;
    while (at > 0 && text[at - 1] != ')')
        at--;
    for (int field = 2; at > 0 && at < n; at++) {
        if (text[at] != ' ' || ++field < START_TICKS_FIELD)
            continue;
        const char *p = text + at + 1;
        return kn_number(&p, text + n, 10);
    }
    return 0;
}

/* Another report than the one that was prepared has another event id. */
static void new_name(struct kn_capture *c)
{
    struct kn_process *p = c->process;
    long got = KN_SYS3(SYS_getrandom, p->event_id, sizeof p->event_id, GRND_NONBLOCK);
    uint64_t now = kn_now_ns(CLOCK_REALTIME) ^ (uint64_t)p->pid << 40;
    if (got != (long)sizeof p->event_id)
        memcpy(p->event_id, &now, sizeof now);
    p->event_id[6] = (uint8_t)((p->event_id[6] & 0x0f) | 0x40); /* a UUID of version 4 */
    p->event_id[8] = (uint8_t)((p->event_id[8] & 0x3f) | 0x80);
    struct kn_text t;
    kn_text_init(&t, p->live_name, sizeof p->live_name);
    kn_text_hex_bytes(&t, p->boot_id, 4);
    kn_text_put(&t, "-");
    kn_text_dec(&t, (uint64_t)p->pid);
    kn_text_put(&t, "-");
    kn_text_dec(&t, start_ticks(c));
    kn_text_put(&t, "-");
    kn_text_hex_bytes(&t, p->event_id, sizeof p->event_id);
    kn_text_put(&t, KNELL_SPOOL_SUFFIX);
}

static void make_folder(const struct kn_process *p, const char *name)
{
    char path[PATH_BYTES];
    struct kn_text t;
    kn_text_init(&t, path, sizeof path);
    kn_text_put(&t, p->spool_path);
    kn_text_put(&t, name);
    (void)KN_SYS3(SYS_mkdirat, AT_FDCWD, path, KNELL_SPOOL_DIR_MODE);
}

/* The daemon closed our descriptor, but the file is still there. */
static int reopen(struct kn_process *p)
{
    struct place at;
    place_init(&at, p, &p->live, KNELL_SPOOL_LIVE, p->live_name);
    struct kn_file again = p->dump;
    again.fd =
        (int)KN_SYS4(SYS_openat, at.dir, at.path, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
    if ((again.fd == -EMFILE || again.fd == -ENFILE) && kn_file_ours(&p->spare)) {
        kn_close(p->spare.fd);
        p->spare.fd = -1;
        again.fd =
            (int)KN_SYS4(SYS_openat, at.dir, at.path, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
    }
    if (kn_file_ours(&again))
        return again.fd;
    kn_close(again.fd);
    return again.fd < 0 ? again.fd : -ENOENT;
}

static int create(const struct kn_process *p)
{
    struct place at;
    place_init(&at, p, &p->live, KNELL_SPOOL_LIVE, p->live_name);
    return (int)KN_SYS4(SYS_openat, at.dir, at.path,
        O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, KNELL_SPOOL_FILE_MODE);
}

static int open_new(struct kn_capture *c)
{
    struct kn_process *p = c->process;
    new_name(c);
    int fd = create(p);
    if ((fd == -EMFILE || fd == -ENFILE) && kn_file_ours(&p->spare)) {
        kn_close(p->spare.fd);
        p->spare.fd = -1;
        fd = create(p);
    }
    if (fd == -ENOENT) { /* somebody removed the spool */
        p->live.fd = p->fresh.fd = -1;
        make_folder(p, "");
        make_folder(p, "/" KNELL_SPOOL_LIVE);
        make_folder(p, "/" KNELL_SPOOL_NEW);
        fd = create(p);
    }
    if (fd >= 0)
        (void)KN_SYS2(SYS_flock, fd, LOCK_EX | LOCK_NB);
    return fd;
}

/* The reserved file as before, where there can be no other. */
static int open_another(struct kn_capture *c)
{
    struct kn_process *p = c->process;
    char name[sizeof p->live_name];
    uint8_t id[sizeof p->event_id];
    memcpy(name, p->live_name, sizeof name);
    memcpy(id, p->event_id, sizeof id);
    int fd = open_new(c);
    if (fd < 0 && c->sink.map) {
        memcpy(p->live_name, name, sizeof name);
        memcpy(p->event_id, id, sizeof id);
    }
    if (fd >= 0)
        c->sink.map = NULL; /* of another file */
    return fd;
}

/* The soft limit on file sizes is the daemon's; a report may go to the hard one. */
static void raise_file_size_limit(struct kn_capture *c)
{
    struct rlimit r;
    if (KN_SYS4(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, &r) || r.rlim_cur == r.rlim_max)
        return;
    if (!c->has_raised_limit)
        c->soft_limit = r.rlim_cur;
    c->has_raised_limit = true;
    r.rlim_cur = r.rlim_max;
    (void)KN_SYS4(SYS_prlimit64, 0, RLIMIT_FSIZE, &r, 0);
}

static void give_back_limit(struct kn_capture *c)
{
    struct rlimit r;
    if (!c->has_raised_limit || KN_SYS4(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, &r))
        return;
    r.rlim_cur = c->soft_limit;
    (void)KN_SYS4(SYS_prlimit64, 0, RLIMIT_FSIZE, &r, 0);
}

void kn_publish_end(struct kn_capture *c)
{
    give_back_limit(c);
    if (!c->n_commits)
        return;
    if (c->sink.fd == c->process->dump.fd)
        c->process->dump.fd = -1;
    kn_close(c->sink.fd);
    c->sink.fd = -1;
}

void kn_publish_open(struct kn_capture *c)
{
    struct kn_process *p = c->process;
    struct stat st;
    if (c->info) /* it is dying: most likely nobody else needs the limit any more */
        raise_file_size_limit(c);
    bool usable = false, lost = false;
    if (p->has_file && kn_file_ours(&p->dump) && !KN_SYS2(SYS_fstat, p->dump.fd, &st)) {
        usable = st.st_nlink;
        lost = !usable;
    }
    if (p->has_file && !usable)
        kn_note(c, -EBADF, 0);
    c->sink.fd = usable ? p->dump.fd : p->has_file ? reopen(p) : -ENOENT;
    c->sink.map = p->has_file && !lost ? p->dump_map : NULL;
    c->sink.n_map = p->n_dump_map;
    /* No such name: the spool was removed, or lies outside of what is the root now. In
     * any other case the file is there, and the mapping of it serves. */
    if (c->sink.fd < 0 && (!c->sink.map || c->sink.fd == -ENOENT))
        c->sink.fd = open_another(c);
    if (c->sink.fd < 0)
        kn_note(c, c->sink.fd, 0);
    p->has_file = false; /* used up, whatever happens now */
    kn_sink_rewind(&c->sink, HEADER_BYTES);
}

static void hash(uint64_t *h, const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        *h = (*h ^ ((const uint8_t *)p)[i]) * FNV_PRIME;
}

/**
 * 48 bits that two deaths of the same cause share: the signal, and module and offset of
 * the innermost frames.
 *
 * Context: signal handler.
 */
static uint64_t signature_of(const struct kn_capture *c)
{
    const uint64_t pc = c->uc ? kn_regs_pc(c->uc) : 0;
    const uint64_t *frames = c->n_frames ? c->frames : &pc;
    uint32_t n = c->n_frames ? c->n_frames : 1;
    uint64_t h = FNV_OFFSET;
    hash(&h, &c->signo, sizeof c->signo);
    for (uint32_t i = 0; i < n && i < N_SIGNATURE_FRAMES; i++) {
        const struct kn_module *m = kn_modules_find(c, frames[i]);
        uint64_t offset = m ? frames[i] - m->base : 0;
        if (m)
            hash(&h, m->build_id, m->n_build_id);
        hash(&h, &offset, sizeof offset);
    }
    return (h ^ h >> 48) & 0xffffffffffffu;
}

static void fresh_name(const struct kn_capture *c, char *out, size_t room)
{
    struct kn_text t;
    kn_text_init(&t, out, room);
    kn_text_dec_width(&t, c->time_ns / 1000000, KNELL_SPOOL_TIME_DIGITS);
    kn_text_put(&t, "-");
    kn_text_hex(&t, signature_of(c), KNELL_SPOOL_SIGNATURE_DIGITS);
    kn_text_put(&t, "-");
    kn_text_hex_bytes(&t, c->process->event_id, sizeof c->process->event_id);
    kn_text_put(&t, "-s");
    kn_text_dec_width(&t, (uint64_t)c->signo, 2);
    kn_text_put(&t, ".a00.n");
    kn_text_dec_width(&t, 0, KNELL_SPOOL_NOT_BEFORE_DIGITS);
    kn_text_put(&t, KNELL_SPOOL_SUFFIX);
}

void kn_publish(struct kn_capture *c)
{
    const struct kn_process *p = c->process;
    char name[KNELL_SPOOL_NAME_BYTES + 1];
    struct place from, to;
    if (!c->n_commits)
        return;
    /* Giving back what was reserved may take the file system as long as all the rest:
     * it is left to the uploader, or to the next start, unless the process lives on. */
    if (!c->info)
        (void)KN_SYS2(SYS_ftruncate, c->sink.fd, c->n_report_bytes);
    fresh_name(c, name, sizeof name);
    place_init(&from, p, &p->live, KNELL_SPOOL_LIVE, p->live_name);
    place_init(&to, p, &p->fresh, KNELL_SPOOL_NEW, name);
    (void)KN_SYS4(SYS_renameat, from.dir, from.path, to.dir, to.path);
}
