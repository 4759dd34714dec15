/**
 * Programs whose libraries want the crash signals for themselves.
 *
 * usage: victim_handlers [-u] CASE
 */
#include <fcntl.h>
#include <knell/knell.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone))
#endif

static struct sigaction before;
static volatile int n_mended;
static int pipe_ends[2];
static bool with_knell = true;

static void say(const char *text)
{
    (void)!write(STDOUT_FILENO, text, strlen(text));
}

/* As crash handlers do: say something, let it happen. */
static void foreign(int signo, siginfo_t *info, void *uc)
{
    (void)info, (void)uc;
    say("foreign\n");
    (void)signal(signo, SIG_DFL);
}

static void foreign_old(int signo)
{
    say("foreign\n");
    (void)signal(signo, SIG_DFL);
    (void)raise(signo);
}

/* As redis does: the default action, and the signal at once. */
static void foreign_kills(int signo, siginfo_t *info, void *uc)
{
    (void)info, (void)uc;
    say("foreign\n");
    (void)signal(signo, SIG_DFL);
    (void)kill(getpid(), signo);
}

static void foreign_aborts(int signo, siginfo_t *info, void *uc)
{
    (void)signo, (void)info, (void)uc;
    say("foreign\n");
    abort();
}

/* As others do: call what was there before. */
static void calls_back(int signo, siginfo_t *info, void *uc)
{
    say("round\n");
    before.sa_sigaction(signo, info, uc);
}

/* As runtimes do: the program goes on elsewhere. */
static void mends(int signo, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    (void)signo, (void)info;
    n_mended++;
#if defined(__x86_64__)
    uc->uc_mcontext.gregs[REG_RIP] += 2; /* movb (%rax), %al */
#else
    uc->uc_mcontext.pc += 4;
#endif
}

static NOINLINE void fault(void)
{
#if defined(__x86_64__)
    __asm__ volatile("xor %%eax, %%eax\n movb (%%rax), %%al" ::: "rax");
#else
    __asm__ volatile("mov x0, #0\n ldrb w0, [x0]" ::: "x0");
#endif
}

static NOINLINE void another_fault(void)
{
    fault();
    fault();
#if defined(__x86_64__)
    __asm__ volatile("xor %%eax, %%eax\n movb (%%rax), %%al" ::: "rax");
#else
    __asm__ volatile("mov x0, #0\n ldrb w0, [x0]" ::: "x0");
#endif
}

static void take(void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    if (sigaction(SIGSEGV, &a, &before))
        _exit(98);
}

static void start(void)
{
    struct knell_options o = KNELL_OPTIONS_INIT;
    o.start_uploader = KNELL_OFF;
    if (knell_start(&o))
        _exit(97);
}

static void say_status(void)
{
    struct knell_status s = KNELL_STATUS_INIT;
    char text[300];
    (void)knell_status(&s);
    (void)snprintf(text, sizeof text, "lost=%d %s\n", s.signals_lost, s.reason);
    say(text);
}

/* A library takes a signal; the health page says so; the daemon takes it back. */
static void taken(void)
{
    start();
    say_status();
    take(foreign);
    say_status();
    if (knell_rearm() != 1)
        _exit(96);
    say_status();
    fault();
}

static void round_and_round(void)
{
    start();
    take(calls_back);
    (void)knell_rearm();
    fault();
}

static void mended(void)
{
    start();
    take(mends);
    (void)knell_rearm();
    fault();
    another_fault();
    if (n_mended != 4)
        _exit(95);
    abort();
}

/* The rest without a call of knell: with the library that is preloaded. */
static void installs(void)
{
    struct sigaction now;
    take(foreign);
    if (sigaction(SIGSEGV, NULL, &now) || now.sa_sigaction != foreign ||
        (before.sa_handler != SIG_DFL && !getenv("KNELL_KEEP_SIGNALS")))
        _exit(94);
    fault();
}

static void installs_with_signal(void)
{
    if (signal(SIGSEGV, foreign_old) != SIG_DFL ||
        signal(SIGSEGV, foreign_old) != foreign_old)
        _exit(94);
    fault();
}

static void takes(void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
    if (sigaction(SIGSEGV, &a, NULL))
        _exit(98);
}

static void installs_and_kills(void)
{
    takes(foreign_kills, SA_NODEFER | (int)SA_RESETHAND);
    fault();
}

static void installs_and_aborts(void)
{
    takes(foreign_aborts, 0);
    fault();
}

/* Which stack it runs on, and what it finds blocked there. */
static void says_where(int signo, siginfo_t *info, void *context)
{
    const ucontext_t *uc = context;
    sigset_t mask;
    char text[100], here;
    uintptr_t sp = (uintptr_t)&here, low = (uintptr_t)uc->uc_stack.ss_sp;
    bool alternate = sp - low < uc->uc_stack.ss_size;
    (void)sigprocmask(SIG_SETMASK, NULL, &mask);
    (void)snprintf(text, sizeof text, "stack=%d segv=%d usr1=%d usr2=%d code=%d\n",
        alternate, sigismember(&mask, SIGSEGV), sigismember(&mask, SIGUSR1),
        sigismember(&mask, SIGUSR2), info->si_code);
    say(text);
    (void)signal(signo, SIG_DFL);
}

