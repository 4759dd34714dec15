/* export and import: a report with the files that name its frames, for another machine.
 */
#include "symbolize/elf_file.h"
#include "uploader/inspect/as_sent.h"
#include "uploader/inspect/commands.h"
#include "uploader/inspect/select.h"
#include "uploader/inspect/shut_in.h"
#include "uploader/inspect/tar.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REPORT_PREFIX "report/"
#define EVENT_PREFIX "event/"
#define SYMBOLS_PREFIX "symbols/"
#define MAX_BUNDLE_BYTES (UINT64_C(2) << 30)

struct bundle {
    struct output out;
    char (*symbols)[TAR_NAME_BYTES + 1]; /* those that are in it */
    size_t n_symbols, room;
};

/* Several reports of one program need the same files, which go along once. */
static bool has_symbols(const struct bundle *b, const char *name)
{
    for (size_t i = 0; i < b->n_symbols; i++)
        if (strcmp(b->symbols[i], name) == 0)
            return true;
    return false;
}

static int put_symbols_once(
    struct bundle *b, const char *name, const void *bytes, size_t n)
{
    if (b->n_symbols == b->room) {
        size_t room = b->room ? 2 * b->room : 16;
        void *more = reallocarray(b->symbols, room, sizeof *b->symbols);
        if (!more)
            return -ENOMEM;
        b->symbols = more;
        b->room = room;
    }
    (void)snprintf(b->symbols[b->n_symbols++], sizeof *b->symbols, "%s", name);
    return tar_put(&b->out, name, bytes, n);
}

/* A file of this machine, when it is a regular one and this very object. */
static int put_file(
    struct bundle *b, const char *name, const char *path, const struct crash_module *m)
{
    struct elf_file f;
    if (has_symbols(b, name))
        return 0;
    if (elf_file_open(path, &f) < 0)
        return 0;
    bool same = elf_file_is(&f, m->build_id, m->n_build_id);
    elf_file_done(&f);
    if (!same)
        return 0;
    CLEANUP(close_p) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    CLEANUP(free_p) uint8_t *bytes = NULL;
    size_t n;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        spool_read_all(fd, MAX_BUNDLE_BYTES / 4, &bytes, &n) || n < SELFMAG ||
        memcmp(bytes, ELFMAG, SELFMAG) != 0)
        return 0; /* without it the frames are addresses there as here */
    return put_symbols_once(b, name, bytes, n);
}

/* Executables and debug files of the modules that frames lie in, by build-id. */
static int put_symbols(struct bundle *b, const struct crash *c)
{
    int err = 0;
    for (uint32_t i = 0; i < c->n_modules && !err; i++) {
        const struct crash_module *m = &c->modules[i];
        char id[LOADER_BUILD_ID_BYTES], name[TAR_NAME_BYTES + 1], path[256];
        /* The report chooses the paths: only a file that is this very object goes along,
         * never what a crafted one would like to be sent. */
        if (!m->asked || m->n_build_id < 4 || m->n_build_id > 32 || !m->path ||
            (m->status != KNELL_SYMBOL_OK && m->status != KNELL_SYMBOL_SYMTAB_ONLY &&
                m->status != KNELL_SYMBOL_NOT_FOUND))
            continue;
        (void)snprintf(
            name, sizeof name, SYMBOLS_PREFIX "%.64s/executable", loader_build_id(m, id));
        err = put_file(b, name, m->path, m);
        (void)snprintf(name, sizeof name, SYMBOLS_PREFIX "%.64s/debuginfo", id);
        (void)snprintf(
            path, sizeof path, "/usr/lib/debug/.build-id/%.2s/%.64s.debug", id, id + 2);
        if (!err)
            err = put_file(b, name, path, m);
    }
    return err;
}

/* What knell-upload makes of it, for people and tools that know events. */
static int put_event(struct session *s, struct store *t, const struct report *r,
    const struct loaded *l, struct output *o)
{
    char id[33], name[TAR_NAME_BYTES + 1];
    CLEANUP(free_p) uint8_t *event = NULL;
    size_t n = 0;
    int err = as_sent_event(s, t, r, l->bytes, l->n_bytes, &event, &n);
    spool_event_id_format(r->name.event_id, id);
    (void)snprintf(name, sizeof name, EVENT_PREFIX "%s.json", id);
    if (err == -ENODATA)
        return 0; /* a rule drops it */
    return err ? err : tar_put(o, name, event, n);
}

