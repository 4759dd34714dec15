/* The program that reads hostile bytes: what it holds, what it may open, what happens
 * when it dies. Against knell-upload itself. */
#include "dump.h"
#include "fake.h"

#include "uploader/worker/sandbox.h"
#include "uploader/worker/sandbox_files.h"
#include "uploader/worker/server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <knell/journal.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SOMEBODY = 54321, PATIENCE_MS = 60000, MAX_PROCESSES = 64 };

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

/* Of /proc/PID/@file, with a NUL behind it. */
static size_t read_proc(pid_t pid, const char *file, char *out, size_t n)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    FILE *f = fopen(path, "r");
    size_t k = f ? fread(out, 1, n - 1, f) : 0;
    if (f)
        fclose(f);
    out[k] = 0;
    return k;
}

static pid_t parent_of(pid_t pid)
{
    char text[512];
    int parent = 0;
    read_proc(pid, "stat", text, sizeof text);
    const char *end = strrchr(text, ')');
    return end && sscanf(end, ") %*c %d", &parent) == 1 ? parent : 0;
}

static bool descends(pid_t pid, pid_t from)
{
    for (int i = 0; pid > 1 && i < 20; i++, pid = parent_of(pid)) {
        if (pid == from)
            return true;
    }
    return false;
}

/* All processes that come from @from, itself included. */
static size_t family(pid_t from, pid_t out[MAX_PROCESSES])
{
    size_t n = 0;
    DIR *d = opendir("/proc");
    for (struct dirent *e; d && (e = readdir(d)) && n < MAX_PROCESSES;) {
        pid_t pid = (pid_t)atoi(e->d_name);
        if (pid > 0 && descends(pid, from))
            out[n++] = pid;
    }
    if (d)
        closedir(d);
    return n;
}

/* The process of the family of @from that was started as the worker; 0: none. */
static pid_t find_worker(pid_t from)
{
    pid_t all[MAX_PROCESSES];
    size_t n = family(from, all);
    for (size_t i = 0; i < n; i++) {
        char line[256];
        size_t k = read_proc(all[i], "cmdline", line, sizeof line);
        char *argument = memchr(line, 0, k);
        if (argument && !strcmp(argument + 1, WORKER_SERVER_ARGUMENT))
            return all[i];
    }
    return 0;
}

/* How often @word stands in what the process may write to; -1: it cannot be read. */
static int count_in_memory(pid_t pid, const char *word)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC), n = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(path, "r");
    while (fd >= 0 && maps && fgets(line, sizeof line, maps)) {
        uint64_t from, to;
        char mode[8];
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &from, &to, mode) != 3 ||
            mode[1] != 'w' || to - from > 64u << 20)
            continue;
        char *bytes = malloc(to - from);
        ssize_t k = pread(fd, bytes, to - from, (off_t)from);
        for (char *p = bytes;
             k > 0 && (p = memmem(p, (size_t)(bytes + k - p), word, strlen(word))); p++)
            n++;
        free(bytes);
    }
    if (maps)
        fclose(maps);
    if (fd >= 0)
        close(fd);
    return fd < 0 || !maps ? -1 : n;
}

struct run {
    struct fake *spool;
    struct ingest server;
    const char *dir; /* of the hook: "asked" appears, "go" lets it go on */
    pid_t pid;
};

/* A report that knell-upload has in hand: the user's program has been given the event,
 * and waits. */
