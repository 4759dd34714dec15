#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

struct task {
    pid_t tid, pid; /* tid 0: ended */
    unsigned long n;
    struct trace_call call; /* the one it is in */
    bool started, inside, fails;
};

struct tracer {
    const struct trace_options *o;
    struct task tasks[TRACE_MAX_TASKS];
    unsigned n_tasks, n_live;
    pid_t sandboxed[TRACE_MAX_TASKS];
    unsigned n_sandboxed;
    struct trace_result *result;
};

static volatile sig_atomic_t timed_out;

static void on_alarm(int signo)
{
    (void)signo;
    timed_out = 1;
}

ssize_t trace_read(pid_t tid, uint64_t address, void *out, size_t n)
{
    struct iovec to = {out, n}, from = {(void *)(uintptr_t)address, n};
    ssize_t got = process_vm_readv(tid, &to, 1, &from, 1, 0);
    return got < 0 ? -errno : got;
}

void trace_text(pid_t tid, uint64_t address, char *out, size_t n)
{
    size_t at = 0;
    /* Not beyond the page that the string ends in: the next may not be mapped. */
    while (address && at < n - 1) {
        size_t room = 4096 - (size_t)((address + at) & 4095);
        if (room > n - 1 - at)
            room = n - 1 - at;
        ssize_t got = trace_read(tid, address + at, out + at, room);
        if (got <= 0)
            break;
        const char *end = memchr(out + at, 0, (size_t)got);
        if (end)
            return;
        at += (size_t)got;
    }
    out[at] = 0;
}

bool trace_changes_something(const struct trace_call *call)
{
    static const long looks[] = {
        SYS_read,
        SYS_pread64,
        SYS_readv,
        SYS_close,
        SYS_fstat,
        SYS_newfstatat,
        SYS_statx,
        SYS_lseek,
        SYS_mprotect,
        SYS_munmap,
        SYS_brk,
        SYS_madvise,
        SYS_rt_sigaction,
        SYS_rt_sigprocmask,
        SYS_sigaltstack,
        SYS_getpid,
        SYS_gettid,
        SYS_getuid,
        SYS_geteuid,
        SYS_getgid,
        SYS_getegid,
        SYS_getppid,
        SYS_uname,
        SYS_getrandom,
        SYS_getcwd,
        SYS_readlinkat,
        SYS_faccessat,
        SYS_faccessat2,
        SYS_getdents64,
        SYS_prlimit64,
        SYS_set_robust_list,
        SYS_rseq,
        SYS_set_tid_address,
        SYS_futex,
        SYS_ppoll,
        SYS_clock_gettime,
        SYS_clock_getres,
        SYS_statfs,
        SYS_fstatfs,
        SYS_sysinfo,
        SYS_sched_getaffinity,
        SYS_getsockname,
        SYS_getsockopt,
        SYS_getpeername,
        SYS_setsockopt,
        SYS_socket,
        SYS_fcntl,
        SYS_dup,
        SYS_dup3,
        SYS_pipe2,
        SYS_mincore,
        SYS_clock_nanosleep,
        SYS_wait4,
        SYS_recvfrom,
        SYS_mremap,
        SYS_epoll_ctl,
        SYS_epoll_pwait,
        SYS_epoll_create1,
        SYS_eventfd2,
        SYS_setitimer,
        SYS_getitimer,
        SYS_timer_create,
        SYS_timer_settime,
#if defined(SYS_open) /* older names of the same */
        SYS_stat,
        SYS_lstat,
        SYS_access,
        SYS_readlink,
        SYS_poll,
        SYS_getrlimit,
        SYS_setrlimit,
        SYS_dup2,
        SYS_pipe,
        SYS_arch_prctl,
        SYS_epoll_wait,
        SYS_eventfd,
        SYS_getpgrp,
        SYS_time,
#endif
        SYS_timer_delete,
        SYS_rt_sigreturn,
        SYS_capget,
        SYS_prctl,
        SYS_bind,
        SYS_exit_group,
        SYS_exit
    };
    for (size_t i = 0; i < sizeof looks / sizeof *looks; i++) {
        if (call->number == looks[i])
            return false;
    }
    if (call->number == SYS_mmap) /* a file's page that is written shows in the file */
        return call->args[3] & 1 /* MAP_SHARED */ && call->args[2] & 2 /* PROT_WRITE */;
    if (call->number == SYS_openat)
        return call->args[2] & (O_CREAT | O_TRUNC);
#if defined(SYS_open)
    if (call->number == SYS_open)
        return call->args[1] & (O_CREAT | O_TRUNC);
#endif
    return true;
}

