/*
 * SIGKILL at the system calls of the real programs, before and after the kernel acts: the
 * dying daemon's handler, knell_start(), knell-upload with its worker, every command of
 * knell that changes a spool. Then an uploader's pass must find the report whole in one
 * place, deliver it, and leave a spool in which `knell verify` finds nothing.
 *
 * A kill takes with it all that is not on the disk or at the server. So it is tried
 * before and after each call that may change either, and at each other stop where either
 * is seen to differ from the stop before (a store to a mapped file does that). A stop
 * that is left out was seen to have the very state of one that is not. Where one process
 * is killed and others live on, each call by which it hears of them or they of it counts
 * as well.
 *
 * usage: test_kill_calls [STEP [SCENARIO...]]     every STEP-th of these stops (7);
 * 0: each stop of all, also those with the state of another
 */
#include "scenario.h"
#include "test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_STOPS = 80000, MAX_SEEN = 8192 };

/* A stop of a task, where to kill. */
struct point {
    unsigned task;
    unsigned long n;
    bool after;
    bool counts; /* the state may be another than at the stop before */
};

/* What a visit looks for and sees. */
struct watch {
    const struct stage *stage;
    struct point *points; /* recording: gets all; NULL: not recording */
    size_t n_points;
    uint64_t state;
    struct point kill;
    bool alone;
    struct scenario_seen seen;
    char place[96];
};

static long step = 7;

/* Whether another process may notice that the call was made, or that it was not. */
static bool is_between_processes(const struct trace_call *c)
{
    static const long by_fd[] = {SYS_read, SYS_close, SYS_recvmsg, SYS_recvfrom},
                      others[] = {SYS_ppoll, SYS_wait4, SYS_pipe2, SYS_socketpair,
                          SYS_dup3, SYS_exit, SYS_exit_group};
    char path[64], target[64];
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (c->number == others[i])
            return true;
    }
    for (size_t i = 0; i < sizeof by_fd / sizeof *by_fd; i++) {
        if (c->number != by_fd[i])
            continue;
        (void)snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)c->tid, (int)c->args[0]);
        ssize_t n = readlink(path, target, sizeof target);
        return n <= 0 || target[0] != '/'; /* "pipe:[1]", "socket:[2]"; or closed */
    }
    return false;
}

static void record(struct watch *w, const struct trace_call *c)
{
    uint64_t state = stage_digest(w->stage) + scenario_requests();
    bool counts = trace_changes_something(c) || state != w->state ||
                  (w->alone && is_between_processes(c));
    w->state = state;
    if (CHECK(w->n_points < MAX_STOPS))
        w->points[w->n_points++] = (struct point){c->task, c->n, c->after, counts};
}

static enum trace_verdict visit(void *ctx, struct trace_call *c)
{
    struct watch *w = ctx;
    scenario_see(&w->seen, c);
    if (w->points) {
        record(w, c);
        return TRACE_GO;
    }
    if (c->task != w->kill.task || c->n != w->kill.n || c->after != w->kill.after)
        return TRACE_GO;
    (void)snprintf(w->place, sizeof w->place, "%s call %lu (number %ld) of task %u",
        c->after ? "after" : "before", c->n, c->number, c->task);
    return w->alone ? TRACE_KILL_ONE : TRACE_KILL;
}

/* A state of the disk that was checked before need not be checked again. */
static bool is_new_state(const struct stage *s, uint64_t extra)
{
    static uint64_t seen[MAX_SEEN];
    static size_t n_seen;
    uint64_t d = stage_digest(s) ^ extra * 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < n_seen; i++) {
        if (seen[i] == d)
            return false;
    }
    if (n_seen < MAX_SEEN)
        seen[n_seen++] = d;
    return true;
}

static bool kill_at(const struct scenario *sc, const struct point *p, long *ret_checked)
{
    struct stage *s = scenario_set_up(sc);
    struct watch w = {.kill = *p, .alone = sc->alone};
    struct trace_result r;
    uint64_t before = scenario_requests();
    scenario_run(sc, s, visit, &w, &r);
    uint64_t seen = (w.seen.told ? 2u : 0u) | (w.seen.committed ? 1u : 0u);
    uint64_t extra =
        (uint64_t)(sc - scenarios) << 32 | (scenario_requests() - before) << 8 | seen;
    if (sc->dies || is_new_state(s, extra)) {
        ++*ret_checked;
        int failures = test_failures();
        (void)scenario_recover(sc, s, &w.seen, before);
        if (test_failures() > failures) {
            printf("%s: killed %s\n", sc->name, w.place);
            stage_show(s);
        }
    } else {
        scenario_leave();
    }
    stage_free(s);
    return r.killed;
}

static void run_scenario(const struct scenario *sc)
{
    static struct point points[MAX_STOPS];
    scenario_sicken(sc);
    struct stage *s = scenario_set_up(sc);
    struct watch w = {.stage = s, .points = points, .alone = sc->alone};
    struct trace_result r;
    uint64_t before = scenario_requests();
    scenario_run(sc, s, visit, &w, &r);
    if (sc->dies)
        CHECK(w.seen.told && w.seen.committed && WIFSIGNALED(r.status));
    else
        CHECK(WIFEXITED(r.status) && WEXITSTATUS(r.status) == sc->status);
    CHECK(scenario_recover(sc, s, &w.seen, before));
    stage_free(s);
    long counting = 0, tries = 0, kills = 0, checked = 0;
    for (size_t i = 0; i < w.n_points; i++) {
        bool counts = points[i].counts || !step;
        if (!counts || (counting++ % (step ? step : 1)))
            continue;
        tries++;
        kills += kill_at(sc, &points[i], &checked);
    }
    scenario_heal(sc);
    /* Threads and polls do not run alike twice; nearly all must have been met. */
    CHECK(tries > 0 && kills >= tries - tries / 4 - 2);
    printf(
        "%s: %lu system calls of %u tasks, %ld of %zu stops with a state of their own, "
        "%ld kills, %ld states of the disk checked\n",
        sc->name, r.n_calls, r.n_tasks, counting, w.n_points, kills, checked);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        step = atol(argv[1]);
    if (!trace_works()) {
        printf("ptrace is not allowed here\n");
        return 77;
    }
    return scenario_each(argc, argv, 2, NULL, run_scenario);
}
