/* Reports that wait for debug files: from the worker that asks for them, over the
 * servers, back to the worker. Nothing here keeps a report beyond its deadline. */
#include "uploader/log.h"
#include "uploader/pipeline_inner.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int pipeline_fetch_set_up(struct pipeline *p)
{
    const struct config *c = p->config;
    char note[300];
    (void)snprintf(p->fetched_dir, sizeof p->fetched_dir, "%s",
        c->debuginfod_dir ? c->debuginfod_dir : "");
    struct debuginfod_options o = {.urls = c->debuginfod_urls,
        .dir = p->fetched_dir,
        .time_ms = c->debuginfod_time_ms,
        .max_file_bytes = c->debuginfod_max_file_bytes,
        .max_bytes = c->debuginfod_max_bytes,
        .keep_free_bytes = c->keep_free_bytes,
        .rest_ms = c->retry_base_ms,
        .rest_max_ms = c->retry_max_ms,
        .http = p->http,
        .ledger = p->ledger};
    int r = debuginfod_new(&o, &p->debuginfod, note, sizeof note);
    /* It must be there when the worker's sandbox is made. */
    if (!r && p->debuginfod)
        IGNORE(mkdir(p->fetched_dir, 0700) < 0, "each fetch tries again, and tells");
    if (*note)
        log_line(
            LOG_LEVEL_WARNING, LOG_CONFIGURATION, NULL, "debuginfod server %s", note);
    return r;
}

/* Without consent not even a build-id leaves. */
bool pipeline_may_ask(struct pipeline *p)
{
    return debuginfod_is_open(p->debuginfod) && consent_given(&p->consent);
}

/* The report as it can be made now. */
static void work_again(struct pipeline *p, struct job *j)
{
    j->options.may_ask = false;
    j->options.max_debug_bytes = p->config->debuginfod_max_file_bytes;
    pipeline_work(p, j);
}

void pipeline_ask(struct pipeline *p, struct job *j)
{
    int r = debuginfod_begin(p->debuginfod, &j->result.wishes, &j->fetch);
    worker_result_done(&j->result);
    if (r < 0) {
        log_line(LOG_LEVEL_WARNING, LOG_OTHER, NULL, "%s: no debug file is fetched: %s",
            p->fetched_dir, strerrordesc_np(-r));
        work_again(p, j);
    }
}

void pipeline_fetch_go_on(struct pipeline *p)
{
    for (size_t i = 0; i < PIPELINE_MAX_JOBS; i++) {
        struct job *j = &p->jobs[i];
        if (!j->fetch)
            continue;
        debuginfod_go_on(j->fetch);
        if (p->in_worker || (!debuginfod_is_done(j->fetch) && !pipeline_stopping(p)))
            continue;
        debuginfod_end(j->fetch, &j->options.arrived);
        j->fetch = NULL;
        work_again(p, j);
    }
}

bool pipeline_blames_files(const struct job *j)
{
    return j->options.arrived.n > 0;
}

void pipeline_take_back(struct pipeline *p, struct job *j)
{
    for (size_t i = 0; i < j->options.arrived.n; i++) {
        const struct wish *w = &j->options.arrived.list[i];
        wish_take_back(p->fetched_dir, w);
        IGNORE(wish_note(p->fetched_dir, w, WISH_MALFORMED), "it is asked for again");
    }
    log_line(LOG_LEVEL_WARNING, LOG_OTHER, NULL,
        "%s: the worker died on what %zu debug files hold; the report goes without them",
        p->fetched_dir, j->options.arrived.n);
    j->options.arrived.n = 0;
    work_again(p, j);
}
