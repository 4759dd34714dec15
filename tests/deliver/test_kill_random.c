/*
 * Daemons that crash again and again, uploaders and people at work on their spool all at
 * once, and a SIGKILL for one of them at a moment that nobody chose, thousands of times.
 * Every death that was not itself cut off arrives; what arrives twice was on its way when
 * its uploader was killed, and comes under the same id.
 *
 * usage: test_kill_random [KILLS [SEED]]     (60, 1)
 */
#include "stage.h"
#include "test.h"
#include "tmpdir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* A start gives up reports when there are more than a thousand new ones. */
enum {
    N_AT_ONCE = 4,
    MAX_VICTIMS = 60000,
    UPLOADER_WIDTH = 8,
    MAX_PASSES = 20,
    MAX_NEW = 500,
};

enum kind { VICTIM, UPLOADER, PERSON, N_KINDS };

struct child {
    pid_t pid;
    enum kind kind;
    int number; /* of a victim */
    bool killed;
};

static struct stage *stage;
static struct child children[N_AT_ONCE];
static bool *committed; /* by a victim's number: it died of its own signal */
static int n_victims, n_committed, n_kills[N_KINDS];
static unsigned seed = 1;

static unsigned draw(unsigned n)
{
    return (unsigned)rand_r(&seed) % n;
}