static pid_t process_of(pid_t tid)
{
    char path[64], line[128];
    int pid = tid;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)tid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f) && sscanf(line, "Tgid: %d", &pid) != 1)
        ;
    if (f)
        (void)fclose(f);
    return pid;
}

static struct task *find(struct tracer *t, pid_t tid)
{
    for (unsigned i = 0; i < t->n_tasks; i++) {
        if (t->tasks[i].tid == tid)
            return &t->tasks[i];
    }
    return NULL;
}

static struct task *add(struct tracer *t, pid_t tid)
{
    if (t->n_tasks == TRACE_MAX_TASKS)
        return NULL;
    struct task *k = &t->tasks[t->n_tasks];
    *k = (struct task){.tid = tid, .pid = process_of(tid), .started = t->n_tasks > 0};
    k->call.task = t->n_tasks++;
    t->n_live++;
    return k;
}

static void kill_all(struct tracer *t)
{
    for (unsigned i = 0; i < t->n_tasks; i++) {
        if (t->tasks[i].tid)
            (void)kill(t->tasks[i].pid, SIGKILL);
    }
}

static bool is_sandboxed(const struct tracer *t, pid_t pid)
{
    for (unsigned i = 0; i < t->n_sandboxed; i++) {
        if (t->sandboxed[i] == pid)
            return true;
    }
    return false;
}

static void note_sandbox(struct tracer *t, const struct trace_call *c)
{
    bool filter = c->number == SYS_seccomp ||
                  (c->number == SYS_prctl && c->args[0] == PR_SET_SECCOMP);
    if (filter && c->after && !c->result && t->n_sandboxed < TRACE_MAX_TASKS)
        t->sandboxed[t->n_sandboxed++] = c->pid;
}

static void before_call(
    struct tracer *t, struct task *k, const struct __ptrace_syscall_info *info)
{
    struct trace_call *c = &k->call;
    c->pid = k->pid;
    c->tid = k->tid;
    c->after = false;
    c->number = (long)info->entry.nr;
    for (int i = 0; i < 6; i++)
        c->args[i] = info->entry.args[i];
    c->result = 0;
    c->n = ++k->n;
    c->total = ++t->result->n_calls;
    c->sandboxed = is_sandboxed(t, k->pid);
}

static void act(struct tracer *t, struct task *k, enum trace_verdict v)
{
    switch (v) {
    case TRACE_GO:
        break;
    case TRACE_KILL:
        t->result->killed = true;
        kill_all(t);
        break;
    case TRACE_KILL_ONE:
        t->result->killed = true;
        (void)kill(k->pid, SIGKILL);
        break;
    case TRACE_FAIL:
        k->fails = !k->call.after && !trace_skip(k->tid);
        break;
    case TRACE_CHANGE:
        (void)trace_set_args(k->tid, k->call.args);
        break;
    }
}

static void on_call(struct tracer *t, struct task *k)
{
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, k->tid, (void *)sizeof info, &info) <= 0)
        return;
    struct trace_call *c = &k->call;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
        k->inside = k->started;
        if (!k->inside)
            return;
        before_call(t, k, &info);
    } else if (info.op == PTRACE_SYSCALL_INFO_EXIT && k->inside) {
        k->inside = false;
        c->after = true;
        if (k->fails)
            (void)trace_set_result(k->tid, c->result);
        else
            c->result = (long)info.exit.rval;
        k->fails = false;
        note_sandbox(t, c);
    } else {
        return;
    }
    if (t->o->visit)
        act(t, k, t->o->visit(t->o->ctx, c));
}

