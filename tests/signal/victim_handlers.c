/**
 * Programs whose libraries want the crash signals for themselves.
 *
 * usage: victim_handlers [-u] CASE
 */
#include <knell/knell.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone))
#endif

static struct sigaction before;
static volatile int n_mended;

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

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {{"taken", taken}, {"round", round_and_round}, {"mended", mended},
        {"installs", installs}, {"installs_with_signal", installs_with_signal},
        {"worker", worker}};
    for (size_t i = 0; argc > 1 && i < sizeof cases / sizeof *cases; i++) {
        if (!strcmp(argv[argc - 1], cases[i].name))
            cases[i].run();
    }
    return 92;
}
