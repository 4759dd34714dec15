#include "uploader/inspect/store.h"

#include "uploader/inspect/safe.h"
#include "uploader/inspect/unadopted.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct paths {
    char **list;
    int n;
};

static int add_path(struct paths *p, const char *dir, const char *name)
{
    if (p->n == STORE_MAX_SPOOLS)
        return -E2BIG;
    char **list = realloc(p->list, ((size_t)p->n + 1) * sizeof *list);
    if (!list)
        return -ENOMEM;
    p->list = list;
    char *path;
    int n = name ? asprintf(&path, "%s/%s", dir, name) : asprintf(&path, "%s", dir);
    if (n < 0)
        return -ENOMEM;
    p->list[p->n++] = path;
    return 0;
}

/* Every folder under @root that holds a folder new/ is a spool. */
static int add_found(struct paths *p, const char *root)
{
    DIR *dir = opendir(root);
    if (!dir)
        return errno == ENOENT || errno == EACCES || errno == ENOTDIR ? 0 : -errno;
    int err = 0;
    for (struct dirent *e; !err && (e = readdir(dir));) {
        if (e->d_name[0] == '.')
            continue;
        CLEANUP(free_p) char *probe = NULL;
        if (asprintf(&probe, "%s/%s/" KNELL_SPOOL_NEW, root, e->d_name) < 0) {
            probe = NULL;
            err = -ENOMEM;
            break;
        }
        struct stat st;
        /* One that may not be looked into is kept, so that its refusal is reported. */
        if ((stat(probe, &st) == 0 && S_ISDIR(st.st_mode)) || errno == EACCES)
            err = add_path(p, root, e->d_name);
    }
    IGNORE(closedir(dir), "nothing was written");
    return err;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int store_paths(const struct options *o, char ***ret)
{
    struct paths p = {0};
    const char *given = o->spool ? o->spool : getenv("KNELL_SPOOL");
    int err = 0;
    if (!o->all && given && *given) {
        err = add_path(&p, given, NULL);
    } else {
        CLEANUP(free_p) char *user = NULL;
        const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
        int n = 0;
        if (state && *state == '/')
            n = asprintf(&user, "%s/knell", state);
        else if (home && *home == '/')
            n = asprintf(&user, "%s/.local/state/knell", home);
        if (n < 0) {
            user = NULL;
            return -ENOMEM;
        }
        err = add_found(&p, KNELL_SPOOL_SYSTEM_ROOT);
        if (!err && user)
            err = add_found(&p, user);
        if (!err && o->all && given && *given)
            err = add_path(&p, given, NULL);
        if (p.n)
            qsort(p.list, (size_t)p.n, sizeof *p.list, compare_paths);
    }
    if (err) {
        store_paths_free(p.list, p.n);
        return err;
    }
    *ret = p.list;
    return p.n;
}

void store_paths_free(char **paths, int n)
{
    for (int i = 0; i < n; i++)
        free(paths[i]);
    free(paths);
}

static int add_reports(struct store *t, uint32_t spool, enum spool_state state)
{
    struct spool_list list = {0};
    int err = spool_list_add(t->spools[spool].spool, state, &list);
    struct report *more = NULL;
    if (!err && list.n) {
        more = realloc(t->reports, (t->n_reports + list.n) * sizeof *more);
        err = more ? 0 : -ENOMEM;
    }
    if (more)
        t->reports = more;
    for (size_t i = 0; !err && i < list.n; i++)
        t->reports[t->n_reports++] = (struct report){
            .name = list.names[i], .spool = spool, .state = (uint32_t)state};
    spool_list_done(&list);
    return err;
}

static int newest_first(const void *a, const void *b)
{
    const struct report *x = a, *y = b;
    if (x->name.time_ms != y->name.time_ms)
        return x->name.time_ms < y->name.time_ms ? 1 : -1;
    return memcmp(y->name.event_id, x->name.event_id, sizeof x->name.event_id);
}

/* The reports behind the sorted ones are a heap with its root at the array's end, so that
 * the newest, taken off the root, changes places with what stands at the front. */
static struct report *in_heap(const struct store *t, size_t i)
{
    return &t->reports[t->n_reports - 1 - i];
}

static void sift_down(const struct store *t, size_t i)
{
    size_t n = t->n_reports - t->n_sorted;
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && newest_first(in_heap(t, child + 1), in_heap(t, child)) < 0)
            child++;
        if (newest_first(in_heap(t, child), in_heap(t, i)) >= 0)
            return;
        struct report up = *in_heap(t, child);
        *in_heap(t, child) = *in_heap(t, i);
        *in_heap(t, i) = up;
    }
}

