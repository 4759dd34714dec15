/* test: a child crashes on purpose, and its report goes through the whole chain to the
 * configured destination, in a spool of its own. */
#include "uploader/inspect/cmd_test.h"

#include "uploader/inspect/loader.h"
#include "uploader/inspect/programs.h"
#include "uploader/inspect/row.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <knell/knell.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

struct trial {
    struct session *s;
    struct json j;
    char dir[64];
    struct timespec began;
    int code; /* of the first step that failed */
};

static double lap_ms(struct trial *t)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    double ms = (double)(now.tv_sec - t->began.tv_sec) * 1e3 +
                (double)(now.tv_nsec - t->began.tv_nsec) / 1e6;
    t->began = now;
    return ms;
}

/* Returns whether the step succeeded. */
static bool tell(struct trial *t, const char *step, int code, const char *detail)
{
    const struct out *o = &t->s->out;
    double ms = lap_ms(t);
    if (code && !t->code)
        t->code = code;
    if (t->s->options.json) {
        json_object(&t->j, NULL);
        json_text(&t->j, "step", step);
        json_bool(&t->j, "done", code == 0);
        json_number(&t->j, "ms", ms, 3);
        json_text(&t->j, "detail", detail);
        json_end_object(&t->j);
        return code == 0;
    }
    (void)fprintf(o->f, "%s%-6s%s %8.1f ms  %-9s ",
        out_style(o, code ? STYLE_RED : STYLE_GREEN), code ? "failed" : "ok",
        out_plain(o), ms, step);
    out_text(o, STYLE_PLAIN, detail);
    (void)fputc('\n', o->f);
    (void)fflush(o->f);
    return code == 0;
}

__attribute__((noinline)) static void write_through(volatile int *pointer)
{
    *pointer = 1;
}

/* The child, until it dies. */
static _Noreturn void die(const char *dir, int signo)
{
    struct knell_options o = KNELL_OPTIONS_INIT;
    o.app = "knell-test";
    o.release = "knell-test@" KNELL_VERSION;
    o.environment = "test";
    o.spool_dir = dir;
    o.start_uploader = KNELL_OFF;
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (knell_start(&o) < 0)
        _exit(2);
    if (signo && signo != SIGSEGV)
        (void)raise(signo);
    else
        write_through(NULL);
    _exit(3);
}

static bool crash(struct trial *t)
{
    int status = 0, signo = t->s->options.signo;
    char detail[96];
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        die(t->dir, signo);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return tell(t, "crash", EXIT_FAILED, strerrordesc_np(errno));
    if (!WIFSIGNALED(status)) {
        (void)snprintf(detail, sizeof detail, "the child was not armed (status %d)",
            WEXITSTATUS(status));
        return tell(t, "crash", EXIT_FAILED, detail);
    }
    (void)snprintf(detail, sizeof detail, "process %d died of signal %d", (int)pid,
        WTERMSIG(status));
    return tell(t, "crash", EXIT_OK, detail);
}

static bool look(struct trial *t)
{
    struct session one = *t->s;
    struct store store;
    struct index_entry e;
    char signal[ROW_TEXT_BYTES];
    CLEANUP(safe_done) struct safe text = {0};
    one.options = (struct options){.spool = t->dir, .quiet = true};
    int err = store_open(&one, &store);
    bool found = !err && store.n_reports == 1;
    if (found) {
        CLEANUP(safe_done) struct safe place = {0};
        loader_facts(&one, &store, &store.reports[0], &e);
        row_place(&e, &place);
        safe_format(&text, "%s in %s", row_signal(&store.reports[0], &e, signal),
            place.n ? safe_text(&place) : "an unknown function");
    } else {
        safe_format(&text, "no report in the spool");
    }
    t->s->symbolizer = one.symbolizer;
    store_close(&store);
    return tell(t, "report", found ? EXIT_OK : EXIT_FAILED, safe_text(&text));
}

static bool deliver(struct trial *t)
{
    const struct options *o = &t->s->options;
    const char *argv[8] = {"knell-upload", "--quiet", "--all", "--spool", t->dir};
    size_t n = 5;
    int status;
    if (o->config) {
        argv[n++] = "--config";
        argv[n++] = o->config;
    }
    /* Through the environment: arguments are for everybody to read. */
    if (o->n_arguments && setenv("KNELL_DSN", o->arguments[0], 1) < 0)
        return tell(t, "deliver", EXIT_FAILED, "no memory");
    int err = programs_run("knell-upload", argv, &status);
    if (err)
        return tell(t, "deliver", EXIT_FAILED, strerrordesc_np(-err));
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED;
    static const char *const words[] = {[EXIT_OK] = "the destination took it",
        [EXIT_FAILED] = "knell-upload failed",
        [EXIT_LATER] = "the destination did not take it now",
        [EXIT_DISABLED] = "no destination is configured, or no consent"};
    const char *word = (size_t)code < sizeof words / sizeof *words ? words[code] : NULL;
    return tell(t, "deliver", code, word ? word : "knell-upload failed");
}

/* The spool that this run made: flat folders of plain files. */
static void remove_spool(const char *dir)
{
    for (int state = -1; state < SPOOL_N_STATES; state++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", dir,
            state < 0 ? "done" : spool_state_name((enum spool_state)state));
        DIR *d = opendir(path);
        for (struct dirent *e; d && (e = readdir(d));)
            IGNORE(unlinkat(dirfd(d), e->d_name, 0), "folders refuse and are next");
        if (d)
            IGNORE(closedir(d), "nothing was written");
        IGNORE(rmdir(path), "it may not be there");
    }
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));)
        IGNORE(unlinkat(dirfd(d), e->d_name, 0), "folders refuse");
    if (d)
        IGNORE(closedir(d), "nothing was written");
    IGNORE(rmdir(dir), "what is left stays for a person to see");
}

int command_test(struct session *s)
{
    struct trial t = {.s = s};
    (void)snprintf(t.dir, sizeof t.dir, "/tmp/knell-trial.XXXXXX");
    if (!mkdtemp(t.dir)) {
        session_complain(s, "cannot make a folder in /tmp: %s", strerrordesc_np(errno));
        return EXIT_FAILED;
    }
    if (s->options.json) {
        t.j = session_json(s);
        json_array(&t.j, "steps");
    }
    (void)lap_ms(&t); /* starts the clock */
    if (crash(&t) && look(&t))
        IGNORE(!deliver(&t), "the code says it");
    if (s->options.json) {
        json_end_array(&t.j);
        json_int(&t.j, "exit_code", t.code);
        json_end_object(&t.j);
    }
    remove_spool(t.dir);
    return t.code;
}
