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
#include "stage.h"
#include "test.h"
#include "tmpdir.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_POINTS = 40000, MAX_SEEN = 8192, MAX_ARGS = 8 };
#define IN(state) (1u << SPOOL_##state)

struct scenario {
    const char *name;
    enum stage_kind kind;
    const char *argv[MAX_ARGS]; /* "ID" stands for the event id, "OUT" for a bundle */
    unsigned may_be;            /* states after recovery */
    bool may_vanish;            /* the command removes it */
    bool server;                /* to an HTTP server, else to a folder */
    const char *sick;           /* until the kill the server answers so; see ingest.h */
    bool both;                  /* a folder as well */
    bool dies;                  /* the victim: it is the command that makes the report */
    bool strangers;             /* a torn report and a file that is none in new/ */
    bool alone;                 /* kill the process that calls, not all of the tree */
    int status;                 /* of the command when nothing disturbs it */
    const char *start_uploader; /* environment of the command; may be NULL */
};

static const struct scenario scenarios[] = {
    {.name = "handler",
        .kind = STAGE_EMPTY,
        .argv = {VICTIM_PROGRAM, "null_write"},
        .may_be = IN(SENT),
        .dies = true},
    {.name = "handler_beside_others",
        .kind = STAGE_COMMITTED,
        .argv = {VICTIM_PROGRAM, "-t", "3", "null_write"},
        .may_be = IN(SENT),
        .dies = true},
    {.name = "start_with_uploader",
        .kind = STAGE_COMMITTED,
        .argv = {VICTIM_PROGRAM, "exit"},
        .status = 7,
        .may_be = IN(SENT),
        .start_uploader = "KNELL_START_UPLOADER=1"},
    {.name = "start_alone",
        .kind = STAGE_DIED,
        .argv = {VICTIM_PROGRAM, "exit"},
        .status = 7,
        .may_be = IN(SENT),
        .alone = true,
        .start_uploader = "KNELL_START_UPLOADER=1"},
    {.name = "upload_new",
        .kind = STAGE_NEW,
        .argv = {UPLOAD_PROGRAM},
        .may_be = IN(SENT),
        .server = true},
    {.name = "upload_one_process",
        .kind = STAGE_NEW,
        .argv = {UPLOAD_PROGRAM},
        .may_be = IN(SENT),
        .server = true,
        .alone = true},
    {.name = "upload_to_a_folder",
        .kind = STAGE_WAIT,
        .argv = {UPLOAD_PROGRAM, "--all"},
        .may_be = IN(SENT)},
    {.name = "upload_committed",
        .kind = STAGE_COMMITTED,
        .argv = {UPLOAD_PROGRAM},
        .may_be = IN(SENT),
        .server = true},
    {.name = "upload_obituary",
        .kind = STAGE_DIED,
        .argv = {UPLOAD_PROGRAM},
        .may_be = IN(SENT),
        .server = true},
    {.name = "upload_left_over",
        .kind = STAGE_WORK,
        .argv = {UPLOAD_PROGRAM},
        .may_be = IN(SENT),
        .server = true},
    {.name = "upload_deferred",
        .kind = STAGE_NEW,
        .argv = {UPLOAD_PROGRAM},
        .status = 6,
        .may_be = IN(SENT),
        .server = true,
        .sick = "503"},
    {.name = "upload_limited",
        .kind = STAGE_NEW,
        .argv = {UPLOAD_PROGRAM},
        .status = 6,
        .may_be = IN(SENT),
        .server = true,
        .sick = "429/retry-after=1"},
    {.name = "upload_rejected",
        .kind = STAGE_NEW,
        .argv = {UPLOAD_PROGRAM},
        .may_be = IN(SENT) | IN(BAD),
        .server = true,
        .sick = "400"},
    {.name = "upload_to_both",
        .kind = STAGE_NEW,
        .argv = {UPLOAD_PROGRAM},
        .status = 6,
        .may_be = IN(SENT),
        .server = true,
        .sick = "503",
        .both = true},
    {.name = "upload_strangers",
        .kind = STAGE_EMPTY,
        .argv = {UPLOAD_PROGRAM},
        .strangers = true},
    {.name = "rm",
        .kind = STAGE_NEW,
        .argv = {KNELL_PROGRAM, "rm", "ID"},
        .may_be = IN(SENT),
        .may_vanish = true},
    {.name = "rm_bad",
        .kind = STAGE_BAD,
        .argv = {KNELL_PROGRAM, "rm", "ID"},
        .may_be = IN(BAD),
        .may_vanish = true},
    {.name = "hold",
        .kind = STAGE_NEW,
        .argv = {KNELL_PROGRAM, "hold", "ID"},
        .may_be = IN(SENT) | IN(HOLD)},
    {.name = "release",
        .kind = STAGE_HOLD,
        .argv = {KNELL_PROGRAM, "release", "ID"},
        .may_be = IN(SENT) | IN(HOLD)},
    {.name = "retry_wait",
        .kind = STAGE_WAIT,
        .argv = {KNELL_PROGRAM, "retry", "ID"},
        .may_be = IN(SENT)},
    {.name = "retry_bad",
        .kind = STAGE_BAD,
        .argv = {KNELL_PROGRAM, "retry", "ID"},
        .may_be = IN(SENT) | IN(BAD)},
    {.name = "clean",
        .kind = STAGE_SENT,
        .argv = {KNELL_PROGRAM, "clean", "--max-reports", "0"},
        .may_be = IN(SENT),
        .may_vanish = true},
    {.name = "import",
        .kind = STAGE_EMPTY,
        .argv = {KNELL_PROGRAM, "import", "BUNDLE"},
        .may_be = IN(HOLD),
        .may_vanish = true},
    {.name = "consent",
        .kind = STAGE_NEW,
        .argv = {KNELL_PROGRAM, "consent", "no"},
        .may_be = IN(SENT) | IN(HOLD)},
    {.name = "consent_purge",
        .kind = STAGE_WAIT,
        .argv = {KNELL_PROGRAM, "consent", "revoke", "--purge"},
        .may_be = IN(SENT) | IN(HOLD) | IN(WAIT),
        .may_vanish = true},
    {.name = "verify_repair",
        .kind = STAGE_NEW,
        .argv = {KNELL_PROGRAM, "verify", "--repair"},
        .may_be = IN(SENT),
        .strangers = true},
    {.name = "list",
        .kind = STAGE_NEW,
        .argv = {KNELL_PROGRAM, "list"},
        .may_be = IN(SENT)},
};
enum { N_SCENARIOS = sizeof scenarios / sizeof *scenarios };

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
    bool told;      /* the victim's knell_start() is done */
    bool committed; /* the handler has written the header of a whole report */
    char place[96];
};

