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

static int begin(
    void *ctx, const uint8_t *report, size_t n, const struct worker_options *options)
{
    struct worker_program *w = ctx;
    int err = start_program(w);
    if (err)
        return err;
    w->answer = memfd_create("knell-worker", MFD_CLOEXEC);
    if (w->answer < 0)
        return -errno;
    w->deadline_ms = now_ms() + most_ms(w->config);
    err = job_send(w->socket, report, n, options, w->answer);
    if (err) {
        end_job(w);
        end_program(w); /* it is gone: another one for the next try */
    }
    return err;
}

static int fd(void *ctx)
{
    const struct worker_program *w = ctx;
    return w->socket;
}

static void wait_for_end(const struct worker_program *w)
{
    uint64_t now;
    while ((now = now_ms()) < w->deadline_ms) {
        struct pollfd p = {.fd = w->socket, .events = POLLIN};
        int r = poll(&p, 1, (int)(w->deadline_ms - now));
        if (r > 0 || (r < 0 && errno != EINTR))
            return;
    }
}

static int finish(void *ctx, struct worker_result *ret)
{
    struct worker_program *w = ctx;
    struct worker_end end = {0};
    wait_for_end(w);
    int err = job_receive_end(w->socket, &end);
    if (!err) {
        err = worker_answer(&end, w->answer, ret);
    } else if (err == -ENODATA && WIFEXITED(reap_program(w))) {
        err = -EIO; /* it could not even begin: this machine's trouble */
    } else {
        /* Memory ran out and it was chosen, perhaps: the report may be the cause. */
        *ret = (struct worker_result){.outcome = WORKER_REFUSED};
        (void)snprintf(ret->why, sizeof ret->why, "%s",
            err == -EAGAIN ? "it took too long and had to be killed"
                           : "its program ended");
        end_program(w);
        err = -ECHILD;
    }
    end_job(w);
    return err;
}

static void cancel(void *ctx)
{
    struct worker_program *w = ctx;
    end_program(w);
    end_job(w);
}

struct pipeline_worker worker_program_init(
    struct worker_program *ctx, const struct config *config)
{
    *ctx = (struct worker_program){.config = config, .socket = -1, .answer = -1};
    return (struct pipeline_worker){.ctx = ctx,
        .begin = begin,
        .fd = fd,
        .finish = finish,
        .cancel = cancel,
        .most_ms = most_ms(config)};
}

void worker_program_done(struct worker_program *w)
{
    end_program(w);
    end_job(w);
}
