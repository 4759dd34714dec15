#include "stage.h"

#include "test.h"
#include "tmpdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <knell/spool.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *templates[STAGE_N_KINDS];
static char template_ids[STAGE_N_KINDS][33];
static const char *const upload_argv[] = {UPLOAD_PROGRAM, "--all", "-v", NULL};

static void find_id(const char *dir, char out[static 33])
{
    static const char *const folders[] = {
        "live", "new", "work", "wait", "hold", "sent", "bad"};
    out[0] = 0;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char path[600];
        (void)snprintf(path, sizeof path, "%s/spool/%s", dir, folders[i]);
        DIR *d = opendir(path);
        for (const struct dirent *e; d && (e = readdir(d));) {
            struct spool_live_name live;
            struct spool_name name;
            if (!spool_name_parse(e->d_name, &name))
                spool_event_id_format(name.event_id, out);
            else if (!spool_live_name_parse(e->d_name, &live) && !live.segment)
                spool_event_id_format(live.event_id, out);
        }
        if (d)
            closedir(d);
    }
}

static struct stage *stage_at(const char *dir, const char *dsn)
{
    struct stage *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->dir = dir;
    (void)snprintf(s->spool, sizeof s->spool, "%s/spool", dir);
    (void)snprintf(s->out, sizeof s->out, "%s/out", dir);
    (void)snprintf(s->said, sizeof s->said, "%s/said", dir);
    (void)snprintf(s->spool_env, sizeof s->spool_env, "KNELL_SPOOL=%s", s->spool);
    (void)snprintf(s->home_env, sizeof s->home_env, "HOME=%s", dir);
    (void)snprintf(s->config_env, sizeof s->config_env, "KNELL_CONFIG=/dev/null");
    stage_set_dsn(s, dsn);
    size_t n = 0;
    s->environment[n++] = s->spool_env;
    s->environment[n++] = s->dsn_env;
    s->environment[n++] = s->home_env;
    s->environment[n++] = s->config_env;
    s->environment[n++] = "KNELL_START_UPLOADER=0";
    s->environment[n++] = "XDG_STATE_HOME=";
    s->environment[n++] = "XDG_CACHE_HOME=";
    s->environment[n++] = "ASAN_OPTIONS=detect_leaks=0";
    return s;
}

void stage_set_dsn(struct stage *s, const char *dsn)
{
    if (dsn)
        (void)snprintf(s->dsn_env, sizeof s->dsn_env, "KNELL_DSN=%s", dsn);
    else
        (void)snprintf(s->dsn_env, sizeof s->dsn_env, "KNELL_DSN=file://%s", s->out);
}

static void copy_spool(const char *from, const char *to)
{
    char command[1200];
    (void)snprintf(command, sizeof command, "cp -a %s/spool %s/", from, to);
    if (system(command) != 0)
        abort();
}

/* The victim dies at the first call that @last names. */
struct death {
    long number;
    uint64_t first_arg;
};

static enum trace_verdict die_at(void *ctx, struct trace_call *c)
{
    const struct death *d = ctx;
    bool here = !c->after && c->number == d->number &&
                (d->first_arg == (uint64_t)-1 || c->args[0] == d->first_arg);
    return here ? TRACE_KILL : TRACE_GO;
}

static bool crash(struct stage *s, const struct death *death)
{
    const char *const argv[] = {VICTIM_PROGRAM, "null_write", NULL};
    struct trace_result r;
    struct death d = death ? *death : (struct death){.number = -1};
    struct trace_options o = {.argv = argv,
        .environment = s->environment,
        .output = s->said,
        .visit = die_at,
        .ctx = &d};
    return !trace_run(&o, &r) && WIFSIGNALED(r.status) &&
           WTERMSIG(r.status) == (death ? SIGKILL : SIGSEGV);
}

