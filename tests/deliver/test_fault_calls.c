/*
 * Each system call of the real programs fails, in each way that it may: a full disk, a
 * full quota, a read-only or a broken one, no descriptors left, interruptions, short
 * writes; once, or from then on. The command says so and ends with a status of its own,
 * or copes; afterwards an uploader's pass finds every report whole, as after a kill.
 *
 * usage: test_fault_calls [STEP [SCENARIO...]]     every STEP-th call of a kind (5)
 */
#include "scenario.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum group { WRITES, OPENS, READS, WAITS, SHORT };

struct fault {
    const char *name;
    enum group group;
    int err;
    bool lasting; /* from then on */
};

static const struct fault faults[] = {
    {"disk full once", WRITES, ENOSPC, false},
    {"disk full", WRITES, ENOSPC, true},
    {"quota", WRITES, EDQUOT, true},
    {"broken disk once", WRITES, EIO, false},
    {"broken disk", WRITES, EIO, true},
    {"read-only", WRITES, EROFS, true},
    {"no descriptor once", OPENS, EMFILE, false},
    {"no descriptors", OPENS, EMFILE, true},
    {"unreadable once", READS, EIO, false},
    {"unreadable", READS, EIO, true},
    {"interrupted", WAITS, EINTR, false},
    {"short write", SHORT, 0, false},
    {"short writes", SHORT, 0, true},
};
enum { N_FAULTS = sizeof faults / sizeof *faults };

struct watch {
    const struct fault *fault;
    const char *dir, *spool;
    bool at_work; /* it has reached for the spool */
    unsigned long at,
        first; /* calls of the group so far; the first that fails, 0: none */
    bool hit;
    char place[1200];
    struct scenario_seen seen;
};

static long step = 5;

static bool makes_a_file(const struct trace_call *c)
{
    return c->number == SYS_openat && c->args[2] & O_CREAT;
}

static bool is_in(long number, const long *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i] == number)
            return true;
    }
    return false;
}
#define IS_IN(number, ...)                                                               \
    is_in(number, (const long[]){__VA_ARGS__}, sizeof(long[]){__VA_ARGS__} / sizeof(long))

/* Standard output and error are no part of the spool. */
static bool is_in_group(const struct trace_call *c, enum group group)
{
    bool told = (c->number == SYS_write || c->number == SYS_writev) && c->args[0] <= 2;
    if (told)
        return false;
    switch (group) {
    case WRITES:
        return makes_a_file(c) ||
               IS_IN(c->number, SYS_write, SYS_pwrite64, SYS_writev, SYS_ftruncate,
                   SYS_fallocate, SYS_mkdirat, SYS_renameat, SYS_renameat2, SYS_linkat,
                   SYS_unlinkat, SYS_fsync, SYS_fdatasync);
    case OPENS:
        return IS_IN(c->number, SYS_openat, SYS_socket, SYS_pipe2, SYS_memfd_create,
            SYS_epoll_create1, SYS_eventfd2, SYS_socketpair);
    case READS:
        return IS_IN(c->number, SYS_read, SYS_pread64, SYS_getdents64, SYS_newfstatat);
    case WAITS:
        return IS_IN(c->number, SYS_read, SYS_pread64, SYS_write, SYS_pwrite64,
            SYS_openat, SYS_fsync, SYS_flock, SYS_wait4, SYS_ppoll, SYS_fallocate,
            SYS_sendto, SYS_recvfrom, SYS_connect);
    case SHORT:
        return IS_IN(c->number, SYS_write, SYS_pwrite64) && c->args[2] > 1;
    }
    return false;
}

/* What a call is about: the target of the descriptor it begins with, and the name that it
 * may have. */
static void path_of(const struct trace_call *c, char *path, size_t room)
{
    char link[64], name[300] = "";
    (void)snprintf(link, sizeof link, "/proc/%d/fd/%d", (int)c->tid, (int)c->args[0]);
    ssize_t n = readlink(link, path, room - 1);
    path[n > 0 ? n : 0] = 0;
    if (!IS_IN(c->number, SYS_openat, SYS_newfstatat, SYS_mkdirat, SYS_unlinkat,
            SYS_renameat, SYS_linkat))
        return;
    trace_text(c->tid, c->args[1], name, sizeof name);
    if (name[0] == '/')
        (void)snprintf(path, room, "%s", name);
    else if (name[0])
        (void)snprintf(path + strlen(path), room - strlen(path), "/%s", name);
}

/* Whether it is about a file of the copy, or about none: what else lies on a machine is
 * on disks that are well. */
