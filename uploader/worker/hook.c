#include "uploader/worker/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

struct talk {
    int in, out; /* our ends of its stdin and stdout */
    const char *text;
    size_t n, sent;
    char *answer;
    size_t n_answer, room, max;
    uint64_t deadline_ms;
};

static uint64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int feed(struct talk *t)
{
    ssize_t k = write(t->in, t->text + t->sent, t->n - t->sent);
    if (k < 0 && errno != EAGAIN && errno != EINTR && errno != EPIPE)
        return -errno;
    if (k < 0 && errno == EPIPE)
        t->sent = t->n; /* it has heard enough */
    else if (k > 0)
        t->sent += (size_t)k;
    if (t->sent == t->n) {
        (void)close(t->in);
        t->in = -1;
    }
    return 0;
}

static int hear(struct talk *t)
{
    if (t->room - t->n_answer < 4096) {
        size_t room = t->room ? t->room * 2 : 64 * 1024;
        char *more = realloc(t->answer, room);
        if (!more)
            return -ENOMEM;
        t->answer = more;
        t->room = room;
    }
    ssize_t k = read(t->out, t->answer + t->n_answer, t->room - t->n_answer - 1);
    if (k < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    t->n_answer += (size_t)k;
    t->answer[t->n_answer] = 0;
    if (t->n_answer > t->max)
        return -E2BIG;
    if (k == 0) {
        (void)close(t->out);
        t->out = -1;
    }
    return 0;
}

static int talk(struct talk *t)
{
    int err = 0;
    while (!err && t->out >= 0) {
        uint64_t now = now_ms();
        if (now >= t->deadline_ms)
            return -ETIMEDOUT;
        struct pollfd p[2] = {{.fd = t->out, .events = POLLIN},
            {.fd = t->in, .events = POLLOUT}}; /* a negative one is left out */
        if (poll(p, 2, (int)(t->deadline_ms - now)) < 0 && errno != EINTR)
            return -errno;
        if (t->in >= 0 && p[1].revents)
            err = feed(t);
        if (!err && p[0].revents)
            err = hear(t);
    }
    return err;
}

static _Noreturn void become(const char *const *argv, int in, int out)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)setpgid(0, 0);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)signal(SIGXFSZ, SIG_DFL);
    if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
        _exit(126);
    (void)close_range(3, ~0u, 0);
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

/* Its exit status, waited for no longer than the deadline. */
static int end_of(pid_t pid, uint64_t deadline_ms, bool kill_now)
{
    int status = 0;
    for (;;) {
        if (kill_now || now_ms() >= deadline_ms)
            (void)kill(-pid, SIGKILL);
        pid_t r = waitpid(pid, &status, kill_now ? 0 : WNOHANG);
        if (r == pid) {
            (void)kill(-pid, SIGKILL); /* what it left behind */
            return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPROTO;
        }
        if (r < 0 && errno != EINTR)
            return -errno;
        kill_now = now_ms() >= deadline_ms;
        const struct timespec a_moment = {.tv_nsec = 1000000};
        if (r == 0 && !kill_now)
            (void)nanosleep(&a_moment, NULL);
    }
}

int hook_run(const char *const *argv, const char *text, size_t n, uint32_t timeout_ms,
    size_t max, char **ret, size_t *ret_n)
{
    int in[2], out[2];
    struct talk t = {.in = -1, .out = -1, .text = text, .n = n, .max = max};
    t.deadline_ms = now_ms() + (timeout_ms ? timeout_ms : 5000);
    if (pipe2(in, O_CLOEXEC) < 0)
        return -errno;
    if (pipe2(out, O_CLOEXEC) < 0) {
        int err = -errno;
        (void)close(in[0]);
        (void)close(in[1]);
        return err;
    }
    pid_t pid = fork();
    if (pid == 0)
        become(argv, in[0], out[1]);
    if (pid > 0)
        (void)setpgid(pid, pid); /* whoever comes first */
    int err = pid < 0 ? -errno : 0;
    (void)close(in[0]);
    (void)close(out[1]);
    t.in = in[1];
    t.out = out[0];
    (void)fcntl(t.in, F_SETFL, O_NONBLOCK);
    (void)fcntl(t.out, F_SETFL, O_NONBLOCK);
    if (!err) {
        err = talk(&t);
        int end = end_of(pid, t.deadline_ms, err != 0);
        err = err ? err : end;
    }
    close_p(&t.in);
    close_p(&t.out);
    if (err) {
        free(t.answer);
        return err;
    }
    *ret = t.answer;
    *ret_n = t.n_answer;
    return 0;
}