static void knell(const struct stage *s, const char *command)
{
    CHECK_INT(stage_run(s,
                  (const char *const[]){KNELL_PROGRAM, command, "-q", s->event_id, NULL}),
        0);
}

static void claim(const struct stage *s)
{
    char command[1300];
    (void)snprintf(
        command, sizeof command, "mv %s/new/*.dmp %s/work/", s->spool, s->spool);
    if (system(command) != 0)
        abort();
}

static void make(enum stage_kind kind);

/* The folder of a kind's spool, made when first asked for. */
static const char *template_of(enum stage_kind kind)
{
    if (!templates[kind])
        make(kind);
    return templates[kind];
}

static void make(enum stage_kind kind)
{
    static const struct death before_rename = {SYS_renameat, (uint64_t)-1},
                              while_running = {SYS_write, STDOUT_FILENO};
    const char *dir = test_tmpdir();
    struct stage *s = stage_at(dir, NULL);
    bool ok = true;
    if (kind == STAGE_COMMITTED || kind == STAGE_DIED)
        ok = crash(s, kind == STAGE_DIED ? &while_running : &before_rename);
    else if (kind == STAGE_NEW)
        ok = crash(s, NULL);
    else if (kind != STAGE_EMPTY)
        copy_spool(template_of(STAGE_NEW), dir);
    find_id(dir, s->event_id);
    if (kind == STAGE_WAIT) {
        stage_set_dsn(s, "http://key@127.0.0.1:1/1");
        CHECK_INT(stage_upload(s), 6);
    } else if (kind == STAGE_HOLD) {
        knell(s, "hold");
    } else if (kind == STAGE_SENT) {
        CHECK_INT(stage_upload(s), 0);
    } else if (kind == STAGE_BAD) {
        char dsn[64];
        struct ingest server = ingest_start(&(struct ingest_options){.script = "400"});
        (void)snprintf(dsn, sizeof dsn, "http://key@127.0.0.1:%d/1", server.port);
        stage_set_dsn(s, dsn);
        CHECK_INT(stage_upload(s), 0);
        ingest_stop(&server);
    } else if (kind == STAGE_WORK) {
        claim(s);
    }
    templates[kind] = dir;
    memcpy(template_ids[kind], s->event_id, sizeof s->event_id);
    ok = ok && (kind == STAGE_EMPTY || CHECK(s->event_id[0]));
    if (!ok) {
        stage_show(s);
        exit(1);
    }
    free(s);
}

const char *stage_event_id(enum stage_kind kind)
{
    (void)template_of(kind);
    return template_ids[kind];
}

struct stage *stage_new(enum stage_kind kind, const char *dsn)
{
    const char *from = template_of(kind);
    struct stage *s = stage_at(test_tmpdir(), dsn);
    memcpy(s->event_id, template_ids[kind], sizeof s->event_id);
    if (kind != STAGE_EMPTY)
        copy_spool(from, s->dir);
    return s;
}

void stage_free(struct stage *s)
{
    test_tmpdir_done(s->dir);
    free(s);
}