static bool is_about_copy(const struct watch *w, const struct trace_call *c)
{
    char path[1024];
    if (IS_IN(c->number, SYS_wait4, SYS_ppoll))
        return true;
    path_of(c, path, sizeof path);
    return path[0] != '/' || !strncmp(path, w->dir, strlen(w->dir));
}

static void see_work(struct watch *w, const struct trace_call *c)
{
    char path[600];
    int at =
        c->number == SYS_openat || c->number == SYS_mkdirat || c->number == SYS_newfstatat
            ? 1
            : 0;
#if defined(SYS_open)
    bool named = at || c->number == SYS_open || c->number == SYS_mkdir;
#else
    bool named = at;
#endif
    if (w->at_work || !named)
        return;
    trace_text(c->tid, c->args[at], path, sizeof path);
    w->at_work = strstr(path, w->spool) != NULL;
}

static enum trace_verdict visit(void *ctx, struct trace_call *c)
{
    struct watch *w = ctx;
    scenario_see(&w->seen, c);
    if (c->task || c->after)
        return TRACE_GO;
    see_work(w, c);
    if (!w->at_work || !is_in_group(c, w->fault->group))
        return TRACE_GO;
    if ((w->fault->group == READS || w->fault->group == WAITS) && !is_about_copy(w, c))
        return TRACE_GO;
    w->at++;
    if (!w->first || w->at < w->first || (w->at > w->first && !w->fault->lasting))
        return TRACE_GO;
    if (!w->hit) {
        char path[1024];
        path_of(c, path, sizeof path);
        (void)snprintf(w->place, sizeof w->place, "%s at call %lu (number %ld) for %s",
            w->fault->name, c->n, c->number, path);
    }
    w->hit = true;
    if (w->fault->group == SHORT) {
        c->args[2] /= 2;
        return TRACE_CHANGE;
    }
    c->result = -w->fault->err;
    return TRACE_FAIL;
}

/* Whether the command said what was wrong. */
static bool is_said(const struct stage *s, const struct fault *f)
{
    char text[16384] = "";
    FILE *file = fopen(s->said, "re");
    size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        (void)fclose(file);
    text[n] = 0;
    /* A socket's trouble is told in the words of the library that met it. */
    return f->err ? strstr(text, strerrordesc_np(f->err)) || strstr(text, " deferred")
                  : n > 0;
}

static bool check_command(
    const struct scenario *sc, const struct stage *s, const struct watch *w, int status)
{
    int n;
    if (!CHECK(WIFEXITED(status)))
        return false;
    int code = WEXITSTATUS(status);
    unsigned states = s->event_id[0] ? stage_states(s, s->event_id, &n) : 0;
    if (code == sc->status && sc->sick) /* what remains may do so in any folder */
        return true;
    if (code == sc->status)
        return !sc->effect || CHECK(!(states & ~sc->effect) && states);
    return CHECK(is_said(s, w->fault));
}

/* @first  0: only count. Returns the calls of the group. */
static unsigned long run_with(
    const struct scenario *sc, const struct fault *f, unsigned long first)
{
    struct stage *s = scenario_set_up(sc);
    struct watch w = {.fault = f, .dir = s->dir, .spool = s->spool, .first = first};
    struct trace_result r;
    uint64_t before = scenario_requests();
    int failures = test_failures();
    (void)truncate(s->said, 0);
    scenario_run(sc, s, visit, &w, &r);
    if (first && !sc->dies)
        (void)check_command(sc, s, &w, r.status);
    (void)scenario_recover(sc, s, &w.seen, before);
    if (test_failures() > failures) {
        printf("%s: %s; it ended with %d\n", sc->name, w.place, WEXITSTATUS(r.status));
        stage_show(s);
    }
    stage_free(s);
    return w.at;
}

static void run_scenario(const struct scenario *sc)
{
    unsigned long tries = 0, at = 0;
    for (size_t i = 0; i < N_FAULTS; i++) {
        unsigned long n = run_with(sc, &faults[i], 0);
        for (unsigned long k = 1; k <= n; k++) {
            if (at++ % (unsigned long)step)
                continue;
            tries++;
            (void)run_with(sc, &faults[i], k);
        }
    }
    CHECK(tries > 0);
    printf("%s: %lu calls could fail, %lu did\n", sc->name, at, tries);
}

/* The handler's own faults are tried in tests/signal. */
static bool can_fail(const struct scenario *sc)
{
    return !sc->dies && !sc->alone && !sc->start_uploader;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        step = atol(argv[1]);
    if (!trace_works()) {
        printf("ptrace is not allowed here\n");
        return 77;
    }
    return scenario_each(argc, argv, 2, can_fail, run_scenario);
}
