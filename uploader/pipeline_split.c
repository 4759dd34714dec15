/* Segments that were found are split before one of them is claimed. */
#include "uploader/log.h"
#include "uploader/pipeline_inner.h"

#include <errno.h>
#include <string.h>

/* A segment that its reader dies of is claimed in the end, and put away as a report. */
static bool dies_always(struct pipeline *p, const struct spool_name *name)
{
    return strikes_death(p->strikes, name->event_id) >= p->config->worker_deaths;
}

/* Returns whether it may be claimed. */
static bool split(struct pipeline *p, const struct spool_name *name)
{
    const struct pipeline_worker *w = p->o->worker;
    int r = split_one(p->spool, name, w->split, w->ctx);
    if (r >= 0 || (r == -ECHILD && dies_always(p, name)))
        return true;
    log_line(LOG_LEVEL_WARNING, LOG_OTHER, NULL, "%s: a segment waits in new/: %s",
        p->spool->path, r == -ECHILD ? "the worker died on it" : strerrordesc_np(-r));
    return false;
}

void pipeline_split(struct pipeline *p)
{
    struct queue *q = &p->queue;
    size_t n = 0;
    for (size_t i = 0; i < q->n; i++) {
        const struct queue_entry e = q->entries[i];
        if (e.state != SPOOL_NEW || !split_is_due(&e.name) || split(p, &e.name))
            q->entries[n++] = e;
    }
    q->n = n;
}
