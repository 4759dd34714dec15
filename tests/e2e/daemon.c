#include "daemon.h"

#include "test.h"
#include "tmpdir.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_ENVIRONMENT = 32, START_TRIES = 400, STEP_US = 25000 };

/* The environment of a daemon started by init: what the test gives and little else. */
static void run(const char *const *argv, const char *const *environment)
{
    const char *all[MAX_ENVIRONMENT + 4] = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8"};
    size_t n = 2;
    for (; *environment && n < MAX_ENVIRONMENT; environment++)
        all[n++] = *environment;
    /* Sanitizers are told by the environment not to take the crash signals. */
    static char asan[1024];
    if (getenv("ASAN_OPTIONS")) {
        snprintf(asan, sizeof asan, "ASAN_OPTIONS=%s", getenv("ASAN_OPTIONS"));
        all[n++] = asan;
    }
    execve(argv[0], (char *const *)argv, (char *const *)all);
    _exit(127);
}

static int read_port(const char *file)
{
    int port = 0;
    for (int i = 0; i < START_TRIES; i++) {
        FILE *f = fopen(file, "r");
        char newline = 0;
        if (f && fscanf(f, "%d%c", &port, &newline) == 2) {
            fclose(f);
            return port;
        }
        if (f)
            fclose(f);
        usleep(STEP_US);
    }
    return 0;
}

struct daemon daemon_start(const char *const *environment)
{
    char file[512];
    snprintf(file, sizeof file, "%s/port", test_tmpdir());
    unlink(file);
    struct daemon d = {.pid = fork()};
    if (d.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a killed test leaves no daemon behind */
        run((const char *[]){ECHOD, "-p", "0", "-f", file, NULL}, environment);
    }
    d.port = read_port(file);
    if (!CHECK(d.port > 0)) {
        daemon_stop(&d);
        d.pid = 0;
    }
    return d;
}

/* A connection with @line sent; NULL: none. */
static FILE *say(const struct daemon *d, const char *line)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
        .sin_port = htons((uint16_t)d->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0 &&
        dprintf(fd, "%s\n", line) > 0)
        return fdopen(fd, "r");
    close(fd);
    return NULL;
}

bool daemon_ask(const struct daemon *d, const char *line, char *answer, int n_answer)
{
    FILE *in = say(d, line);
    bool ok = in && fgets(answer, n_answer, in) != NULL;
    if (!ok)
        answer[0] = '\0';
    answer[strcspn(answer, "\n")] = '\0';
    if (in)
        fclose(in);
    return ok;
}

bool daemon_meet(const struct daemon *d, int n)
{
    enum { MOST = 16 };
    FILE *in[MOST] = {NULL};
    char answer[100];
    int met = 0;
    for (int i = 0; i < n && i < MOST; i++)
        in[i] = say(d, "hello");
    for (int i = 0; i < n && i < MOST; i++)
        met += in[i] && fgets(answer, sizeof answer, in[i]) && !strcmp(answer, "hello\n");
    for (int i = 0; i < n && i < MOST; i++) {
        if (in[i])
            fclose(in[i]);
    }
    return met == n;
}

int daemon_wait(struct daemon *d)
{
    int status = -1;
    if (d->pid > 0)
        waitpid(d->pid, &status, 0);
    d->pid = 0;
    return status;
}

int daemon_stop(struct daemon *d)
{
    if (d->pid > 0)
        kill(d->pid, SIGTERM);
    return daemon_wait(d);
}

static char *slurp(int fd)
{
    size_t n = 0, capacity = 1 << 16;
    char *s = malloc(capacity);
    for (ssize_t got; s && (got = read(fd, s + n, capacity - n - 1)) > 0;) {
        n += (size_t)got;
        if (n + 1 == capacity)
            s = realloc(s, capacity *= 2);
    }
    if (s)
        s[n] = '\0';
    return s;
}

int run_program(
    const char *const *argv, const char *const *environment, char **ret_output)
{
    int out[2], status = -1;
    if (pipe2(out, O_CLOEXEC) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        run(argv, environment);
    }
    close(out[1]);
    char *text = slurp(out[0]);
    close(out[0]);
    waitpid(pid, &status, 0);
    if (ret_output)
        *ret_output = text;
    else
        free(text);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
