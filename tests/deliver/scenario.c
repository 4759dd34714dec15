#include "scenario.h"

#include "test.h"
#include "tmpdir.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define IN(state) (1u << SPOOL_##state)

const struct scenario scenarios[] = {
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
    {.name = "start",
        .kind = STAGE_COMMITTED,
        .argv = {VICTIM_PROGRAM, "exit"},
        .status = 7,
        .may_be = IN(SENT)},
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
        .effect = IN(SENT),
        .kind = STAGE_NEW,
        .argv = {UPLOAD_PROGRAM, "-v"},
        .may_be = IN(SENT),
        .server = true},
    {.name = "upload_one_process",
        .kind = STAGE_NEW,
        .argv = {UPLOAD_PROGRAM, "-v"},
        .may_be = IN(SENT),
        .server = true,
        .alone = true},
    {.name = "upload_to_a_folder",
        .effect = IN(SENT),
        .kind = STAGE_WAIT,
        .argv = {UPLOAD_PROGRAM, "-v", "--all"},
        .may_be = IN(SENT)},
    {.name = "upload_committed",
        .effect = IN(SENT),
        .kind = STAGE_COMMITTED,
        .argv = {UPLOAD_PROGRAM, "-v"},
        .may_be = IN(SENT),
        .server = true},
    {.name = "upload_obituary",
        .effect = IN(SENT),
        .kind = STAGE_DIED,
        .argv = {UPLOAD_PROGRAM, "-v"},
        .may_be = IN(SENT),
        .server = true},
    {.name = "upload_left_over",
        .effect = IN(SENT),
        .kind = STAGE_WORK,
        .argv = {UPLOAD_PROGRAM, "-v"},
        .may_be = IN(SENT),
        .server = true},
    {.name = "upload_deferred",
        .effect = IN(WAIT),
        .kind = STAGE_NEW,
        .argv = {UPLOAD_PROGRAM, "-v"},
        .status = 6,
        .may_be = IN(SENT),
        .server = true,
        .sick = "503"},
    {.name = "upload_limited",
        .kind = STAGE_NEW,
        .argv = {UPLOAD_PROGRAM, "-v"},
        .status = 6,
        .may_be = IN(SENT),
        .server = true,
        .sick = "429/retry-after=1"},
    {.name = "upload_rejected",
        .kind = STAGE_NEW,
        .argv = {UPLOAD_PROGRAM, "-v"},
        .may_be = IN(SENT) | IN(BAD),
        .server = true,
        .sick = "400"},
    {.name = "upload_to_both",
        .effect = IN(WAIT),
        .kind = STAGE_NEW,
        .argv = {UPLOAD_PROGRAM, "-v"},
        .status = 6,
        .may_be = IN(SENT),
        .server = true,
        .sick = "503",
        .both = true},
    {.name = "upload_strangers",
        .kind = STAGE_EMPTY,
        .argv = {UPLOAD_PROGRAM, "-v"},
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
        .effect = IN(HOLD),
        .kind = STAGE_NEW,
        .argv = {KNELL_PROGRAM, "hold", "ID"},
        .may_be = IN(SENT) | IN(HOLD)},
    {.name = "release",
        .effect = IN(NEW),
        .kind = STAGE_HOLD,
        .argv = {KNELL_PROGRAM, "release", "ID"},
        .may_be = IN(SENT) | IN(HOLD)},
    {.name = "retry_wait",
        .effect = IN(WAIT),
        .kind = STAGE_WAIT,
        .argv = {KNELL_PROGRAM, "retry", "ID"},
        .may_be = IN(SENT)},
    {.name = "retry_bad",
        .effect = IN(NEW),
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
    {.name = "verify_repair_dead",
        .kind = STAGE_DIED,
        .argv = {KNELL_PROGRAM, "verify", "--repair"},
        .may_be = IN(SENT)},
    {.name = "verify_repair_committed",
        .kind = STAGE_COMMITTED,
        .argv = {KNELL_PROGRAM, "verify", "--repair"},
        .may_be = IN(SENT)},
    {.name = "list",
        .kind = STAGE_NEW,
        .argv = {KNELL_PROGRAM, "list"},
        .may_be = IN(SENT)},
};
const size_t n_scenarios = sizeof scenarios / sizeof *scenarios;

static char bundle[512]; /* of STAGE_NEW's report */
static struct ingest server, sick;
static char server_dir[512];
#define TORN_NAME                                                                        \
    "1700000000000-0000000000aa-ab0000000000000000000000000000ff-s11.a00.n0000000000."   \
    "dmp"

/* What a crash leaves at least, seen from outside: see the handler's kn_commit(). */
void scenario_see(struct scenario_seen *w, const struct trace_call *c)
{
    if (c->task || !c->after || c->result < 0)
        return;
    w->told |= c->number == SYS_write && c->args[0] == STDOUT_FILENO;
    w->committed |=
        w->told && c->number == SYS_pwrite64 && !c->args[3] && c->result == 32;
}

static void fill_argv(const struct scenario *sc, const struct stage *s,
    const char *out[SCENARIO_MAX_ARGS + 1])
{
    size_t n = 0;
    for (; n < SCENARIO_MAX_ARGS && sc->argv[n]; n++) {
        out[n] = sc->argv[n];
        if (!strcmp(out[n], "ID"))
            out[n] = s->event_id;
        else if (!strcmp(out[n], "BUNDLE"))
            out[n] = bundle;
    }
    out[n] = NULL;
}

