#include "uploader/report/signal_words.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    int signo;
    const char *name, *meaning;
} signals[] = {
    {SIGHUP, "SIGHUP", "hangup"},
    {SIGINT, "SIGINT", "interrupt"},
    {SIGQUIT, "SIGQUIT", "quit"},
    {SIGILL, "SIGILL", "illegal instruction"},
    {SIGTRAP, "SIGTRAP", "trap"},
    {SIGABRT, "SIGABRT", "aborted"},
    {SIGBUS, "SIGBUS", "bus error"},
    {SIGFPE, "SIGFPE", "arithmetic error"},
    {SIGKILL, "SIGKILL", "killed"},
    {SIGUSR1, "SIGUSR1", "user signal 1"},
    {SIGSEGV, "SIGSEGV", "segmentation fault"},
    {SIGUSR2, "SIGUSR2", "user signal 2"},
    {SIGPIPE, "SIGPIPE", "broken pipe"},
    {SIGALRM, "SIGALRM", "alarm clock"},
    {SIGTERM, "SIGTERM", "terminated"},
    {SIGSTKFLT, "SIGSTKFLT", "stack fault"},
    {SIGCHLD, "SIGCHLD", "child exited"},
    {SIGCONT, "SIGCONT", "continued"},
    {SIGSTOP, "SIGSTOP", "stopped"},
    {SIGTSTP, "SIGTSTP", "stopped at the terminal"},
    {SIGTTIN, "SIGTTIN", "stopped for terminal input"},
    {SIGTTOU, "SIGTTOU", "stopped for terminal output"},
    {SIGURG, "SIGURG", "urgent data"},
    {SIGXCPU, "SIGXCPU", "CPU time limit exceeded"},
    {SIGXFSZ, "SIGXFSZ", "file size limit exceeded"},
    {SIGVTALRM, "SIGVTALRM", "virtual timer expired"},
    {SIGPROF, "SIGPROF", "profiling timer expired"},
    {SIGWINCH, "SIGWINCH", "window changed"},
    {SIGIO, "SIGIO", "I/O possible"},
    {SIGPWR, "SIGPWR", "power failure"},
    {SIGSYS, "SIGSYS", "bad system call"},
};

