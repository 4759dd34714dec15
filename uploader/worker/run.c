#include "uploader/worker/run.h"

#include "uploader/worker/chore.h"
#include "uploader/worker/segment.h"
#include "uploader/worker/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How much longer than its own timer a child is waited for. */
enum { GRACE_MS = 2000 };

struct worker_child {
    pid_t pid;
    int ended; /* read end of a pipe that the child alone keeps open */
    uint64_t deadline_ms;
};

static uint64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void default_signals(void)
{
    sigset_t none;
    for (int i = 1; i < NSIG; i++)
        (void)signal(i, SIG_DFL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a cache that grew too large is EFBIG */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Everything above stderr but these is the parent's business: locks, sockets. */
static void keep_only(int *const fds[], size_t n)
{
    enum { FIRST = 3, APART = 32 };
    for (size_t i = 0; i < n; i++) {
        if (*fds[i] > 0 && (*fds[i] = fcntl(*fds[i], F_DUPFD_CLOEXEC, APART)) < 0)
            _exit(1);
    }
    int next = FIRST;
    for (size_t i = 0; i < n; i++) {
        if (*fds[i] > 0 && (*fds[i] = dup3(*fds[i], next++, O_CLOEXEC)) < 0)
            _exit(1);
    }
    (void)close_range((unsigned)next, ~0u, 0);
}

/* The user's program cannot be started from inside of the sandbox: a second child reads
 * the report in there, and this one, which parses what that made, starts the program. */
static int around_hook(const uint8_t *report, size_t n,
    const struct worker_options *options, const struct sandbox_limits *limits,
    struct worker_result *r)
{
    struct worker_options inner = *options;
    inner.before_send = NULL;
    inner.otlp = inner.no_sentry = false;
    int err = worker_run(report, n, &inner, limits, r);
    if (err == -ECHILD)
        return err; /* and how it died: the parent counts it */
    struct sandbox_limits outer = *limits;
    outer.time_ms += 2ull * (options->hook_timeout_ms ? options->hook_timeout_ms : 5000);
    if (!err)
        err = sandbox_limit(&outer);
    return err ? err : worker_complete(options, r);
}

static _Noreturn void child(int answer, int ended, pid_t parent, const uint8_t *report,
    size_t n, const struct worker_options *options, const struct sandbox_limits *limits)
{
    default_signals();
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    struct sandbox_limits own = *limits;
    keep_only((int *const[]){&answer, &ended, &own.files}, 3);
    struct worker_result r = {0};
    int err;
    if (options && options->chore) {
        err = sandbox_enter(&own);
        err = err ? chore_fail(err, answer) : chore_do(options->chore, report, n, answer);
        _exit(err ? 1 : 0);
    }
    if (options && options->before_send && !segment_is(report, n)) {
        err = around_hook(report, n, options, &own, &r);
    } else {
        err = sandbox_enter(&own);
        if (!err)
            err = worker_process(report, n, options, &r);
    }
    _exit(wire_write(answer, err, &r) ? 1 : 0);
}

uint64_t worker_child_most_ms(
    const struct worker_options *options, const struct sandbox_limits *limits)
{
    uint64_t ms = (limits && limits->time_ms ? limits->time_ms : 120000) + GRACE_MS;
    if (options && options->before_send)
        ms += GRACE_MS + (options->hook_timeout_ms ? options->hook_timeout_ms : 5000);
    return ms;
}

int worker_child_start(const uint8_t *report, size_t n,
    const struct worker_options *options, const struct sandbox_limits *limits, int answer,
    struct worker_child **ret)
{
    static const struct sandbox_limits defaults;
    if (!limits)
        limits = &defaults;
    int ended[2];
    struct worker_child *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    if (pipe2(ended, O_CLOEXEC) < 0) {
        int err = -errno;
        free(w);
        return err;
    }
    w->ended = ended[0];
    w->deadline_ms = now_ms() + worker_child_most_ms(options, limits);
    pid_t parent = getpid();
    w->pid = fork();
    if (w->pid == 0)
        child(answer, ended[1], parent, report, n, options, limits);
    int err = w->pid < 0 ? -errno : 0;
    (void)close(ended[1]);
    if (err) {
        worker_child_free(w);
        return err;
    }
    *ret = w;
    return 0;
}

static int reap(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return 0; /* someone else has taken it: the answer tells */
    }
    return status;
}

int worker_child_wait(struct worker_child *w, int peer, struct worker_end *ret)
{
    bool ended = false, late = false;
    while (!ended && !late) {
        struct pollfd p[2] = {{.fd = w->ended, .events = POLLIN},
            {.fd = peer, .events = POLLRDHUP}}; /* a negative one is left out */
        uint64_t now = now_ms();
        late = now >= w->deadline_ms;
        int r = late ? 0 : poll(p, 2, (int)(w->deadline_ms - now));
        late |= r < 0 && errno != EINTR;
        ended = r > 0 && p[0].revents;
        if (r > 0 && !ended)
            return -ECANCELED;
    }
    if (!ended)
        (void)kill(w->pid, SIGKILL);
    *ret = (struct worker_end){.status = reap(w->pid), .in_time = ended};
    return 0;
}

void worker_child_free(struct worker_child *w)
{
    if (!w)
        return;
    close_p(&w->ended);
    free(w);
}

void worker_child_cancel(struct worker_child *w)
{
    if (!w)
        return;
    (void)kill(w->pid, SIGKILL);
    (void)reap(w->pid);
    worker_child_free(w);
}

static int died(struct worker_result *ret, const char *how)
{
    *ret = (struct worker_result){.outcome = WORKER_REFUSED};
    (void)snprintf(ret->why, sizeof ret->why, "%s", how);
    return -ECHILD;
}

static int died_of(struct worker_result *ret, int signo)
{
    char how[96];
    if (signo == SIGALRM)
        return died(ret, "it took too long");
    if (signo == SIGXCPU)
        return died(ret, "it took too much CPU time");
    (void)snprintf(
        how, sizeof how, "SIG%s", sigabbrev_np(signo) ? sigabbrev_np(signo) : "?");
    return died(ret, how);
}

int worker_answer(const struct worker_end *end, int answer, struct worker_result *ret)
{
    int status = 0;
    if (end->error)
        return end->error;
    if (!end->in_time)
        return died(ret, "it took too long and had to be killed");
    if (WIFSIGNALED(end->status))
        return died_of(ret, WTERMSIG(end->status));
    int err = wire_read(answer, &status, ret);
    if (err == -EBADMSG || err == -ENODATA)
        return died(
            ret, err == -ENODATA ? "it left no answer" : "its answer is no sound one");
    return err ? err : status;
}

int worker_run(const uint8_t *report, size_t n, const struct worker_options *options,
    const struct sandbox_limits *limits, struct worker_result *ret)
{
    struct worker_child *w = NULL;
    struct worker_end end = {0};
    CLEANUP(close_p) int answer = memfd_create("knell-worker", MFD_CLOEXEC);
    if (answer < 0)
        return -errno;
    int err = worker_child_start(report, n, options, limits, answer, &w);
    if (!err)
        err = worker_child_wait(w, -1, &end);
    worker_child_free(w);
    return err ? err : worker_answer(&end, answer, ret);
}
