#include "uploader/worker/run.h"

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
    int answer; /* memfd that the child writes */
    int ended;  /* read end of a pipe that the child alone keeps open */
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
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Everything above stderr but these two is the parent's business: locks, sockets. */
static void keep_only(int *answer, int *ended)
{
    enum { ANSWER = 3, ENDED = 4 };
    int a = fcntl(*answer, F_DUPFD_CLOEXEC, 10), e = fcntl(*ended, F_DUPFD_CLOEXEC, 10);
    if (a < 0 || e < 0 || dup2(a, ANSWER) < 0 || dup2(e, ENDED) < 0)
        _exit(1);
    (void)close_range(ENDED + 1, ~0u, 0);
    *answer = ANSWER;
    *ended = ENDED;
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
    keep_only(&answer, &ended);
    struct worker_result r = {0};
    int err;
    if (options && options->before_send) {
        err = around_hook(report, n, options, limits, &r);
    } else {
        err = sandbox_enter(limits);
        if (!err)
            err = worker_process(report, n, options, &r);
    }
    _exit(wire_write(answer, err, &r) ? 1 : 0);
}

int worker_child_start(const uint8_t *report, size_t n,
    const struct worker_options *options, const struct sandbox_limits *limits,
    struct worker_child **ret)
{
    static const struct sandbox_limits defaults;
    if (!limits)
        limits = &defaults;
    int ended[2];
    struct worker_child *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->answer = memfd_create("knell-worker", MFD_CLOEXEC);
    if (w->answer < 0 || pipe2(ended, O_CLOEXEC) < 0) {
        int err = -errno;
        close_p(&w->answer);
        free(w);
        return err;
    }
    w->ended = ended[0];
    w->deadline_ms = now_ms() + (limits->time_ms ? limits->time_ms : 120000) + GRACE_MS;
    if (options && options->before_send)
        w->deadline_ms +=
            GRACE_MS + (options->hook_timeout_ms ? options->hook_timeout_ms : 5000);
    pid_t parent = getpid();
    w->pid = fork();
    if (w->pid == 0)
        child(w->answer, ended[1], parent, report, n, options, limits);
    int err = w->pid < 0 ? -errno : 0;
    (void)close(ended[1]);
    if (err) {
        close_p(&w->answer);
        close_p(&w->ended);
        free(w);
        return err;
    }
    *ret = w;
    return 0;
}

int worker_child_fd(const struct worker_child *w)
{
    return w->ended;
}

/* Waits until the pipe's other end is closed or the deadline has passed. */
static bool wait_for_end(const struct worker_child *w)
{
    for (;;) {
        uint64_t now = now_ms();
        if (now >= w->deadline_ms)
            return false;
        struct pollfd p = {.fd = w->ended, .events = POLLIN};
        int r = poll(&p, 1, (int)(w->deadline_ms - now));
        if (r > 0)
            return true;
        if (r < 0 && errno != EINTR)
            return false;
    }
}

static int reap(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return -1; /* someone else has taken it: how it ended is not known */
    }
    return status;
}

static void release(struct worker_child *w)
{
    close_p(&w->answer);
    close_p(&w->ended);
    free(w);
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

int worker_child_finish(struct worker_child *w, struct worker_result *ret)
{
    bool in_time = wait_for_end(w);
    if (!in_time)
        (void)kill(w->pid, SIGKILL);
    int how = reap(w->pid), status = 0, err;
    if (!in_time) {
        err = died(ret, "it took too long and had to be killed");
    } else if (how != -1 && WIFSIGNALED(how)) {
        err = died_of(ret, WTERMSIG(how));
    } else {
        err = wire_read(w->answer, &status, ret);
        if (err == -EBADMSG || err == -ENODATA)
            err = died(ret,
                err == -ENODATA ? "it left no answer" : "its answer is no sound one");
        else if (!err)
            err = status;
    }
    release(w);
    return err;
}

void worker_child_cancel(struct worker_child *w)
{
    if (!w)
        return;
    (void)kill(w->pid, SIGKILL);
    (void)reap(w->pid);
    release(w);
}

int worker_run(const uint8_t *report, size_t n, const struct worker_options *options,
    const struct sandbox_limits *limits, struct worker_result *ret)
{
    struct worker_child *w;
    int err = worker_child_start(report, n, options, limits, &w);
    return err ? err : worker_child_finish(w, ret);
}