static void make_heap(struct store *t)
{
    t->n_sorted = 0;
    for (size_t i = t->n_reports / 2; i-- > 0;)
        sift_down(t, i);
}

struct report *store_newest(struct store *t, size_t i)
{
    enum { ONE_BY_ONE = 256 }; /* more than that and sorting all at once is cheaper */
    if (i >= ONE_BY_ONE && t->n_sorted < t->n_reports) {
        qsort(t->reports + t->n_sorted, t->n_reports - t->n_sorted, sizeof *t->reports,
            newest_first);
        t->n_sorted = t->n_reports;
    }
    while (t->n_sorted <= i) {
        struct report newest = *in_heap(t, 0);
        *in_heap(t, 0) = t->reports[t->n_sorted];
        t->reports[t->n_sorted++] = newest;
        sift_down(t, 0);
    }
    return &t->reports[i];
}

static int open_spool(struct session *s, struct store *t, const char *path)
{
    struct store_spool *spool = &t->spools[t->n_spools];
    int err = spool_open(path, false, &spool->spool);
    if (err)
        return err;
    uint32_t at = (uint32_t)t->n_spools++;
    err = index_load(spool->spool, &spool->index);
    t->n_unadopted += unadopted_count(spool->spool);
    const uint32_t states = s->options.states;
    for (int state = SPOOL_NEW; state < SPOOL_N_STATES && !err; state++)
        if ((!states || states >> state & 1) && spool->spool->state_fd[state] >= 0)
            err = add_reports(t, at, (enum spool_state)state);
    return err;
}

void store_complain(const struct session *s, const char *path, int err)
{
    const char *why = err == -EPERM ? "others may write to it, or it is another user's"
                                    : strerrordesc_np(-err);
    session_complain(s, "cannot read the spool %s: %s", path, why);
}

int store_open(struct session *s, struct store *ret)
{
    *ret = (struct store){0};
    char **paths;
    int n = store_paths(&s->options, &paths);
    if (n <= 0) {
        session_complain(s, "%s",
            n ? strerrordesc_np(-n)
              : "no spool found; name one with --spool or $KNELL_SPOOL");
        return n ? n : -ENOENT;
    }
    int err = 0;
    ret->spools = calloc((size_t)n, sizeof *ret->spools);
    if (!ret->spools)
        err = -ENOMEM;
    for (int i = 0; i < n && err != -ENOMEM; i++) {
        err = open_spool(s, ret, paths[i]);
        if (err) {
            store_complain(s, paths[i], err);
            ret->refused = err;
        }
    }
    store_paths_free(paths, n);
    make_heap(ret);
    if (!s->options.store && ret->n_spools == 1) {
        int k = snprintf(
            s->store, sizeof s->store, "%s/" SPOOL_SYMBOLS, ret->spools[0].spool->path);
        if (k > 0 && (size_t)k < sizeof s->store && access(s->store, X_OK) == 0)
            s->options.store = s->store;
    }
    /* Of several spools those that can be read are shown. */
    return ret->n_spools ? 0 : ret->refused;
}

int store_open_one(struct session *s, struct store *ret)
{
    int err = store_open(s, ret);
    if (!err && ret->n_spools > 1) {
        session_complain(s, "%zu spools found; name one with --spool:", ret->n_spools);
        for (size_t i = 0; i < ret->n_spools; i++) {
            (void)fputs("    ", stderr);
            safe_print(stderr, ret->spools[i].spool->path);
            (void)fputc('\n', stderr);
        }
        err = -EINVAL;
    }
    return err;
}

void store_close(struct store *t)
{
    for (size_t i = 0; i < t->n_spools; i++) {
        struct store_spool *spool = &t->spools[i];
        index_free(spool->index);
        spool_close(spool->spool);
    }
    free(t->spools);
    free(t->reports);
    *t = (struct store){0};
}