/* @ret_unread  set when there is nothing to write: the report cannot be read */
static int put_report(struct session *s, struct store *t, struct report *r,
    struct bundle *b, int *ret_unread)
{
    char file[KNELL_SPOOL_NAME_BYTES + 1], name[TAR_NAME_BYTES + 1];
    struct loaded l;
    struct report_error why = {0};
    int err = loader_open(s, t, r, &l, &why);
    if (err) {
        const char *fault =
            err == -ENOENT ? "it was removed meanwhile" : spool_fault(err);
        session_complain(s, "%s is left out: %s", report_file(r, file),
            fault ? fault : strerrordesc_np(-err));
        loader_done(&l);
        *ret_unread = err == -ENOENT ? -ENODATA : fault ? -EBADMSG : err;
        return 0;
    }
    (void)snprintf(name, sizeof name, REPORT_PREFIX "%s", report_file(r, file));
    err = tar_put(&b->out, name, l.bytes, l.n_bytes);
    if (!err)
        err = put_event(s, t, r, &l, &b->out);
    if (!err)
        err = put_symbols(b, l.crash);
    loader_done(&l);
    return err;
}

int command_export(struct session *s)
{
    struct store t;
    struct selection x = {0};
    struct bundle b = {0};
    uint64_t n_bytes = 0;
    size_t n = 0;
    int unread = 0, err = store_open(s, &t);
    if (!err)
        err = output_open(s, &b.out);
    if (!err) {
        shut_in(s, &t);
        err = select_few(s, &t, &x);
        if (err)
            output_drop(&b.out);
    }
    if (!err) {
        for (size_t i = 0; i < x.n && !err; i++) {
            int left_out = 0;
            err = put_report(s, &t, x.reports[i], &b, &left_out);
            n += !left_out && !err;
            unread = left_out ? left_out : unread;
        }
        if (!err)
            err = tar_end(&b.out);
        n_bytes = b.out.n_bytes;
        err = output_close(s, &b.out, err);
    }
    if (!err && s->options.json)
        output_json(s, n_bytes, n);
    else if (!err && s->options.output)
        session_note(s, "%zu report%s in %s.", n, n == 1 ? "" : "s", s->options.output);
    free(b.symbols);
    selection_done(&x);
    store_close(&t);
    return session_exit_code(err ? err : unread);
}

