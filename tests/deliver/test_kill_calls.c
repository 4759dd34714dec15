/*
 * SIGKILL at each system call of the real programs, before and after the kernel acts: the
 * dying daemon's handler, knell_start(), knell-upload with its worker, every command of
 * knell that changes a spool. Then an uploader's pass must find the report whole in one
 * place, deliver it, and leave a spool in which `knell verify` finds nothing.
 *
 * usage: test_kill_calls [STEP [SCENARIO...]]     every STEP-th call that changes
 * something (7); 0: all calls, also those that change nothing. Between two calls only
 * what is mapped (the journal, the strikes) can change.
 */
#include "scenario.h"
#include "test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_POINTS = 40000, MAX_SEEN = 8192 };

/* Where to kill. */
struct point {
    unsigned task;
    unsigned long n;
    bool changes;
};

/* What a visit looks for and sees. */
struct watch {
    struct point *points; /* recording: gets all; NULL: not recording */
    size_t n_points;
    struct point kill;
    bool after, alone;
    struct scenario_seen seen;
    char place[96];
};

static long step = 7;
static enum trace_verdict visit(void *ctx, struct trace_call *c)
{
    struct watch *w = ctx;
    scenario_see(&w->seen, c);
    if (w->points) {
        if (!c->after && w->n_points < MAX_POINTS)
            w->points[w->n_points++] =
                (struct point){c->task, c->n, trace_changes_something(c)};
        return TRACE_GO;
    }
    if (c->task != w->kill.task || c->n != w->kill.n || c->after != w->after)
        return TRACE_GO;
    (void)snprintf(w->place, sizeof w->place, "%s call %lu (number %ld) of task %u",
        w->after ? "after" : "before", c->n, c->number, c->task);
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

static bool kill_at(
    const struct scenario *sc, const struct point *p, bool after, long *ret_checked)
{
    struct stage *s = scenario_set_up(sc);
    struct watch w = {.kill = *p, .after = after, .alone = sc->alone};
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
    static struct point points[MAX_POINTS];
    scenario_sicken(sc);
    struct stage *s = scenario_set_up(sc);
    struct watch w = {.points = points};
    struct trace_result r;
    uint64_t before = scenario_requests();
    scenario_run(sc, s, visit, &w, &r);
    if (sc->dies)
        CHECK(w.seen.told && w.seen.committed && WIFSIGNALED(r.status));
    else
        CHECK(WIFEXITED(r.status) && WEXITSTATUS(r.status) == sc->status);
    CHECK(scenario_recover(sc, s, &w.seen, before));
    stage_free(s);
    long at = 0, kills = 0, tries = 0, checked = 0;
    for (size_t i = 0; i < w.n_points; i++) {
        if (step && (!points[i].changes || at++ % step))
            continue;
        tries += 1 + points[i].changes;
        kills += kill_at(sc, &points[i], false, &checked);
        if (points[i].changes)
            kills += kill_at(sc, &points[i], true, &checked);
    }
    scenario_heal(sc);
    /* Threads and polls do not run alike twice; nearly all must have been met. */
    CHECK(tries > 0 && kills >= tries - tries / 4 - 2);
    printf(
        "%s: %zu system calls of %u tasks, %ld kills, %ld states of the disk checked\n",
        sc->name, w.n_points, r.n_tasks, kills, checked);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1)
        step = atol(argv[1]);
    if (!trace_works()) {
        printf("ptrace is not allowed here\n");
        return 77;
    }
    scenario_begin();
    for (size_t i = 0; i < n_scenarios; i++) {
        if (scenario_chosen(&scenarios[i], argc, argv, 2))
            run_scenario(&scenarios[i]);
    }
    scenario_end();
    return test_failures() != 0;
}