static long step = 7;
static char bundle[512]; /* of STAGE_NEW's report */
static struct ingest server;
static struct ingest sick; /* of the scenario, when it wants one */
static char server_dir[512];
#define TORN_NAME                                                                        \
    "1700000000000-0000000000aa-ab0000000000000000000000000000ff-s11.a00.n0000000000."   \
    "dmp"

/* What a crash leaves at least, seen from outside: see the handler's kn_commit(). */
static void see_victim(struct watch *w, const struct trace_call *c)
{
    if (c->task || !c->after || c->result < 0)
        return;
    w->told |= c->number == SYS_write && c->args[0] == STDOUT_FILENO;
    w->committed |=
        w->told && c->number == SYS_pwrite64 && !c->args[3] && c->result == 32;
}

static enum trace_verdict visit(void *ctx, struct trace_call *c)
{
    struct watch *w = ctx;
    see_victim(w, c);
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

static void fill_argv(
    const struct scenario *sc, const struct stage *s, const char *out[MAX_ARGS + 1])
{
    size_t n = 0;
    for (; n < MAX_ARGS && sc->argv[n]; n++) {
        out[n] = sc->argv[n];
        if (!strcmp(out[n], "ID"))
            out[n] = s->event_id;
        else if (!strcmp(out[n], "BUNDLE"))
            out[n] = bundle;
    }
    out[n] = NULL;
}

static void run_traced(
    const struct scenario *sc, struct stage *s, struct watch *w, struct trace_result *ret)
{
    const char *argv[MAX_ARGS + 1], *environment[16];
    size_t n = 0;
    fill_argv(sc, s, argv);
    for (; s->environment[n]; n++)
        environment[n] = s->environment[n];
    if (sc->start_uploader) {
        environment[n++] = sc->start_uploader;
        environment[n++] = "KNELL_UPLOADER=" UPLOAD_PROGRAM;
    }
    environment[n] = NULL;
    struct trace_options o = {.argv = argv,
        .environment = environment,
        .output = s->said,
        .visit = visit,
        .ctx = w};
    CHECK_INT(trace_run(&o, ret), 0);
    CHECK(!ret->hung);
}

static void set_destination(struct stage *s, const struct scenario *sc, int port)
{
    char dsn[700] = "";
    if (!sc->server)
        return;
    if (sc->both)
        (void)snprintf(dsn, sizeof dsn, "file://%s ", s->out);
    (void)snprintf(
        dsn + strlen(dsn), sizeof dsn - strlen(dsn), "http://key@127.0.0.1:%d/1", port);
    stage_set_dsn(s, dsn);
}

static struct stage *set_up(const struct scenario *sc)
{
    struct stage *s = stage_new(sc->kind, NULL);
    set_destination(s, sc, sc->sick ? sick.port : server.port);
    if (sc->kind == STAGE_EMPTY && !sc->dies) {
        struct spool *spool = NULL;
        CHECK_INT(spool_open(s->spool, true, &spool), 0);
        spool_close(spool);
    }
    if (sc->strangers) {
        test_write_file(s->spool, "new/" TORN_NAME, "MDMP", 4);
        test_write_file(s->spool, "new/stranger", "what?", 5);
    }
    return s;
}

/* The command's own report: made by the victim. */
static bool check_victim(const struct stage *s, const struct watch *w)
{
    bool crashed;
    int others = s->event_id[0] != 0;
    int n = stage_arrived(s, "\"SIGSEGV\"", &crashed) - others;
    bool ok = CHECK(n <= 1);
    if (w->told)
        ok &= CHECK_INT(n, 1);
    if (w->committed && !others)
        ok &= CHECK(crashed);
    ok &= CHECK_INT(stage_count(s, SPOOL_BAD), 0);
    return ok;
}

static bool check_report(
    const struct scenario *sc, const struct stage *s, uint64_t n_requests)
{
    int n;
    unsigned states = stage_states(s, s->event_id, &n);
    bool ok = CHECK(n == 1 || (n == 0 && sc->may_vanish));
    ok &= CHECK(!(states & ~sc->may_be));
    if (sc->server && !(states & IN(BAD))) /* at most the one in flight is sent again */
        ok &= CHECK(n_requests == 1 || (n_requests == 2 && !sc->sick));
    if (sc->both)
        ok &= CHECK_INT(stage_arrived(s, NULL, NULL), 1);
    return ok;
}

/* Temporary files of the killed may lie about for an hour; nothing else may. */
static bool check_tidy(const struct stage *s)
{
    bool ok = CHECK_INT(stage_count(s, SPOOL_LIVE), 0);
    ok &= CHECK_INT(stage_count(s, SPOOL_WORK), 0);
    return ok;
}

static bool recover_and_check(
    const struct scenario *sc, struct stage *s, const struct watch *w, uint64_t before)
{
    set_destination(s, sc, server.port);
    int status = stage_upload(s);
    /* 9: the command had taken consent away. */
    bool ok = CHECK(status == 0 || (status == 9 && sc->may_be & IN(HOLD)));
    if (sc->dies)
        ok &= check_victim(s, w);
    if (sc->strangers) /* neither is lost, and each has its reason */
        ok &= CHECK_INT(stage_count(s, SPOOL_BAD), 4);
    if (sc->kind != STAGE_EMPTY)
        ok &= check_report(sc, s, server.counts->requests - before);
    ok &= CHECK_INT(stage_verify(s), 0);
    return ok & check_tidy(s);
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
    struct stage *s = set_up(sc);
    struct watch w = {.kill = *p, .after = after, .alone = sc->alone};
    struct trace_result r;
    uint64_t before = server.counts->requests;
    run_traced(sc, s, &w, &r);
    uint64_t extra = (uint64_t)(sc - scenarios) << 32 |
                     (server.counts->requests - before) << 8 | w.told << 1 | w.committed;
    if (sc->dies || is_new_state(s, extra)) {
        ++*ret_checked;
        int failures = test_failures();
        (void)recover_and_check(sc, s, &w, before);
        if (test_failures() > failures) {
            printf("%s: killed %s\n", sc->name, w.place);
            stage_show(s);
        }
    }
    stage_free(s);
    return r.killed;
}

static void run_scenario(const struct scenario *sc)
{
    static struct point points[MAX_POINTS];
    if (sc->sick)
        sick = ingest_start(&(struct ingest_options){.script = sc->sick});
    struct stage *s = set_up(sc);
    struct watch w = {.points = points};
    struct trace_result r;
    uint64_t before = server.counts->requests;
    run_traced(sc, s, &w, &r);
    if (sc->dies)
        CHECK(w.told && w.committed && WIFSIGNALED(r.status));
    else
        CHECK(WIFEXITED(r.status) && WEXITSTATUS(r.status) == sc->status);
    CHECK(recover_and_check(sc, s, &w, before));
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
    if (sc->sick)
        ingest_stop(&sick);
    /* Threads and polls do not run alike twice; nearly all must have been met. */
    CHECK(tries > 0 && kills >= tries - tries / 4 - 2);
    printf(
        "%s: %zu system calls of %u tasks, %ld kills, %ld states of the disk checked\n",
        sc->name, w.n_points, r.n_tasks, kills, checked);
}

static void make_bundle(void)
{
    struct stage *s = stage_new(STAGE_NEW, NULL);
    (void)snprintf(bundle, sizeof bundle, "%s/bundle.tar", test_tmpdir());
    CHECK_INT(stage_run(s, (const char *const[]){KNELL_PROGRAM, "export", "-o", bundle,
                               s->event_id, NULL}),
        0);
    stage_free(s);
}

static bool is_known(const char *id)
{
    for (int i = 0; i < STAGE_N_KINDS; i++) {
        if (!strcmp(id, stage_event_id((enum stage_kind)i)))
            return true;
    }
    return false;
}

/* Whatever was sent twice was sent under the report's own id. */
static void check_ids(void)
{
    char path[600], line[512];
    (void)snprintf(path, sizeof path, "%s/requests.log", server_dir);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        char id[64] = "";
        CHECK_INT(sscanf(line, "%*s %*s %*s %*s %*s %63s", id), 1);
        CHECK(is_known(id));
    }
    if (f)
        (void)fclose(f);
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
    (void)snprintf(server_dir, sizeof server_dir, "%s", test_tmpdir());
    server = ingest_start(&(struct ingest_options){.dir = server_dir});
    make_bundle();
    for (int i = 0; i < N_SCENARIOS; i++) {
        bool chosen = argc < 3;
        for (int k = 2; k < argc; k++)
            chosen |= !strcmp(argv[k], scenarios[i].name);
        if (chosen)
            run_scenario(&scenarios[i]);
    }
    check_ids();
    ingest_stop(&server);
    return test_failures() != 0;
}
