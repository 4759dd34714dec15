#include "uploader/inspect/shut_in.h"

#include "uploader/worker/sandbox.h"
#include "uploader/worker/sandbox_files.h"

#include <errno.h>
#include <grp.h>
#include <libgen.h>
#include <string.h>
#include <unistd.h>

enum {
    MAX_READABLE = WORKER_MAX_FOLDERS + 4,
    MAX_WRITABLE = STORE_MAX_SPOOLS + 2 + WORKER_MAX_WRITABLE
};

/* A sanitizer's and a coverage build's own work at exit needs what is given up here. */
#ifdef KNELL_INSTRUMENTED
enum { IS_INSTRUMENTED = 1 };
#else
enum { IS_INSTRUMENTED = 0 };
#endif

static void add(const char **list, size_t *n, const char *path)
{
    if (path && *path)
        list[(*n)++] = path;
}

/* The file that --output names; NULL: none is made. */
static const char *output_of(const struct options *o)
{
    return o->output && strcmp(o->output, "-") != 0 ? o->output : NULL;
}

/* Those that make a folder or move a file to another one. */
static bool arranges(const struct options *o)
{
    switch (o->command) {
    case COMMAND_IMPORT:
    case COMMAND_RETRY:
    case COMMAND_HOLD:
    case COMMAND_RELEASE:
        return true;
    case COMMAND_VERIFY:
        return o->repair;
    default:
        return false;
    }
}

int become_owner(struct session *s, const struct store *t)
{
    if (geteuid() != 0 || output_of(&s->options) || !t->n_spools)
        return 0;
    const struct spool *first = t->spools[0].spool;
    for (size_t i = 1; i < t->n_spools; i++)
        if (t->spools[i].spool->owner != first->owner)
            return 0; /* nobody but root reads them all */
    struct stat st;
    if (first->owner == 0)
        return 0;
    (void)session_settings(s); /* root's, perhaps */
    if (fstat(first->fd, &st) < 0 || setgroups(1, &st.st_gid) < 0 ||
        setresgid(st.st_gid, st.st_gid, st.st_gid) < 0 ||
        setresuid(first->owner, first->owner, first->owner) < 0)
        return -errno;
    return 0;
}

void shut_in(struct session *s, const struct store *t)
{
    const struct options *o = &s->options;
    const char *readable[MAX_READABLE + 1] = {NULL}, *writable[MAX_WRITABLE + 1] = {NULL};
    CLEANUP(free_p) char *output = output_of(o) ? strdup(o->output) : NULL;
    size_t n_readable = 0, n_writable = 0;
    const char *ours[WORKER_MAX_WRITABLE + 1] = {NULL};
    if (IS_INSTRUMENTED)
        return;
    if (session_settings(s))
        worker_settings_files(s->settings, readable, ours);
    while (readable[n_readable])
        n_readable++;
    add(readable, &n_readable, o->debug_dir);
    add(readable, &n_readable, o->store);
    add(readable, &n_readable, o->sysroot);
    for (size_t i = 0; i < t->n_spools; i++)
        add(writable, &n_writable, t->spools[i].spool->path);
    for (size_t i = 0; ours[i]; i++)
        add(writable, &n_writable, ours[i]);
    if (output)
        add(writable, &n_writable, dirname(output));
    const struct sandbox_files files = {
        .readable = readable, .writable = writable, .arrange = arranges(o)};
    CLEANUP(close_p) int rules = sandbox_files_new(&files);
    int err = rules < 0 && rules != -EOPNOTSUPP ? rules : become_owner(s, t);
    if (!err)
        err = sandbox_close_off(rules);
    if (err)
        session_complain(s, "reading without a sandbox: %s", strerrordesc_np(-err));
}

void shut_in_before_reading(struct session *s, const struct store *t)
{
    s->shut_in_for = t;
}

void shut_in_if_due(struct session *s)
{
    const struct store *t = s->shut_in_for;
    s->shut_in_for = NULL;
    if (t)
        shut_in(s, t);
}
