#include "uploader/worker_program.h"

#include "uploader/worker/job.h"
#include "uploader/worker/server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

/* How much longer than the program itself we wait for the end of a job. */
enum { GRACE_MS = 2000 };

static uint64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Its status as of waitpid(2). */
static int reap_program(struct worker_program *w)
{
    int status = 0;
    while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
        ;
    close_p(&w->socket);
    w->socket = -1;
    w->pid = 0;
    return status;
}

static void end_program(struct worker_program *w)
{
    if (!w->pid)
        return;
    /* It may be waiting for a child: that one goes with it. */
    (void)kill(w->pid, SIGKILL);
    (void)reap_program(w);
}

static void end_job(struct worker_program *w)
{
    close_p(&w->answer);
    w->answer = -1;
}

static int start_program(struct worker_program *w)
{
    if (w->pid)
        return 0;
    int pid = worker_server_start(&w->socket);
    if (pid < 0)
        return pid;
    w->pid = pid;
    int err = job_send_settings(w->socket, w->config);
    if (err)
        end_program(w);
    return err;
}

/* How long one report may take. */
static uint64_t most_ms(const struct config *c)
{
    static const char *const some[] = {"", NULL};
    const struct sandbox_limits limits = {.time_ms = c->worker_time_ms};
    const struct worker_options o = {
        .before_send = c->before_send && *c->before_send ? some : NULL,
        .hook_timeout_ms = (uint32_t)c->hook_timeout_ms};
    return worker_child_most_ms(&o, &limits) + GRACE_MS;
}

static int open_job(struct worker_program *w)
{
    int err = start_program(w);
    if (err)
        return err;
    w->answer = memfd_create("knell-worker", MFD_CLOEXEC);
    if (w->answer < 0)
        return -errno;
    w->deadline_ms = now_ms() + most_ms(w->config);
    return 0;
}

/* @err  of sending it */
static int send_job(struct worker_program *w, int err)
{
    if (err) {
        end_job(w);
        end_program(w); /* it is gone: another one for the next try */
    }
    return err;
}

static int begin(
    void *ctx, const uint8_t *report, size_t n, const struct worker_options *options)
{
    struct worker_program *w = ctx;
    int err = open_job(w);
    return err ? err : send_job(w, job_send(w->socket, report, n, options, w->answer));
}

static int fd(void *ctx)
{
    const struct worker_program *w = ctx;
    return w->socket;
}

/* A report is waited for at a stop as well: it is on its way. */
static void wait_for_end(const struct worker_program *w, bool is_chore)
{
    uint64_t now;
    while ((now = now_ms()) < w->deadline_ms) {
        struct pollfd p = {.fd = w->socket, .events = POLLIN};
        int r = poll(&p, 1, (int)(w->deadline_ms - now));
        if (r > 0 || (r < 0 && errno != EINTR) || (is_chore && *w->stop))
            return;
    }
}

/* @ret_how  of -ECHILD */
static int take_end(
    struct worker_program *w, bool is_chore, struct worker_end *ret, const char **ret_how)
{
    wait_for_end(w, is_chore);
    int err = job_receive_end(w->socket, ret);
    if (!err)
        return 0;
    if (err == -ENODATA && WIFEXITED(reap_program(w)))
        return -EIO; /* it could not even begin: this machine's trouble */
    /* Memory ran out and it was chosen, perhaps: the report may be the cause. */
    *ret_how =
        err == -EAGAIN ? "it took too long and had to be killed" : "its program ended";
    end_program(w);
    return -ECHILD;
}

static int finish(void *ctx, struct worker_result *ret)
{
    struct worker_program *w = ctx;
    struct worker_end end = {0};
    const char *how = "";
    int err = take_end(w, false, &end, &how);
    if (!err) {
        err = worker_answer(&end, w->answer, ret);
    } else if (err == -ECHILD) {
        *ret = (struct worker_result){.outcome = WORKER_REFUSED};
        (void)snprintf(ret->why, sizeof ret->why, "%s", how);
    }
    end_job(w);
    return err;
}

static int do_chore(struct worker_program *w, struct worker_chore *chore,
    const uint8_t *bytes, size_t n, uint8_t **ret, size_t *ret_n)
{
    struct worker_end end = {0};
    const char *how;
    int err = *w->stop ? -EINTR : open_job(w);
    if (!err)
        err = send_job(w, job_send_chore(w->socket, bytes, n, chore, w->answer));
    if (err)
        return err;
    err = take_end(w, true, &end, &how);
    if (err == -ECHILD && *w->stop)
        err = -EINTR; /* we broke it off */
    if (!err)
        err = chore_answer(&end, w->answer, &chore->name, ret, ret_n);
    end_job(w);
    return err;
}

/* What the machine knows is looked up here: the worker sees no other process. */
static int obituary(void *ctx, const uint8_t *image, size_t n,
    const struct spool_live_name *live, const uint8_t *slot, size_t n_slot,
    struct spool_name *name, uint8_t **ret, size_t *ret_n)
{
    struct worker_chore chore = {
        .kind = CHORE_OBITUARY, .has_slot = slot != NULL, .name = *name};
    (void)live;
    (void)n_slot;
    obituary_gather_for(image, n, &chore.evidence);
    int err = do_chore(ctx, &chore, image, n, ret, ret_n);
    if (!err)
        *name = chore.name;
    return err;
}

static int split(void *ctx, const uint8_t *bytes, size_t n, uint8_t **ret, size_t *ret_n)
{
    struct worker_chore chore = {.kind = CHORE_SPLIT};
    return do_chore(ctx, &chore, bytes, n, ret, ret_n);
}

static void cancel(void *ctx)
{
    struct worker_program *w = ctx;
    end_program(w);
    end_job(w);
}

struct pipeline_worker worker_program_init(struct worker_program *ctx,
    const struct config *config, const volatile sig_atomic_t *stop)
{
    *ctx = (struct worker_program){
        .config = config, .stop = stop, .socket = -1, .answer = -1};
    return (struct pipeline_worker){.ctx = ctx,
        .begin = begin,
        .fd = fd,
        .finish = finish,
        .cancel = cancel,
        .obituary = obituary,
        .split = split,
        .most_ms = most_ms(config)};
}

void worker_program_done(struct worker_program *w)
{
    end_program(w);
    end_job(w);
}
