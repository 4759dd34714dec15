/* What the other threads of a daemon may be doing when one dies. */
#include "victim.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <unwind.h>

static void start(void *(*f)(void *))
{
    pthread_t t;
    if (pthread_create(&t, NULL, f, NULL))
        fail("pthread_create");
    usleep(5000);
}

static _Unwind_Reason_Code one_frame(struct _Unwind_Context *c, void *n)
{
    (void)c;
    ++*(int *)n;
    return _URC_NO_REASON;
}

static void take_profile(int signo)
{
    int n = 0, saved = errno;
    (void)signo;
    (void)_Unwind_Backtrace(one_frame, &n);
    errno = saved;
}

static void *work(void *arg)
{
    for (volatile unsigned i = 0;; i++)
        ;
    return arg;
}

/* A sampling profiler that unwinds in its signal handler, with something to profile. */
static void a_profiler(void)
{
    const struct itimerval every = {{0, 500}, {0, 500}};
    const struct sigaction a = {.sa_handler = take_profile, .sa_flags = SA_RESTART};
    int n = 0;
    (void)_Unwind_Backtrace(one_frame, &n); /* loads what it needs */
    sigaction(SIGPROF, &a, NULL);
    start(work);
    setitimer(ITIMER_PROF, &every, NULL);
}

static void *load_and_unload(void *arg)
{
    for (;;) {
        void *plugin = dlopen(VICTIM_PLUGIN, RTLD_NOW);
        if (plugin)
            (void)dlclose(plugin);
    }
    return arg;
}

static void modules_come_and_go(void)
{
    start(load_and_unload);
}

/* A ring with a thread of the kernel's own among this process's. */
static void an_io_uring(void)
{
    struct io_uring_params p = {.flags = IORING_SETUP_SQPOLL, .sq_thread_idle = 60000};
    if (syscall(SYS_io_uring_setup, 8, &p) < 0)
        cannot("io_uring");
}

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Not for ever: two of these would leave a machine of two processors to nobody else. */
static void *spin_first(void *arg)
{
    enum { SPIN_MS = 200 };
    const struct sched_param p = {.sched_priority = 1};
    if (sched_setscheduler(0, SCHED_FIFO, &p))
        cannot("SCHED_FIFO");
    for (const uint64_t end = now_ms() + SPIN_MS; now_ms() < end;)
        ;
    for (;;)
        pause();
    return arg;
}

/* A thread of real-time priority that does not wait. */
static void real_time_spinner(void)
{
    start(spin_first);
}

static void *hear_nothing(void *arg)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    for (;;)
        pause();
    return arg;
}

/* The thread that dies as well: the kernel then asks nobody. */
static void blocks_all_everywhere(void)
{
    sigset_t all;
    start(hear_nothing);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
}

static _Atomic pid_t parent;

/* Until the child is gone or another program. */
static void *wait_in_vfork(void *arg)
{
    const pid_t self = getpid();
    parent = gettid();
    if (!vfork()) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (getppid() == self) /* it may be gone already */
            pause();
        _exit(0);
    }
    return arg;
}

/* A thread that hears no signal but the one that kills: it waits for its child's memory.
 */
static void a_vfork_waiter(void)
{
    start(wait_in_vfork);
    while (!parent)
        usleep(1000);
    wait_for_state(parent, 'D');
}

const struct named worlds_threads[] = {{"a_profiler", a_profiler},
    {"modules_come_and_go", modules_come_and_go}, {"an_io_uring", an_io_uring},
    {"real_time_spinner", real_time_spinner},
    {"blocks_all_everywhere", blocks_all_everywhere}, {"a_vfork_waiter", a_vfork_waiter},
    {NULL, NULL}};