static void on_stop(struct tracer *t, struct task *k, int status)
{
    int signo = WSTOPSIG(status), event = status >> 16, pass = 0;
    bool job_control =
        signo == SIGSTOP || signo == SIGTSTP || signo == SIGTTIN || signo == SIGTTOU;
    if (event == PTRACE_EVENT_STOP && job_control) {
        (void)ptrace(PTRACE_LISTEN, k->tid, NULL, NULL);
        return;
    }
    if (event == PTRACE_EVENT_EXEC)
        k->started = true;
    else if (!event && signo == (SIGTRAP | 0x80))
        on_call(t, k);
    else if (!event)
        pass = signo;
    (void)ptrace(PTRACE_SYSCALL, k->tid, NULL, (void *)(long)pass);
}

/* One report of the kernel. */
static void on_wait(struct tracer *t, pid_t root, pid_t tid, int status)
{
    struct task *k = find(t, tid);
    if (WIFSTOPPED(status)) {
        if (!k)
            k = add(t, tid);
        if (k)
            on_stop(t, k, status);
        return;
    }
    if (tid == root)
        t->result->status = status;
    if (k) {
        k->tid = 0;
        t->n_live--;
    }
}

static void become(const struct trace_options *o, int gate)
{
    char go;
    int out =
        open(o->output ? o->output : "/dev/null", O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (out < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0)
        _exit(125);
    for (size_t i = 0; o->environment && o->environment[i]; i++)
        (void)putenv((char *)(uintptr_t)o->environment[i]);
    /* The tracer has us when it answers. */
    if (read(gate, &go, 1) != 1)
        _exit(126);
    (void)execv(o->argv[0], (char *const *)(uintptr_t)o->argv);
    _exit(127);
}

static int attach(pid_t pid)
{
    const long follow = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK |
                        PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
    if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)follow) < 0 ||
        ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0)
        return -errno;
    return 0;
}

static void follow_all(struct tracer *t, pid_t root)
{
    while (t->n_live) {
        int status;
        pid_t tid = waitpid(-1, &status, __WALL);
        if (tid > 0)
            on_wait(t, root, tid, status);
        else if (errno == ECHILD)
            return;
        if (timed_out && !t->result->hung) {
            t->result->hung = true;
            kill_all(t);
        }
    }
    /* Orphans of the tree are ours: see PR_SET_CHILD_SUBREAPER. */
}

int trace_run(const struct trace_options *options, struct trace_result *ret)
{
    int gate[2];
    *ret = (struct trace_result){.status = -1};
    struct tracer *t = calloc(1, sizeof *t);
    if (!t || pipe2(gate, O_CLOEXEC) < 0) {
        free(t);
        return -ENOMEM;
    }
    t->o = options;
    t->result = ret;
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    const struct sigaction on = {.sa_handler = on_alarm};
    struct sigaction old;
    timed_out = 0;
    (void)sigaction(SIGALRM, &on, &old);
    (void)fflush(NULL);
    pid_t root = fork();
    if (!root)
        become(options, gate[0]);
    int r = root < 0 ? -errno : attach(root);
    if (!r) {
        (void)add(t, root);
        (void)alarm(TRACE_TIMEOUT_S);
        r = write(gate[1], "g", 1) == 1 ? 0 : -errno;
    }
    (void)close(gate[0]);
    (void)close(gate[1]);
    if (r && root > 0) {
        (void)kill(root, SIGKILL);
        (void)waitpid(root, NULL, 0);
    } else if (!r) {
        follow_all(t, root);
    }
    (void)alarm(0);
    (void)sigaction(SIGALRM, &old, NULL);
    ret->n_tasks = t->n_tasks;
    free(t);
    return r;
}

bool trace_works(void)
{
    static const char *const argv[] = {"/bin/true", NULL};
    struct trace_result r;
    return !trace_run(&(struct trace_options){.argv = argv}, &r) && r.n_calls > 3;
}
