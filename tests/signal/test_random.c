/**
 * Random deaths with random threads in flight: every one gives one report and the right
 * status, none hangs.
 *
 * usage: test_random VICTIM root|nobody [COUNT [SEED]]
 */
#include "run.h"
#include "test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

static const struct {
    const char *death;
    int signo;
} deaths[] = {{"null_write", SIGSEGV}, {"worker", SIGSEGV}, {"abort", SIGABRT},
    {"double_free", SIGABRT}, {"heap_smash", SIGABRT}, {"call_null", SIGSEGV},
    {"divide", SIGFPE}, {"illegal", SIGILL}, {"breakpoint", SIGTRAP},
    {"misaligned", SIGBUS}, {"past_end_of_file", SIGBUS}, {"trapped_syscall", SIGSYS},
    {"non_canonical", SIGSEGV}, {"overflow_main", SIGSEGV}, {"overflow_worker", SIGSEGV},
    {"in_handler", SIGSEGV}, {"in_phdr_callback", SIGSEGV}, {"loader_lock_held", SIGSEGV},
    {"sixteen_at_once", SIGSEGV}, {"sent_segv", SIGSEGV}, {"sent_abrt", SIGABRT},
    {"sp_unmapped", SIGSEGV}, {"in_malloc", SIGSEGV}, {"in_dlopen", SIGSEGV},
    {"in_dlclose", SIGSEGV}, {"during_dlopen", SIGSEGV}, {"during_dlclose", SIGSEGV},
    {"in_profiler", SIGSEGV}, {"in_coroutine", SIGSEGV}, {"in_jit_code", SIGSEGV},
    {"own_altstack", SIGSEGV}, {"small_stack", SIGSEGV}, {"raw_thread", SIGSEGV},
    {"in_atexit", SIGSEGV}};
static const char *const worlds[] = {"", "", "-w threads_come_and_go", "-w a_deaf_thread",
    "-w alarms", "-w closes_all", "-w soft_file_size", "-w threads_come_and_go -w alarms",
    "-w a_profiler", "-w modules_come_and_go", "-w storm_of_signals", "-w clock_fails",
    "-w storm_of_signals -w modules_come_and_go -w threads_come_and_go"};

int main(int argc, char **argv)
{
    int n = argc > 3 ? atoi(argv[3]) : 1000;
    unsigned seed = argc > 4 ? (unsigned)atoi(argv[4]) : (unsigned)time(NULL);
    unsigned flags = argc > 2 && !strcmp(argv[2], "nobody") ? RUN_AS_NOBODY : 0;
    const char *victim = argc > 1 ? realpath(argv[1], NULL) : NULL;
    if (!victim)
        return 2;
    const char *why = surroundings_missing(flags);
    if (why) {
        printf("skip: %s\n", why);
        return 77;
    }
    printf("seed %u\n", seed);
    srand(seed);
    int n_reports = 0;
    for (int i = 0; i < n; i++) {
        char args[256];
        struct run r;
        size_t d = (size_t)rand() % (sizeof deaths / sizeof *deaths);
        size_t w = (size_t)rand() % (sizeof worlds / sizeof *worlds);
        (void)snprintf(args, sizeof args, "-t %d %s %s", 1 + rand() % 12, worlds[w],
            deaths[d].death);
        run_victim(victim, args, flags, &r);
        int before = test_failures();
        CHECK(r.status >= 0 && WIFSIGNALED(r.status) &&
              WTERMSIG(r.status) == deaths[d].signo);
        CHECK_INT(r.n_reports, 1);
        CHECK_STR(r.refused, NULL);
        CHECK(r.crash && r.crash->signal.signo == deaths[d].signo);
        if (test_failures() > before)
            printf("  %d: %s: status %x\n%s", i, args, (unsigned)r.status, r.err);
        n_reports += r.n_reports;
        run_done(&r);
    }
    printf("%d crashes, %d reports, %d checks failed\n", n, n_reports, test_failures());
    return test_failures() != 0;
}