static struct run run_new(void)
{
    struct run r = {.spool = fake_new(NULL), .dir = test_tmpdir()};
    char script[1024], hook[600], tag[600], dsn[200], command[600];
    r.server = ingest_start(&(struct ingest_options){0});
    /* It waits in the shell itself: a sleep(1) would come and go among its processes. */
    int n = snprintf(script, sizeof script,
        "#!/bin/sh\ncat > %s/event\n: > %s/asked\nread go < %s/go\ncat %s/event\n", r.dir,
        r.dir, r.dir, r.dir);
    snprintf(hook, sizeof hook, "%s/go", r.dir);
    CHECK_INT(mkfifo(hook, 0666), 0);
    test_write_file(r.dir, "hook", script, (size_t)n);
    snprintf(hook, sizeof hook, "%s/hook", r.dir);
    CHECK_INT(chmod(hook, 0755), 0);
    struct dump *d = dump_example();
    size_t n_report;
    const uint8_t *report = dump_finish(d, &n_report);
    fake_report_bytes(r.spool, "new", 1, report, n_report, NULL);
    dump_free(d);
    if (geteuid() == 0) { /* keys of root's must not reach the owner's worker either */
        snprintf(command, sizeof command, "chown -R %d:%d %s %s", SOMEBODY, SOMEBODY,
            r.spool->path, r.dir);
        CHECK_INT(system(command), 0);
    }
    snprintf(hook, sizeof hook, "hooks.before_send=%s/hook", r.dir);
    snprintf(tag, sizeof tag, "event.tag=planted=PlainlyVisible");
    snprintf(dsn, sizeof dsn, "http://hushkey:hushsecret@127.0.0.1:%d/1", r.server.port);
    r.pid = fork();
    if (!r.pid) {
        setenv("KNELL_DSN", dsn, 1);
        setenv("KNELL_CONFIG", "/dev/null", 1);
        setenv("KNELL_UPLOAD_OTLP_HEADERS", "authorization=hushtoken", 1);
        setenv("SOMEBODYS_PASSWORD", "hushpassword", 1);
        execl(UPLOAD_PROGRAM, UPLOAD_PROGRAM, "--spool", r.spool->path, "--set", hook,
            "--set", tag, "--set", "hooks.timeout=120s", "--set",
            "upload.proxy=http://hushproxy@127.0.0.1:1", (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < PATIENCE_MS / 5 && test_count_files(r.dir, "") < 4; i++)
        nap();
    char asked[600];
    snprintf(asked, sizeof asked, "%s/asked", r.dir);
    CHECK_INT(access(asked, F_OK), 0);
    return r;
}

static void run_go(struct run *r, int expected)
{
    int status = -1;
    char go[600];
    snprintf(go, sizeof go, "%s/go", r->dir);
    int fd = open(go, O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0 && write(fd, "\n", 1) == 1);
    CHECK_INT(waitpid(r->pid, &status, 0), r->pid);
    CHECK_INT(WIFEXITED(status) ? WEXITSTATUS(status) : -1, expected);
    close_p(&fd);
}

static void run_free(struct run *r)
{
    fake_free(r->spool);
    ingest_stop(&r->server);
}

/* Neither its memory nor its environment ever held a key, nor do its children's. */
static void the_worker_holds_no_key(void)
{
    struct run r = run_new();
    pid_t worker = find_worker(r.pid), all[MAX_PROCESSES];
    CHECK(worker > 0);
    size_t n = family(worker, all);
    CHECK(n >= 3); /* itself, the report's child, the user's program */
    int plain = count_in_memory(worker, "PlainlyVisible");
    if (plain < 0) {
        test_skip("/proc/PID/mem cannot be read here");
    } else {
        CHECK(plain > 0); /* what it should hold is found */
        for (size_t i = 0; i < n; i++)
            CHECK_INT(count_in_memory(all[i], "hush"), 0);
    }
    for (size_t i = 0; i < n; i++) {
        char text[65536];
        size_t k = read_proc(all[i], "environ", text, sizeof text);
        CHECK(memmem(text, k, "PATH=", 5));
        CHECK(!memmem(text, k, "hush", 4));
        CHECK(!memmem(text, k, "KNELL_", 6));
        k = read_proc(all[i], "cmdline", text, sizeof text);
        CHECK(!memmem(text, k, "hush", 4));
    }
    /* Its sender does hold them, and cannot be read by those of its user. */
    char path[64];
    struct stat st = {.st_uid = 1};
    pid_t sender = parent_of(worker);
    snprintf(path, sizeof path, "/proc/%d/mem", (int)sender);
    CHECK_INT(stat(path, &st), 0);
    CHECK_INT(st.st_uid, 0);
    if (geteuid() == 0)
        CHECK(count_in_memory(sender, "hushsecret") > 0);
    run_go(&r, 0);
    CHECK_INT(fake_count(r.spool, "sent"), 1);
    CHECK_INT(r.server.counts->requests, 1);
    run_free(&r);
}

/* Its death is a strike against the report it had in hand, and nothing else. */
static void a_killed_worker_costs_a_strike(void)
{
    struct run r = run_new();
    pid_t worker = find_worker(r.pid);
    CHECK(worker > 0 && kill(worker, SIGKILL) == 0);
    run_go(&r, 6);
    CHECK_INT(fake_count(r.spool, "wait"), 1);
    CHECK_INT(r.server.counts->requests, 0);
    run_free(&r);
}

/* Nor does it outlive the one it works for. */
static void a_killed_sender_takes_the_worker_along(void)
{
    struct run r = run_new();
    pid_t worker = find_worker(r.pid), sender = parent_of(worker), all[MAX_PROCESSES];
    size_t n = family(worker, all);
    CHECK(worker > 0 && n >= 2);
    CHECK_INT(kill(sender, SIGKILL), 0);
    if (sender != r.pid)
        (void)kill(r.pid, SIGKILL);
    CHECK_INT(waitpid(r.pid, NULL, 0), r.pid);
    for (size_t i = 0; i < n; i++) {
        char line[512];
        for (int k = 0; k < PATIENCE_MS / 5; k++) {
            const char *end =
                read_proc(all[i], "stat", line, sizeof line) ? strrchr(line, ')') : NULL;
            if (!end || end[2] == 'Z' || kill(all[i], 0) < 0)
                break;
            nap();
        }
        CHECK(kill(all[i], 0) < 0 || strstr(line, ") Z"));
    }
    CHECK_INT(fake_count(r.spool, "work"), 1);
    run_free(&r);
}

static const char *probe_cache, *probe_other;
static pid_t probe_parent;

static bool refused(const char *path, int flags)
{
    int fd = open(path, flags, 0600);
    int err = errno;
    close_p(&fd);
    return fd < 0 && err == EACCES;
}

static int tries_files(void)
{
    char environment[64], own[600], strange[600];
    snprintf(environment, sizeof environment, "/proc/%d/environ", (int)probe_parent);
    snprintf(own, sizeof own, "%s/new", probe_cache);
    snprintf(strange, sizeof strange, "%s/new", probe_other);
    bool sound = refused(environment, O_RDONLY) && refused("/etc/shadow", O_RDONLY) &&
                 refused("/proc/self/environ", O_RDONLY) &&
                 refused("/dev/null", O_RDONLY) && refused(strange, O_WRONLY | O_CREAT);
    int fd = open(own, O_WRONLY | O_CREAT | O_EXCL, 0600);
    sound = sound && fd >= 0 && write(fd, "x", 1) == 1 && ftruncate(fd, 0) == 0 &&
            rename(own, own) == 0 && unlink(own) == 0;
    return sound && open("/usr/bin/env", O_RDONLY) >= 0 ? 0 : 1;
}

/* A folder of the configuration that cannot be one costs what would be in it, no more. */
static void a_wrong_folder_is_left_out(void)
{
    const struct sandbox_files files = {
        .readable = (const char *const[]){"/etc/passwd/debug", "/nowhere", NULL}};
    int rules = sandbox_files_new(&files);
    CHECK(rules > 0 || rules == -EOPNOTSUPP);
    close_p(&rules);
}

static void only_programs_can_be_read(void)
{
    probe_cache = test_tmpdir();
    probe_other = test_tmpdir();
    probe_parent = getpid();
    const struct sandbox_files files = {
        .writable = (const char *const[]){probe_cache, NULL}};
    int rules = sandbox_files_new(&files), status = -1;
    if (rules == -EOPNOTSUPP) {
        test_skip("this kernel has no Landlock");
        return;
    }
    CHECK(rules > 0);
    pid_t pid = fork();
    if (!pid) {
        const struct sandbox_limits limits = {.files = rules};
        _exit(sandbox_enter(&limits) ? 99 : tries_files());
    }
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    (void)close(rules);
}

/* A journal of a dead process is read where reports are: without room for that it stays
 * as it is, and nothing else goes wrong. */
static void the_sender_reads_no_journal(void)
{
#ifdef KNELL_INSTRUMENTED
    test_skip("a sanitizer takes memory of its own");
#else
    const struct knell_journal_head h = {.magic = KNELL_JOURNAL_MAGIC,
        .version = KNELL_JOURNAL_VERSION,
        .head_bytes = sizeof h,
        .total_bytes = sizeof h,
        .used_bytes = sizeof h,
        .state = KNELL_RUN_RUNNING,
        .app = "exampled"};
    static const char *const rooms[] = {
        "symbols.worker_memory=1M", "symbols.worker_memory=2G"};
    struct fake *f = fake_new(NULL);
    test_write_file(f->path, "live/0badb007-4711-99-ab000000000000000000000000000001.jnl",
        &h, sizeof h);
    for (int i = 0; i < 2; i++) {
        int status = -1;
        pid_t pid = fork();
        if (!pid) {
            setenv("KNELL_DSN", "", 1);
            setenv("KNELL_CONFIG", "/dev/null", 1);
            execl(UPLOAD_PROGRAM, UPLOAD_PROGRAM, "-q", "--spool", f->path, "--set",
                rooms[i], (char *)NULL);
            _exit(127);
        }
        CHECK_INT(waitpid(pid, &status, 0), pid);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 9); /* no destination */
        CHECK_INT(fake_count(f, "live"), 1 - i);
        CHECK_INT(fake_count(f, "wait"), i);
        CHECK_INT(fake_count(f, "bad"), 0);
    }
    fake_free(f);
#endif
}

static void an_environment_is_chosen(void)
{
    CHECK(worker_server_keeps("PATH=/bin"));
    CHECK(worker_server_keeps("LC_ALL=C"));
    CHECK(!worker_server_keeps("PATHS=x"));
    CHECK(!worker_server_keeps("SENTRY_DSN=x"));
    CHECK(!worker_server_keeps("KNELL_DSN=x"));
    CHECK(!worker_server_keeps("CREDENTIALS_DIRECTORY=x"));
    CHECK(!worker_server_keeps("AWS_SECRET_ACCESS_KEY=x"));
}

TEST_MAIN(TEST(the_worker_holds_no_key), TEST(a_killed_worker_costs_a_strike),
    TEST(a_killed_sender_takes_the_worker_along), TEST(only_programs_can_be_read),
    TEST(a_wrong_folder_is_left_out), TEST(an_environment_is_chosen),
    TEST(the_sender_reads_no_journal))