int stage_run(const struct stage *s, const char *const *argv)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    if (!pid) {
        int out = open(s->said, O_WRONLY | O_CREAT | O_APPEND, 0600);
        (void)dup2(out, STDOUT_FILENO);
        (void)dup2(out, STDERR_FILENO);
        for (size_t i = 0; s->environment[i]; i++)
            (void)putenv((char *)(uintptr_t)s->environment[i]);
        (void)execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int stage_upload(const struct stage *s)
{
    return stage_run(s, upload_argv);
}

int stage_verify(const struct stage *s)
{
    return stage_run(s, (const char *const[]){KNELL_PROGRAM, "verify", NULL});
}

unsigned stage_states(const struct stage *s, const char *event_id, int *ret_n)
{
    struct spool *spool = NULL;
    unsigned bits = 0;
    int n = 0;
    if (spool_open(s->spool, false, &spool) == 0) {
        for (int i = SPOOL_NEW; i < SPOOL_N_STATES; i++) {
            struct spool_list l = {0};
            char id[33];
            CHECK_INT(spool_list_add(spool, (enum spool_state)i, &l), 0);
            for (size_t k = 0; k < l.n; k++) {
                spool_event_id_format(l.names[k].event_id, id);
                if (!strcmp(id, event_id)) {
                    bits |= 1u << i;
                    n++;
                }
            }
            spool_list_done(&l);
        }
    }
    spool_close(spool);
    *ret_n = n;
    return bits;
}

static int count_one(void *ctx, const char *file, const struct spool_name *name)
{
    (void)file;
    (void)name;
    ++*(int *)ctx;
    return 0;
}

int stage_count(const struct stage *s, enum spool_state state)
{
    struct spool *spool = NULL;
    int n = 0;
    if (spool_open(s->spool, false, &spool) == 0)
        CHECK_INT(spool_each(spool, state, count_one, &n), 0);
    spool_close(spool);
    return n;
}

/* @ret malloc'd, NUL at the end; NULL: it cannot be read */
static char *read_whole(const char *path, size_t *ret_n)
{
    FILE *f = fopen(path, "re");
    char *text = f ? calloc(1, (4 << 20) + 1) : NULL;
    *ret_n = text ? fread(text, 1, 4 << 20, f) : 0;
    if (f)
        (void)fclose(f);
    return text;
}

int stage_arrived(const struct stage *s, const char *word, bool *ret_has)
{
    DIR *d = opendir(s->out);
    int n = 0;
    bool has = false;
    for (const struct dirent *e; d && (e = readdir(d));) {
        char path[800];
        size_t n_text;
        if (e->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", s->out, e->d_name);
        char *text = read_whole(path, &n_text);
        if (text && strstr(text, "\n{\"type\":\"event\"")) {
            n++;
            has |= word && memmem(text, n_text, word, strlen(word));
        }
        free(text);
    }
    if (d)
        closedir(d);
    if (ret_has)
        *ret_has = has;
    return n;
}

static uint64_t digest;
static size_t digest_from; /* length of the path before what counts */

static uint64_t mix(uint64_t h, const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const uint8_t *)p)[i]) * 0x100000001b3u;
    return h;
}

/* Whether a file's bytes hold times or counts that no decision depends on. */
static bool is_told(const char *name)
{
    return !strcmp(name, "log") || !strcmp(name, "state");
}

static int add_to_digest(
    const char *path, const struct stat *st, int flag, struct FTW *at)
{
    uint64_t h = 0xcbf29ce484222325u;
    const char *name = path + at->base;
    /* ".state.4711.tmp": whose it was does not matter. */
    for (const char *p = path + digest_from; *p; p++) {
        if (name[0] != '.' || *p < '0' || *p > '9')
            h = mix(h, p, 1);
    }
    if (flag == FTW_F && !strstr(path, ".envelope") && strcmp(name, "said") != 0) {
        h = mix(h, &st->st_size, sizeof st->st_size);
        size_t n = 0;
        char *text = is_told(name) ? NULL : read_whole(path, &n);
        h = mix(h, text, n);
        free(text);
    }
    digest += h ^ h >> 29; /* the order of a folder does not matter */
    return 0;
}

uint64_t stage_digest(const struct stage *s)
{
    digest = 0;
    digest_from = strlen(s->dir);
    (void)nftw(s->dir, add_to_digest, 16, FTW_PHYS);
    return digest;
}

void stage_show(const struct stage *s)
{
    char command[1300];
    (void)fflush(stdout);
    (void)snprintf(command, sizeof command,
        "cd %s; find spool $(ls -d out 2>/dev/null) -type f | sort; cat spool/bad/*.why "
        "2>/dev/null; tail -n 20 said",
        s->dir);
    if (system(command) != 0)
        printf("(nothing said)\n");
}
