#include "uploader/inspect/living.h"

#include "uploader/report/journal.h"
#include "uploader/spool/adopt.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>

enum { ARENA_BYTES = 64 << 20 };

struct list {
    const struct spool *spool;
    struct living *out;
    size_t n;
};

/* A process of another container is not seen in /proc, nor is any by a reader that is
 * shut in: it holds its lock. */
static int open_living(
    const struct spool *s, const char *file, const struct spool_live_name *live)
{
    CLEANUP(close_p) int fd = -1;
    if (spool_open_file(s, SPOOL_LIVE, file, KNELL_JOURNAL_MAX_BYTES, &fd, NULL) ||
        (!adopt_is_alive(live, "/proc") && flock(fd, LOCK_SH | LOCK_NB) == 0))
        return -1;
    return take_fd(&fd);
}

static bool describe(const uint8_t *image, size_t n, struct living *ret)
{
    struct arena *arena = arena_new(ARENA_BYTES);
    const struct journal *j = NULL;
    bool ok = arena && !journal_read(arena, image, n, 0, &j) &&
              j->head->state <= KNELL_RUN_RUNNING;
    if (ok) {
        const uint64_t *counts = j->status.counts;
        *ret = (struct living){.pid = j->head->pid,
            .start_ms = (int64_t)(j->head->start_realtime_ns / 1000000),
            .last_sign_ms = (int64_t)(j->last_sign_ns / 1000000),
            .n_breadcrumbs = j->n_crumbs,
            .captured = counts[KNELL_COUNT_CAPTURED],
            .suppressed = counts[KNELL_COUNT_SUPPRESSED]};
        (void)snprintf(ret->app, sizeof ret->app, "%s", j->head->app);
        (void)snprintf(ret->release, sizeof ret->release, "%s", j->head->release);
    }
    arena_free(arena);
    return ok;
}

static int look(void *ctx, const char *file, const struct spool_name *name)
{
    struct list *l = ctx;
    struct spool_live_name live;
    struct living one;
    (void)name;
    if (spool_live_name_parse(file, &live) || !live.journal)
        return 0;
    CLEANUP(close_p) int fd = open_living(l->spool, file, &live);
    uint8_t *image = NULL;
    size_t n = 0;
    if (fd >= 0 && !spool_read_all(fd, KNELL_JOURNAL_MAX_BYTES, &image, &n) &&
        describe(image, n, &one)) {
        if (l->n < LIVING_MAX)
            l->out[l->n] = one;
        l->n++;
    }
    free(image);
    return 0;
}

size_t living_list(const struct spool *s, struct living *ret)
{
    struct list l = {.spool = s, .out = ret};
    if (s->state_fd[SPOOL_LIVE] >= 0)
        IGNORE(spool_each(s, SPOOL_LIVE, look, &l), "what was found is told");
    return l.n;
}
