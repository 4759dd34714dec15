#include "run.h"

#include "test.h"
#include "tmpdir.h"
#include "uploader/report/obituary.h"
#include "uploader/report/parse.h"
#include "uploader/report/unwind.h"
#include "uploader/spool/adopt.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <knell/spool.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { NOBODY = 65534 };

static long now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static size_t read_file(const char *path, void *out, size_t n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t got = read(fd, out, n);
    (void)close(fd);
    return got > 0 ? (size_t)got : 0;
}

static void to_file(const char *name, int fd)
{
    int file = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || dup2(file, fd) < 0)
        _exit(121);
    (void)close(file);
}

static void become_nobody(void)
{
    if (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY) ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 1))
        _exit(122);
}

static void become_victim(
    const char *program, const char *args, unsigned flags, const struct run *r)
{
    char words[512], *argv[RUN_MAX_ARGS] = {(char *)(uintptr_t)program}, *save;
    int n = 1;
    if (flags & RUN_BARE)
        argv[n++] = (char *)(uintptr_t) "-u";
    (void)snprintf(words, sizeof words, "%s", args);
    for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[n++] = w;
    /* What a shell or a supervisor ignores for its jobs is not the victim's. By the raw
     * call: posix_spawn(3), which make uses, ignores the C library's own two as well. */
    const uint64_t all_default[4] = {0};
    for (int i = 1; i < NSIG; i++)
        (void)syscall(SYS_rt_sigaction, i, all_default, NULL, sizeof(uint64_t));
    const struct rlimit core = {flags & RUN_CORE ? RLIM_INFINITY : 0, RLIM_INFINITY};
    if (chdir(r->dir) || setrlimit(RLIMIT_CORE, &core))
        _exit(123);
    (void)setenv("KNELL_SPOOL", r->spool, 1);
    if (!getenv("VICTIM_UPLOADS"))
        (void)setenv("KNELL_START_UPLOADER", "0", 1);
    surroundings_enter(&r->around);
    to_file("out", STDOUT_FILENO);
    to_file("err", STDERR_FILENO);
    if (flags & RUN_AS_NOBODY)
        become_nobody();
    if (flags & RUN_CORE)
        (void)personality(ADDR_NO_RANDOMIZE);
    (void)execv(program, argv);
    _exit(124);
}