/* A new file in a folder, whole or not at all. */
static int make_file(int dir_fd, const char *file, const uint8_t *bytes, size_t n)
{
    struct stat st;
    if (fstatat(dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return -EEXIST;
    return spool_replace_file(dir_fd, file, bytes, n);
}

static int take_report(const struct spool *spool, const struct tar_entry *e)
{
    const char *file = e->name + strlen(REPORT_PREFIX);
    struct spool_name name;
    struct crash *c = NULL;
    char canonical[KNELL_SPOOL_NAME_BYTES + 1];
    int err = spool_name_parse(file, &name);
    if (!err)
        err = report_read(e->bytes, e->n, &c, NULL);
    crash_free(c);
    if (!err)
        err = spool_has_event(spool, name.event_id);
    if (err)
        return err < 0 ? err : -EEXIST;
    /* "Due then", and "held until there is consent", was said of the other spool: a stay
     * in hold/ that only a person ends has neither. */
    name.not_before_s = 0;
    name.attempts = 0;
    spool_name_format(&name, canonical);
    return make_file(spool->state_fd[SPOOL_HOLD], canonical, e->bytes, e->n);
}

static int open_folder(int dir_fd, const char *name)
{
    if (mkdirat(dir_fd, name, KNELL_SPOOL_DIR_MODE) < 0 && errno != EEXIST)
        return -errno;
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* symbols/HEX/executable or debuginfo; nothing else gets a name. */
static int take_symbols(const struct spool *spool, const struct tar_entry *e)
{
    const char *id = e->name + strlen(SYMBOLS_PREFIX);
    size_t n = strspn(id, "0123456789abcdef");
    if (n < 8 || n > 64 || id[n] != '/')
        return -EBADMSG;
    const char *kind = strcmp(id + n, "/executable") == 0  ? "executable"
                       : strcmp(id + n, "/debuginfo") == 0 ? "debuginfo"
                                                           : NULL;
    if (!kind)
        return -EBADMSG;
    char hex[65];
    (void)snprintf(hex, sizeof hex, "%.*s", (int)n, id);
    CLEANUP(close_p) int store = open_folder(spool->fd, SPOOL_SYMBOLS);
    if (store < 0)
        return store;
    CLEANUP(close_p) int dir = open_folder(store, hex);
    if (dir < 0)
        return dir;
    int err = make_file(dir, kind, e->bytes, e->n);
    return err == -EEXIST ? 0 : err;
}

static int take_bundle(
    struct session *s, const struct spool *spool, int fd, size_t *ret_n)
{
    CLEANUP(free_p) uint8_t *bytes = NULL;
    size_t n, at = 0;
    struct tar_entry e;
    int err = spool_read_all(fd, MAX_BUNDLE_BYTES, &bytes, &n);
    for (int more = 1; !err && more;) {
        more = tar_next(bytes, n, &at, &e);
        if (more <= 0) {
            err = more;
        } else if (strncmp(e.name, REPORT_PREFIX, strlen(REPORT_PREFIX)) == 0) {
            err = take_report(spool, &e);
            *ret_n += !err;
            if (err == -EEXIST) {
                session_note(s, "A report of the bundle is here already.");
                err = 0;
            }
        } else if (strncmp(e.name, SYMBOLS_PREFIX, strlen(SYMBOLS_PREFIX)) == 0) {
            err = take_symbols(spool, &e);
        } else if (strncmp(e.name, EVENT_PREFIX, strlen(EVENT_PREFIX)) != 0) {
            err = -EBADMSG; /* an event is made anew from its report */
        }
    }
    if (err)
        session_complain(s, "cannot import a bundle: %s",
            err == -EBADMSG ? "it is no bundle, or not whole" : strerrordesc_np(-err));
    return err;
}

static int open_bundle(const struct session *s, const char *path, int *ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd >= 0) {
        *ret = fd;
        return 0;
    }
    int err = -errno;
    session_complain(s, "cannot open a bundle: %s: %s", path, strerrordesc_np(-err));
    return err;
}

/* Another machine may have no spool, or one of which only part came along. */
static int make_spool(const struct session *s)
{
    char **paths;
    int n = store_paths(&s->options, &paths), err = 0;
    if (n < 0)
        return n;
    struct stat st;
    /* In a daemon's own spool root's folders would keep the daemon out. */
    if (n == 1 && (stat(paths[0], &st) < 0 || st.st_uid == geteuid())) {
        struct spool *spool = NULL;
        err = spool_open(paths[0], true, &spool);
        spool_close(spool);
        if (err)
            store_complain(s, paths[0], err);
    }
    store_paths_free(paths, n);
    return err;
}

int command_import(struct session *s)
{
    struct store t = {0};
    size_t n = 0;
    if (!s->options.n_arguments) {
        session_complain(s, "import: name the bundles");
        return EXIT_USAGE;
    }
    const int n_bundles = s->options.n_arguments;
    CLEANUP(free_p) int *bundles = calloc((size_t)n_bundles, sizeof *bundles);
    int err = make_spool(s), n_open = 0;
    if (!err)
        err = store_open_one(s, &t);
    if (!err && !bundles)
        err = -ENOMEM;
    /* All of them while they can be opened; none is read before nothing else can. */
    for (; n_open < n_bundles && !err; n_open += !err)
        err = open_bundle(s, s->options.arguments[n_open], &bundles[n_open]);
    if (!err)
        shut_in(s, &t);
    for (int i = 0; i < n_bundles && !err; i++)
        err = take_bundle(s, t.spools[0].spool, bundles[i], &n);
    while (n_open > 0)
        close_p(&bundles[--n_open]);
    if (!err && s->options.json) {
        struct json j = session_json(s);
        json_uint(&j, "imported", n);
        json_end_object(&j);
    } else if (!err) {
        session_note(s, "%zu report%s imported, held.", n, n == 1 ? "" : "s");
    }
    store_close(&t);
    return session_exit_code(err);
}