/* Numbers are the kernel's: some are newer than the oldest libc headers we build with. */
static const struct {
    int signo, code;
    const char *name, *meaning;
} codes[] = {
    {SIGILL, 1, "ILL_ILLOPC", "illegal opcode"},
    {SIGILL, 2, "ILL_ILLOPN", "illegal operand"},
    {SIGILL, 3, "ILL_ILLADR", "illegal addressing mode"},
    {SIGILL, 4, "ILL_ILLTRP", "illegal trap"},
    {SIGILL, 5, "ILL_PRVOPC", "privileged opcode"},
    {SIGILL, 6, "ILL_PRVREG", "privileged register"},
    {SIGILL, 7, "ILL_COPROC", "coprocessor error"},
    {SIGILL, 8, "ILL_BADSTK", "internal stack error"},
    {SIGILL, 9, "ILL_BADIADDR", "unimplemented instruction address"},
    {SIGFPE, 1, "FPE_INTDIV", "integer divided by zero"},
    {SIGFPE, 2, "FPE_INTOVF", "integer overflow"},
    {SIGFPE, 3, "FPE_FLTDIV", "floating-point divided by zero"},
    {SIGFPE, 4, "FPE_FLTOVF", "floating-point overflow"},
    {SIGFPE, 5, "FPE_FLTUND", "floating-point underflow"},
    {SIGFPE, 6, "FPE_FLTRES", "floating-point inexact result"},
    {SIGFPE, 7, "FPE_FLTINV", "invalid floating-point operation"},
    {SIGFPE, 8, "FPE_FLTSUB", "subscript out of range"},
    {SIGFPE, 14, "FPE_FLTUNK", "undiagnosed floating-point exception"},
    {SIGFPE, 15, "FPE_CONDTRAP", "trap on condition"},
    {SIGSEGV, 1, "SEGV_MAPERR", "address not mapped to object"},
    {SIGSEGV, 2, "SEGV_ACCERR", "invalid permissions for mapped object"},
    {SIGSEGV, 3, "SEGV_BNDERR", "failed address bound checks"},
    {SIGSEGV, 4, "SEGV_PKUERR", "failed protection key checks"},
    {SIGSEGV, 8, "SEGV_MTEAERR", "asynchronous memory tag check failed"},
    {SIGSEGV, 9, "SEGV_MTESERR", "synchronous memory tag check failed"},
    {SIGSEGV, 10, "SEGV_CPERR", "control protection fault"},
    {SIGBUS, 1, "BUS_ADRALN", "invalid address alignment"},
    {SIGBUS, 2, "BUS_ADRERR", "no such physical address"},
    {SIGBUS, 3, "BUS_OBJERR", "hardware error of the object"},
    {SIGBUS, 4, "BUS_MCEERR_AR", "memory error consumed"},
    {SIGBUS, 5, "BUS_MCEERR_AO", "memory error detected in the background"},
    {SIGTRAP, 1, "TRAP_BRKPT", "breakpoint"},
    {SIGTRAP, 2, "TRAP_TRACE", "trace trap"},
    {SIGTRAP, 3, "TRAP_BRANCH", "branch trap"},
    {SIGTRAP, 4, "TRAP_HWBKPT", "hardware breakpoint or watchpoint"},
    {SIGSYS, 1, "SYS_SECCOMP", "forbidden by a seccomp filter"},
    {SIGSYS, 2, "SYS_USER_DISPATCH", "caught by system call user dispatch"},
    {0, 0, "SI_USER", "sent by kill"},
    {0, 128, "SI_KERNEL", "raised by the kernel"},
    {0, -1, "SI_QUEUE", "sent by sigqueue"},
    {0, -2, "SI_TIMER", "a timer expired"},
    {0, -3, "SI_MESGQ", "a message queue changed state"},
    {0, -4, "SI_ASYNCIO", "asynchronous I/O completed"},
    {0, -5, "SI_SIGIO", "queued by SIGIO"},
    {0, -6, "SI_TKILL", "sent by tkill or tgkill"},
};

const char *signal_words_name(int signo)
{
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (signals[i].signo == signo)
            return signals[i].name;
    return NULL;
}

const char *signal_words_meaning(int signo)
{
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (signals[i].signo == signo)
            return signals[i].meaning;
    return "unknown signal";
}

/* Index into codes, or -1. */
static int find_code(int signo, int code)
{
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].code == code && (codes[i].signo == signo || !codes[i].signo))
            return (int)i;
    return -1;
}

const char *signal_words_code(int signo, int code)
{
    int i = find_code(signo, code);
    return i < 0 ? NULL : codes[i].name;
}

const char *signal_words_code_meaning(int signo, int code)
{
    int i = find_code(signo, code);
    return i < 0 ? NULL : codes[i].meaning;
}

bool signal_words_sent(int code)
{
    return code == SI_USER || code == SI_QUEUE || code == SI_TKILL;
}

int signal_words_parse(const char *text)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (end != text && !*end)
        return !errno && number > 0 && number < 65 ? (int)number : -EINVAL;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (strcasecmp(text, signals[i].name) == 0 ||
            strcasecmp(text, signals[i].name + 3) == 0)
            return signals[i].signo;
    return -EINVAL;
}

int signal_words_parse_code(int signo, const char *text, int *ret)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (end != text && !*end) {
        if (errno || number < -1000 || number > 1000)
            return -EINVAL;
        *ret = (int)number;
        return 0;
    }
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        const char *bare = strchr(codes[i].name, '_') + 1;
        if (signo && codes[i].signo && codes[i].signo != signo)
            continue;
        if (strcasecmp(text, codes[i].name) == 0 || strcasecmp(text, bare) == 0) {
            *ret = codes[i].code;
            return 0;
        }
    }
    return -EINVAL;
}