/* An uploader that a daemon started stays for more: it is told to go when it waits. */
struct visitor {
    enum trace_verdict (*visit)(void *ctx, struct trace_call *call);
    void *ctx;
    bool stays;
};

static enum trace_verdict visit_and_go(void *ctx, struct trace_call *c)
{
    const struct visitor *v = ctx;
    struct timespec most;
    if (v->stays && c->number == SYS_ppoll && !c->after && c->args[3] &&
        trace_read(c->tid, c->args[2], &most, sizeof most) == sizeof most &&
        most.tv_sec >= 10)
        (void)kill(c->pid, SIGTERM);
    return v->visit(v->ctx, c);
}

void scenario_run(const struct scenario *sc, struct stage *s,
    enum trace_verdict (*visit)(void *ctx, struct trace_call *call), void *ctx,
    struct trace_result *ret)
{
    const char *argv[SCENARIO_MAX_ARGS + 1], *environment[16];
    size_t n = 0;
    struct visitor visitor = {visit, ctx, sc->start_uploader != NULL};
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
        .visit = visit_and_go,
        .ctx = &visitor};
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

struct stage *scenario_set_up(const struct scenario *sc)
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
static bool check_victim(const struct stage *s, const struct scenario_seen *w)
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

/* Requests of commands that were left. */
static uint64_t n_late;

void scenario_leave(void)
{
    n_late++;
}

static bool check_report(
    const struct scenario *sc, const struct stage *s, uint64_t n_requests)
{
    int n;
    unsigned states = stage_states(s, s->event_id, &n);
    bool ok = CHECK(n == 1 || (n == 0 && sc->may_vanish));
    ok &= CHECK(!(states & ~sc->may_be));
    if (sc->server && !(states & IN(BAD))) /* at most the one in flight is sent again */
        ok &= CHECK(n_requests >= 1 && n_requests <= (sc->sick ? 1 : 2) + n_late);
    n_late = 0;
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

static void forget_limits(const struct stage *s)
{
    char path[600];
    (void)snprintf(path, sizeof path, "%s/state", s->spool);
    (void)unlink(path);
}

bool scenario_recover(const struct scenario *sc, struct stage *s,
    const struct scenario_seen *w, uint64_t before)
{
    set_destination(s, sc, server.port);
    int status = stage_upload(s);
    if (status == 6) { /* the host rests after its failures: time passes */
        forget_limits(s);
        status = stage_upload(s);
    }
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

static bool is_chosen(const struct scenario *sc, int argc, char **argv, int from)
{
    bool chosen = argc <= from;
    for (int i = from; i < argc; i++)
        chosen |= !strcmp(argv[i], sc->name);
    return chosen;
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

static void begin(void)
{
    (void)snprintf(server_dir, sizeof server_dir, "%s", test_tmpdir());
    server = ingest_start(&(struct ingest_options){.dir = server_dir});
}

uint64_t scenario_requests(void)
{
    return server.counts->requests;
}

void scenario_sicken(const struct scenario *sc)
{
    if (sc->sick)
        sick = ingest_start(&(struct ingest_options){.script = sc->sick});
}

void scenario_heal(const struct scenario *sc)
{
    if (sc->sick)
        ingest_stop(&sick);
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
static void end(void)
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
    ingest_stop(&server);
}

enum { MAX_AT_ONCE = 16 };

/* What all share is there before the first of them. */
static void make_templates(void)
{
    for (int i = 0; i < STAGE_N_KINDS; i++)
        (void)stage_event_id((enum stage_kind)i);
    make_bundle();
}

static _Noreturn void run_alone(
    const struct scenario *sc, void (*run)(const struct scenario *), const char *dir)
{
    char path[600];
    (void)snprintf(path, sizeof path, "%s/%s", dir, sc->name);
    (void)mkdir(path, 0700);
    (void)setenv("TMPDIR", path, 1); /* what a failure leaves goes with it */
    int before = test_failures();    /* of those that ran before */
    begin();
    run(sc);
    end();
    exit(test_failures() > before);
}

/* Wait for one of @pids, which leaves the list. Orphans of the killed come here as well.
 */
static void reap(pid_t *pids, long *n)
{
    int status;
    pid_t pid = wait(&status);
    for (long i = 0; i < *n; i++) {
        if (pid == pids[i]) {
            CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
            pids[i] = pids[--*n];
            return;
        }
    }
    if (pid < 0 && errno != EINTR)
        abort();
}

int scenario_each(int argc, char **argv, int from,
    bool (*wanted)(const struct scenario *), void (*run)(const struct scenario *))
{
    pid_t pids[MAX_AT_ONCE];
    long most = sysconf(_SC_NPROCESSORS_ONLN), running = 0, ran = 0;
    const char *dir = test_tmpdir();
    setvbuf(stdout, NULL, _IOLBF, 0);
    make_templates();
    for (size_t i = 0; i < n_scenarios; i++) {
        const struct scenario *sc = &scenarios[i];
        if (!is_chosen(sc, argc, argv, from) || (wanted && !wanted(sc)))
            continue;
        while (running && (running >= most || running == MAX_AT_ONCE))
            reap(pids, &running);
        (void)fflush(NULL);
        pid_t pid = fork();
        if (!pid)
            run_alone(sc, run, dir);
        if (pid < 0)
            abort();
        pids[running++] = pid;
        ran++;
    }
    while (running)
        reap(pids, &running);
    CHECK(ran > 0);
    return test_failures() != 0;
}