static void run_child(const struct child *c)
{
    static const char *const commands[][6] = {{KNELL_PROGRAM, "list", "-q", NULL},
        {KNELL_PROGRAM, "retry", "-q", "--state", "wait", NULL},
        {KNELL_PROGRAM, "hold", "-q", "--state", "new", NULL},
        {KNELL_PROGRAM, "release", "-q", "--state", "hold", NULL},
        {KNELL_PROGRAM, "verify", "-q", NULL},
        {KNELL_PROGRAM, "verify", "-q", "--repair", NULL}};
    static const char *const victim[] = {VICTIM_PROGRAM, "null_write", NULL};
    static const char *const upload[] = {UPLOAD_PROGRAM, NULL};
    char dist[32];
    int out = open("/dev/null", O_WRONLY);
    (void)dup2(out, STDOUT_FILENO);
    (void)dup2(out, STDERR_FILENO);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (size_t i = 0; stage->environment[i]; i++)
        (void)putenv((char *)(uintptr_t)stage->environment[i]);
    /* What tells one victim's event from another's. */
    (void)snprintf(dist, sizeof dist, "r%d.", c->number);
    (void)setenv("SENTRY_DIST", dist, 1);
    const char *const *argv = c->kind == VICTIM     ? victim
                              : c->kind == UPLOADER ? upload
                                                    : commands[draw(6)];
    (void)execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

static bool is_full(void)
{
    return n_victims == MAX_VICTIMS || test_count_files(stage->spool, "new") > MAX_NEW ||
           test_count_files(stage->spool, "hold") > MAX_NEW;
}

static void start(struct child *c)
{
    unsigned dice = draw(10);
    *c = (struct child){.kind = dice < 5 ? VICTIM : dice < 8 ? UPLOADER : PERSON};
    if (c->kind == VICTIM && is_full())
        c->kind = UPLOADER;
    if (c->kind == VICTIM)
        c->number = n_victims++;
    (void)fflush(NULL);
    (void)draw(2); /* or all children would draw alike */
    c->pid = fork();
    if (!c->pid)
        run_child(c);
}

static void ended(struct child *c, int status)
{
    if (c->kind == VICTIM && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) {
        committed[c->number] = true;
        n_committed++;
    }
    bool died = WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
    if (c->kind == VICTIM && !c->killed && !CHECK(died))
        printf("the victim ended with status %#x\n", (unsigned)status);
    if (c->kind != VICTIM)
        CHECK(WIFEXITED(status) || c->killed);
    c->pid = 0;
}

static void reap(bool wait_for_all)
{
    for (int i = 0; i < N_AT_ONCE; i++) {
        int status;
        if (children[i].pid &&
            waitpid(children[i].pid, &status, wait_for_all ? 0 : WNOHANG) > 0)
            ended(&children[i], status);
    }
}

static void kill_one(void)
{
    struct child *c = &children[draw(N_AT_ONCE)];
    /* Once in a while an uploader must get through. */
    if (!c->pid || c->killed || (c->kind == UPLOADER && draw(3)) ||
        kill(c->pid, SIGKILL) < 0)
        return;
    c->killed = true;
    n_kills[c->kind]++;
}

static int kills(void)
{
    return n_kills[VICTIM] + n_kills[UPLOADER] + n_kills[PERSON];
}

/* Everything that is left goes out. */
static void drain(void)
{
    int status = -1;
    (void)stage_run(stage,
        (const char *const[]){KNELL_PROGRAM, "release", "-q", "--state", "hold", NULL});
    for (int i = 0; i < MAX_PASSES && status; i++)
        status = stage_upload(stage);
    CHECK_INT(status, 0);
    CHECK_INT(stage_count(stage, SPOOL_LIVE), 0);
    CHECK_INT(stage_count(stage, SPOOL_BAD), 0);
    CHECK_INT(stage_count(stage, SPOOL_NEW) + stage_count(stage, SPOOL_WAIT) +
                  stage_count(stage, SPOOL_HOLD) + stage_count(stage, SPOOL_WORK),
        0);
    CHECK_INT(stage_verify(stage), 0);
}

/* Notes which victim's event a request carries. */
static void look_at(const char *received, int request, bool *arrived)
{
    char path[600], text[65536];
    int number;
    (void)snprintf(path, sizeof path, "%s/%06d.body", received, request);
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        (void)fclose(f);
    text[n] = 0;
    const char *dist = strstr(text, "\"dist\":\"r");
    if (dist && sscanf(dist, "\"dist\":\"r%d.\"", &number) == 1 && number >= 0 &&
        number < n_victims)
        arrived[number] = true;
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* How many requests came twice under one id. */
static int count_duplicates(const char *received, int n_requests)
{
    char(*ids)[40] = calloc((size_t)n_requests + 1, sizeof *ids);
    char path[600], line[512];
    int n = 0, twice = 0;
    (void)snprintf(path, sizeof path, "%s/requests.log", received);
    FILE *f = fopen(path, "re");
    while (f && n < n_requests && fgets(line, sizeof line, f))
        n += sscanf(line, "%*s %*s %*s %*s %*s %39s", ids[n]) == 1;
    if (f)
        (void)fclose(f);
    CHECK_INT(n, n_requests);
    qsort(ids, (size_t)n, sizeof *ids, compare);
    for (int i = 1; i < n; i++)
        twice += !strcmp(ids[i], ids[i - 1]);
    free(ids);
    return twice;
}

int main(int argc, char **argv)
{
    int wanted = argc > 1 ? atoi(argv[1]) : 60;
    if (argc > 2)
        seed = (unsigned)atoi(argv[2]);
    const unsigned first_seed = seed;
    setvbuf(stdout, NULL, _IOLBF, 0);
    committed = calloc(MAX_VICTIMS, sizeof *committed);
    bool *arrived = calloc(MAX_VICTIMS, sizeof *arrived);
    const char *received = test_tmpdir();
    struct ingest server =
        ingest_start(&(struct ingest_options){.dir = received, .script = "200/delay=3"});
    char dsn[64];
    (void)snprintf(dsn, sizeof dsn, "http://key@127.0.0.1:%d/1", server.port);
    stage = stage_new(STAGE_EMPTY, dsn);
    /* Nothing is to be given up for want of room: that is another test's. */
    static const char config[] = "[spool]\nmax_reports = 1000000\nmax_bytes = 64G\n"
                                 "retain_sent_bytes = 64G\nkeep_free = 0\n";
    test_write_file(stage->dir, "config", config, sizeof config - 1);
    (void)snprintf(stage->config_env, sizeof stage->config_env, "KNELL_CONFIG=%s/config",
        stage->dir);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    while (kills() < wanted && !test_failures()) {
        for (int i = 0; i < N_AT_ONCE; i++) {
            if (!children[i].pid)
                start(&children[i]);
        }
        (void)usleep(draw(25000));
        if (draw(2))
            kill_one();
        reap(false);
    }
    reap(true);
    drain();
    int n_requests = (int)server.counts->requests, lost = 0;
    for (int i = 1; i <= n_requests; i++)
        look_at(received, i, arrived);
    for (int i = 0; i < n_victims; i++)
        lost += committed[i] && !arrived[i];
    int twice = count_duplicates(received, n_requests);
    CHECK_INT(lost, 0);
    CHECK(twice <= n_kills[UPLOADER] * UPLOADER_WIDTH);
    printf("%d daemons crashed and %d were killed, %d uploaders and %d commands killed; "
           "%d requests, %d came twice\n",
        n_committed, n_kills[VICTIM], n_kills[UPLOADER], n_kills[PERSON], n_requests,
        twice);
    if (test_failures())
        printf("seed %u\n", first_seed);
    ingest_stop(&server);
    stage_free(stage);
    return test_failures() != 0;
}
