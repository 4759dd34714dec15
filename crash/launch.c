#include "crash/launch.h"

#include "crash/identity.h"
#include "crash/nudge.h"
#include "crash/uncancelled.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM "knell-upload"

enum {
    CHILD_STACK_BYTES = 64 * 1024,
    MAX_VARIABLES = 512,
    N_SIGNALS = 64,
    N_ADOPTED = 8,
};

/* Uploaders that became children of this process, which is init of its container or a
 * subreaper. A pid alone may be another child's by the time it is asked for. */
static struct {
    pid_t pid; /* 0: none */
    uint64_t start_ticks;
} adopted[N_ADOPTED];

void kn_launch_reap(void)
{
    for (size_t i = 0; i < N_ADOPTED; i++) {
        pid_t pid = adopted[i].pid;
        if (pid && (kn_start_ticks((uint32_t)pid) != adopted[i].start_ticks ||
                       waitpid(pid, NULL, WNOHANG) != 0))
            adopted[i].pid = 0;
    }
}

static void remember_adopted(pid_t pid)
{
    siginfo_t info;
    if (pid <= 0 || waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT))
        return;
    uint64_t start_ticks = kn_start_ticks((uint32_t)pid);
    for (size_t i = 0; start_ticks && i < N_ADOPTED; i++) {
        if (!adopted[i].pid) {
            adopted[i].pid = pid;
            adopted[i].start_ticks = start_ticks;
            return;
        }
    }
}

const char *kn_launch_library(void)
{
    Dl_info info;
    return dladdr((void *)kn_launch_library, &info) ? info.dli_fname : NULL;
}

static bool is_program(const char *path)
{
    return !access(path, X_OK);
}

/* PREFIX/lib/.../libknell.so -> PREFIX/bin; for the static library what it was built
 * for. */
static bool beside_library(const char *path, char *out, size_t n)
{
    char library[KN_PATH_BYTES];
    if (path && strstr(path, "libknell")) {
        kn_copy_text(library, sizeof library, path);
        for (int up = 0; up < 3; up++) { /* lib, or lib/MULTIARCH */
            char *slash = strrchr(library, '/');
            if (!slash)
                break;
            *slash = 0;
            int k = snprintf(out, n, "%s/bin/" PROGRAM, library);
            if (k > 0 && (size_t)k < n && is_program(out)) /* a cut path is another's */
                return true;
        }
    }
    (void)snprintf(out, n, "%s/" PROGRAM, KNELL_BINDIR);
    return is_program(out);
}

/**
 * Where the uploader is: what was asked for, else beside the library's installation, else
 * in PATH.
 *
 * Context: normal.
 * Returns 0 or -ENOENT.
 */
static int find_uploader(
    const struct kn_settings *settings, const char *library, char *out, size_t n)
{
    if (settings->uploader[0]) {
        kn_copy_text(out, n, settings->uploader);
        return is_program(out) ? 0 : -ENOENT;
    }
    if (beside_library(library, out, n))
        return 0;
    const char *path = getenv("PATH");
    while (path && *path) {
        size_t len = strcspn(path, ":");
        int got = snprintf(out, n, "%.*s/" PROGRAM, (int)len, path);
        if (len && got > 0 && (size_t)got < n && is_program(out))
            return 0;
        path += len + (path[len] == ':');
    }
    return -ENOENT;
}

struct launch {
    char program[KN_PATH_BYTES];
    char spool[KN_PATH_BYTES + 16], dsn[1024 + 16];
    char stay[16];
    char *argv[3];
    char *envp[MAX_VARIABLES + 3];
    void *second_stack;
    pid_t uploader;
    int err; /* of execve(2), seen by the parent: the memory is shared */
};

static bool is_named(const char *variable, const char *name)
{
    size_t n = strlen(name);
    return !strncmp(variable, name, n) && variable[n] == '=';
}

