/**
 * Run a program under ptrace(2) and stop at each system call of it and of every process
 * and thread it starts, before and after the kernel acts: so that a test can kill there,
 * make the call fail, or write down what was done in which order.
 *
 * Source: ptrace(2): PTRACE_SEIZE, PTRACE_GET_SYSCALL_INFO (Linux 5.3).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { TRACE_MAX_TASKS = 256, TRACE_TIMEOUT_S = 120 };

/* A stop at a system call. */
struct trace_call {
    pid_t pid, tid;
    unsigned task; /* threads in the order in which they began; the program's first: 0 */
    unsigned long n; /* this task's calls so far, with this one; counted from its exec */
    unsigned long total; /* those of all tasks */
    bool after;          /* the kernel has acted */
    bool sandboxed;      /* this process has put a seccomp filter on itself */
    long number;
    uint64_t args[6];
    long result; /* after: what it returned; before, with TRACE_FAIL: what it shall */
};

enum trace_verdict {
    TRACE_GO,
    TRACE_KILL,     /* SIGKILL for the whole tree */
    TRACE_KILL_ONE, /* SIGKILL for the process that called; the others go on */
    TRACE_FAIL,     /* before: the call is not made and returns call->result */
    TRACE_CHANGE,   /* before: it is made with call->args */
};

struct trace_options {
    const char *const *argv;        /* argv[0] is a path */
    const char *const *environment; /* "KEY=VALUE" on top of ours; NULL: none */
    const char *output;             /* gets stdout and stderr; NULL: /dev/null */
    enum trace_verdict (*visit)(void *ctx, struct trace_call *call); /* may be NULL */
    void *ctx;
};

struct trace_result {
    int status;            /* of the program, as wait(2) gives it */
    bool killed;           /* visit asked for it */
    bool hung;             /* ended after TRACE_TIMEOUT_S */
    unsigned n_tasks;      /* processes and threads in all */
    unsigned long n_calls; /* system calls of all of them */
};

/* Run to the end of the whole tree. Returns 0, or a negative errno when ptrace is not to
 * be had here (-EPERM, -ENOSYS). */
int trace_run(const struct trace_options *options, struct trace_result *ret);

/* Whether tracing works here: not in every container. */
bool trace_works(void);

/* The stopped task's memory. Returns bytes read, or a negative errno. */
ssize_t trace_read(pid_t tid, uint64_t address, void *out, size_t n);
/* A string of it, cut to @n - 1 bytes; "" when it cannot be read. */
void trace_text(pid_t tid, uint64_t address, char *out, size_t n);

/* Whether a call may change what others see: files, names, sockets, processes. Calls that
 * only look, or that concern the process's own memory, do not. */
bool trace_changes_something(const struct trace_call *call);

/* In the architecture's file: make a stopped call do nothing and return @result, or have
 * other arguments. Return 0 or a negative errno. */
int trace_skip(pid_t tid);
int trace_set_result(pid_t tid, long result);
int trace_set_args(pid_t tid, const uint64_t args[static 6]);