/* The status of PID 1 of a new namespace, passed on by dying the same way. */
static void become_init_of(
    const char *program, const char *args, unsigned flags, const struct run *r)
{
    if (unshare(CLONE_NEWPID | CLONE_NEWNS) ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
        _exit(125);
    pid_t pid = fork();
    if (!pid) {
        if (mount("proc", "/proc", "proc", 0, NULL))
            _exit(126);
        become_victim(program, args, flags, r);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    /* An init that lives on is a result as well: ended after a while by the victim. */
    _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

/* A debugger's wait status is the one that counts: it is handed back in shared memory. */
static void become_debugger_of(const char *program, const char *args, unsigned flags,
    const struct run *r, int *ret_status)
{
    int ready[2];
    if (pipe(ready))
        _exit(125);
    pid_t pid = fork();
    if (!pid) {
        (void)close(ready[1]);
        surroundings_be_traced(ready[0]);
        become_victim(program, args, flags, r);
    }
    *ret_status = surroundings_trace(pid, ready[1]);
    _exit(0);
}

static int wait_for(pid_t pid)
{
    int status;
    for (int ms = 0; ms < RUN_TIMEOUT_MS; ms++) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return status;
        usleep(1000);
    }
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, &status, 0);
    return -1;
}

static void read_journal(struct run *r, const char *folder, const char *name)
{
    char path[600];
    struct knell_journal_head head = {0};
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    r->has_journal = read_file(path, &head, sizeof head) == sizeof head;
    r->journal_state = head.state;
    r->journal_signo = head.crash_signo;
}

static void find_reports(struct run *r)
{
    char folder[320];
    (void)snprintf(folder, sizeof folder, "%s/new", r->spool);
    DIR *d = opendir(folder);
    for (const struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        r->n_reports++;
        (void)snprintf(r->report, sizeof r->report, "%s/%s", folder, e->d_name);
    }
    if (d)
        (void)closedir(d);
    (void)snprintf(folder, sizeof folder, "%s/live", r->spool);
    d = opendir(folder);
    for (const struct dirent *e; d && (e = readdir(d));) {
        const char *dot = strrchr(e->d_name, '.');
        if (dot && !strcmp(dot, KNELL_JOURNAL_SUFFIX))
            read_journal(r, folder, e->d_name);
        if (!dot || strcmp(dot, KNELL_SPOOL_SUFFIX) != 0)
            continue;
        r->n_live_dumps++;
        if (r->n_reports)
            continue;
        (void)snprintf(r->report, sizeof r->report, "%s/%s", folder, e->d_name);
        r->in_live = true;
    }
    if (d)
        (void)closedir(d);
}

static void parse_report(struct run *r)
{
    struct stat st;
    struct report_error why = {.what = "unwind"};
    if (!r->report[0] || stat(r->report, &st))
        return;
    r->bytes = (uint8_t *)malloc((size_t)st.st_size + 1);
    r->n_bytes = read_file(r->report, r->bytes, (size_t)st.st_size);
    if (report_read(r->bytes, r->n_bytes, &r->crash, &why)) {
        r->refused = r->in_live ? NULL : why.what;
        r->crash = NULL;
        return;
    }
    if (r->crash->is_changed)
        r->refused = "checksum";
    const struct report_unwind_options all = {0};
    if (report_unwind(r->crash, &all))
        r->refused = "unwind";
}

void run_victim(const char *program, const char *args, unsigned flags, struct run *r)
{
    *r = (struct run){.status = -1};
    static const char *base;
    if (!base) {
        base = test_tmpdir();
        (void)chmod(base, 0711); /* for nobody */
    }
    (void)snprintf(r->dir, sizeof r->dir, "%s/victim", base);
    (void)snprintf(r->spool, sizeof r->spool, "%s/spool", r->dir);
    if (mkdir(r->dir, 0700) || mkdir(r->spool, 0700))
        test_check(false, __FILE__, __LINE__, "mkdir");
    r->around = (struct surroundings){.dir = r->dir, .spool = r->spool, .flags = flags};
    if (!surroundings_make(&r->around)) {
        test_check(false, __FILE__, __LINE__, "surroundings");
        return;
    }
    int *traced = (int *)mmap(
        NULL, sizeof *traced, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    long start = now_us();
    pid_t pid = fork();
    if (!pid && flags & RUN_AS_INIT)
        become_init_of(program, args, flags, r);
    if (!pid && flags & RUN_TRACED)
        become_debugger_of(program, args, flags, r, traced);
    if (!pid)
        become_victim(program, args, flags, r);
    r->status = wait_for(pid);
    surroundings_after(&r->around);
    if (flags & RUN_TRACED && !r->status)
        r->status = *traced;
    (void)munmap(traced, sizeof *traced);
    r->elapsed_us = now_us() - start;
    char path[320];
    (void)snprintf(path, sizeof path, "%s/out", r->dir);
    read_file(path, r->out, sizeof r->out - 1);
    (void)snprintf(path, sizeof path, "%s/err", r->dir);
    read_file(path, r->err, sizeof r->err - 1);
    for (const char *p = r->out; p && (p = strstr(p, "tid=")); p += 4)
        (void)sscanf(p, "tid=%u at=%lx", &r->tid, &r->at);
    find_reports(r);
    parse_report(r);
}

bool run_live_is_committed(const struct run *r)
{
    return r->in_live && r->crash && r->crash->has_signal && r->crash->n_threads;
}

void run_adopt(struct run *r)
{
    struct spool *s;
    struct adopt_result result;
    if (r->crash)
        crash_free(r->crash);
    free(r->bytes);
    r->crash = NULL;
    r->bytes = NULL;
    r->refused = NULL;
    r->report[0] = 0;
    r->n_reports = r->n_live_dumps = 0;
    r->in_live = r->has_journal = false;
    if (!CHECK_INT(spool_open(r->spool, true, &s), 0))
        return;
    CHECK_INT(adopt_all(s, obituary_write, NULL, "/proc", &result), 0);
    spool_close(s);
    find_reports(r);
    parse_report(r);
}

void run_done(struct run *r)
{
    char command[400];
    if (r->crash)
        crash_free(r->crash);
    free(r->bytes);
    surroundings_end(&r->around);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", r->dir);
    if (system(command))
        test_check(false, __FILE__, __LINE__, command);
}