/* The daemon's environment, without what would load knell or anything else into it. */
static void build_environment(
    struct launch *l, const struct kn_settings *settings, const char *spool)
{
    static const char *const left_out[] = {"LD_PRELOAD", "LD_AUDIT", "KNELL_SPOOL"};
    size_t n = 0;
    for (char **v = environ; v && *v && n < MAX_VARIABLES; v++) {
        bool keep = true;
        for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
            keep &= !is_named(*v, left_out[i]);
        if (settings->has_dsn)
            keep &= !is_named(*v, "KNELL_DSN");
        if (keep)
            l->envp[n++] = *v;
    }
    (void)snprintf(l->spool, sizeof l->spool, "KNELL_SPOOL=%s", spool);
    l->envp[n++] = l->spool;
    if (settings->has_dsn) {
        (void)snprintf(l->dsn, sizeof l->dsn, "KNELL_DSN=%s", settings->dsn);
        l->envp[n++] = l->dsn;
    }
    l->envp[n] = NULL;
}

static void close_from(unsigned first)
{
    if (!syscall(SYS_close_range, first, ~0u, 0))
        return;
    struct rlimit limit;
    unsigned n = 1024;
    if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur < 65536)
        n = (unsigned)limit.rlim_cur;
    for (unsigned fd = first; fd < n; fd++)
        (void)close((int)fd);
}

static void reset_signals(void)
{
    const struct sigaction none = {.sa_handler = SIG_DFL};
    for (int i = 1; i <= N_SIGNALS; i++)
        (void)sigaction(i, &none, NULL);
    sigset_t empty;
    (void)sigemptyset(&empty);
    (void)sigprocmask(SIG_SETMASK, &empty, NULL);
}

/* Runs in the daemon's memory while the daemon waits: system calls only, as in a child of
 * vfork(2). */
static int become_uploader(void *arg)
{
    struct launch *l = (struct launch *)arg;
    reset_signals();
    (void)execve(l->program, l->argv, l->envp);
    l->err = errno;
    _exit(127);
}

static int between(void *arg)
{
    struct launch *l = (struct launch *)arg;
    (void)setsid();
    close_from(0);
    if (open("/dev/null", O_RDWR) == 0) {
        (void)dup(0);
        (void)dup(0);
    }
    (void)chdir("/");
    char *top = (char *)l->second_stack + CHILD_STACK_BYTES;
    l->uploader = clone(become_uploader, top, CLONE_VM | CLONE_VFORK | SIGCHLD, l);
    if (l->uploader < 0)
        l->err = errno;
    _exit(0);
}

/* Two generations, the first of which ends at once: the uploader is init's child, or that
 * of the nearest subreaper. To others neither sends an exit signal, and no wait(2) of
 * theirs sees them. */
static int run(struct launch *l)
{
    size_t n = 2 * (size_t)CHILD_STACK_BYTES;
    char *stacks = (char *)mmap(
        NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stacks == MAP_FAILED)
        return -errno;
    l->second_stack = stacks + CHILD_STACK_BYTES;
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int cancel = kn_cancel_hold();
    int pid = clone(between, stacks + CHILD_STACK_BYTES, CLONE_VM | CLONE_VFORK, l);
    int r = pid < 0 ? -errno : 0;
    while (pid > 0 && waitpid(pid, NULL, (int)__WCLONE) < 0 && errno == EINTR)
        ;
    remember_adopted(l->uploader);
    kn_cancel_allow(cancel);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)munmap(stacks, n);
    return r ? r : -l->err;
}

int kn_launch_uploader(
    const struct kn_settings *settings, const char *library, const char *spool)
{
    struct launch *l = (struct launch *)calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    kn_launch_reap();
    int r = find_uploader(settings, library, l->program, sizeof l->program);
    if (!r) {
        l->argv[0] = l->program;
        l->argv[1] = l->stay;
        (void)snprintf(l->stay, sizeof l->stay, "--stay=%d", KN_STAY_S);
        build_environment(l, settings, spool);
        r = run(l);
    }
    free(l);
    return r;
}
