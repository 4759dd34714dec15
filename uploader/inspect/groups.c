#include "uploader/inspect/groups.h"

#include "uploader/inspect/row.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int by_signature(const void *a, const void *b)
{
    const struct report *x = *(const struct report *const *)a,
                        *y = *(const struct report *const *)b;
    if (x->name.signature != y->name.signature)
        return x->name.signature < y->name.signature ? -1 : 1;
    if (x->name.time_ms != y->name.time_ms)
        return x->name.time_ms < y->name.time_ms ? 1 : -1;
    return 0;
}

static int by_count(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    if (x->n != y->n)
        return x->n < y->n ? 1 : -1;
    if (x->last_ms != y->last_ms)
        return x->last_ms < y->last_ms ? 1 : -1;
    return x->signature < y->signature ? -1 : x->signature > y->signature;
}

static void add_release(struct group *g, const char *release)
{
    if (!release || g->n_releases == GROUP_MAX_RELEASES)
        return;
    char text[GROUP_RELEASE_BYTES];
    (void)snprintf(text, sizeof text, "%s", release);
    for (unsigned i = 0; i < g->n_releases; i++)
        if (strcmp(g->release[i], text) == 0)
            return;
    (void)strcpy(g->release[g->n_releases++], text);
    size_t n = strlen(g->releases);
    (void)snprintf(g->releases + n, sizeof g->releases - n, "%s%s", n ? " " : "", text);
}

int groups_make(
    struct session *s, struct store *t, const struct selection *x, struct groups *ret)
{
    struct groups g = {0};
    CLEANUP(free_p) struct report **sorted = calloc(x->n + 1, sizeof *sorted);
    g.list = calloc(x->n + 1, sizeof *g.list);
    if (!sorted || !g.list) {
        free(g.list);
        return -ENOMEM;
    }
    for (size_t i = 0; i < x->n; i++)
        sorted[i] = x->reports[i];
    qsort(sorted, x->n, sizeof *sorted, by_signature);
    struct group *last = NULL;
    for (size_t i = 0; i < x->n; i++) {
        struct report *r = sorted[i];
        if (!last || last->signature != r->name.signature) {
            last = &g.list[g.n++];
            last->signature = r->name.signature;
            last->newest = r;
            last->last_ms = r->name.time_ms;
        }
        last->n++;
        last->first_ms = r->name.time_ms;
        last->states[r->state]++;
        struct index_entry e;
        loader_facts(s, t, r, &e);
        char release[ROW_RELEASE_BYTES];
        add_release(last, row_release(&e, release));
    }
    qsort(g.list, g.n, sizeof *g.list, by_count);
    *ret = g;
    return 0;
}

void groups_done(struct groups *g)
{
    free(g->list);
    *g = (struct groups){0};
}