static void where(int flags)
{
    static char stack[1 << 16];
    const stack_t mine = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction a = {.sa_sigaction = says_where, .sa_flags = SA_SIGINFO | flags};
    sigaddset(&a.sa_mask, SIGUSR1);
    if (sigaltstack(&mine, NULL) || sigaction(SIGSEGV, &a, NULL))
        _exit(98);
    if (with_knell)
        start();
    fault();
}

static void own_stack(void)
{
    where(0);
}

static void alternate_stack(void)
{
    where(SA_ONSTACK | SA_NODEFER);
}

/* Until the main thread waits in read(2). */
static void wait_for_reader(void)
{
    char path[64], text[32], expected[16];
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/syscall", (int)getpid());
    int n = snprintf(expected, sizeof expected, "%d 0x%x ", SYS_read, pipe_ends[0]);
    for (memset(text, 0, sizeof text); strncmp(text, expected, (size_t)n) != 0;) {
        int fd = open(path, O_RDONLY);
        if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
            _exit(88);
        (void)close(fd);
    }
}

static void *sends(void *main_thread)
{
    wait_for_reader();
    (void)pthread_kill(*(pthread_t *)main_thread, SIGSEGV);
    usleep(50000);
    (void)!write(pipe_ends[1], "x", 1);
    return NULL;
}

static void only_returns(int signo, siginfo_t *info, void *uc)
{
    (void)signo, (void)info, (void)uc;
}

/* A read that a signal comes into, whose handler returns. */
static void interrupted_read(int flags)
{
    struct sigaction a = {.sa_sigaction = only_returns, .sa_flags = SA_SIGINFO | flags};
    pthread_t self = pthread_self(), t;
    char byte;
    if (pipe(pipe_ends) || sigaction(SIGSEGV, &a, NULL))
        _exit(98);
    if (with_knell)
        start();
    if (pthread_create(&t, NULL, sends, &self))
        _exit(93);
    say(read(pipe_ends[0], &byte, 1) == 1 ? "read\n" : "interrupted\n");
    (void)pthread_join(t, NULL);
    (void)signal(SIGSEGV, SIG_DFL);
    (void)raise(SIGSEGV);
}

static void restarts(void)
{
    interrupted_read(SA_RESTART);
}

static void restarts_not(void)
{
    interrupted_read(0);
}

/* As daemons do: a child becomes another user, closes all it has, and crashes. */
static void drops_all(void)
{
    int status;
    pid_t pid = fork();
    if (!pid) {
        if (setuid(65534))
            _exit(91);
        for (int fd = 3; fd < 4096; fd++)
            (void)close(fd);
        fault();
    }
    if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
        _exit(90);
    _exit(0);
}

static void ends_by_exit(void)
{
    _exit(0);
}

static void becomes_another(void)
{
    (void)execv("/no/such/program", (char *[]){(char *)(uintptr_t) "no", NULL});
    (void)execl("/proc/self/exe", "again", "ends_by_exit", (char *)NULL);
}

static void becomes_a_daemon(void)
{
    int ready[2];
    char byte;
    if (pipe(ready) || fork())
        _exit(read(ready[0], &byte, 1) != 1 || waitpid(-1, NULL, 0) < 0);
    if (daemon(1, 1))
        _exit(89);
    (void)!write(ready[1], "x", 1);
    _exit(0);
}

static NOINLINE int overflow(int n)
{
    volatile char frame[4096];
    frame[n % 4096] = (char)n;
    return n < 0 ? 0 : overflow(n + 1) + frame[0];
}

/* One word through knell, and the thread is covered. */
static void *says_and_overflows(void *arg)
{
    knell_add_breadcrumb(KNELL_LEVEL_INFO, "worker", "at work");
    overflow(0);
    return arg;
}

static void worker(void)
{
    pthread_t t;
    start();
    if (pthread_create(&t, NULL, says_and_overflows, NULL))
        _exit(93);
    (void)pthread_join(t, NULL);
}

/* As a server's worker: a child that gives up root's rights, and dies. */
static void drops(void)
{
    enum { NOBODY = 65534 };
    pid_t pid = fork();
    if (!pid) {
        if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
            _exit(93);
        raise(SIGSEGV);
        _exit(94);
    }
    int status = 0;
    (void)waitpid(pid, &status, 0);
    exit(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV ? 0 : 95);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {{"taken", taken}, {"round", round_and_round}, {"mended", mended},
        {"installs", installs}, {"installs_with_signal", installs_with_signal},
        {"worker", worker}, {"drops", drops}, {"drops_all", drops_all},
        {"ends_by_exit", ends_by_exit}, {"becomes_another", becomes_another},
        {"becomes_a_daemon", becomes_a_daemon},
        {"installs_and_kills", installs_and_kills},
        {"installs_and_aborts", installs_and_aborts}, {"own_stack", own_stack},
        {"alternate_stack", alternate_stack}, {"restarts", restarts},
        {"restarts_not", restarts_not}};
    with_knell = argc < 3 || strcmp(argv[1], "-u") != 0;
    for (size_t i = 0; argc > 1 && i < sizeof cases / sizeof *cases; i++) {
        if (!strcmp(argv[argc - 1], cases[i].name))
            cases[i].run();
    }
    return 92;
}
