/* What a daemon may do to itself, or have done to it, before it dies. */
#include "victim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <knell/knell.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static void set_limit(__rlimit_resource_t what, rlim_t soft, rlim_t hard)
{
    const struct rlimit r = {soft, hard};
    if (setrlimit(what, &r))
        fail("setrlimit");
}

static void closes_all(void)
{
    for (int fd = 3; fd < 4096; fd++)
        close(fd);
}

/* Numbers that were knell's now lead to the daemon's own file, which must stay as it is:
 * the runner looks at it. */
static void reuses_numbers(void)
{
    int fd = open("precious", O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (write(fd, "precious", 8) != 8)
        fail("precious");
    for (int other = 3; other < 4096; other++) {
        if (other != fd && fcntl(other, F_GETFD) >= 0)
            dup2(fd, other);
    }
}

static void no_descriptors(void)
{
    closes_all();
    set_limit(RLIMIT_NOFILE, 64, 64);
    while (open("/dev/null", O_RDONLY) >= 0)
        ;
}

static void all_descriptors_used(void)
{
    struct rlimit r;
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = 1100;
    setrlimit(RLIMIT_NOFILE, &r);
    while (open("/dev/null", O_RDONLY) >= 0)
        ;
}

static void soft_file_size(void)
{
    set_limit(RLIMIT_FSIZE, 4096, RLIM_INFINITY);
}

static void hard_file_size(void)
{
    set_limit(RLIMIT_FSIZE, 4096, 4096);
}

static void no_memory(void)
{
    set_limit(RLIMIT_AS, 1 << 20, 1 << 20);
}

static void spool_deleted(void)
{
    if (system("rm -rf \"$KNELL_SPOOL\""))
        fail("rm");
}

static void other_folder(void)
{
    if (chdir("/"))
        fail("chdir");
}

static void no_dumps(void)
{
    prctl(PR_SET_DUMPABLE, 0);
}

static void chrooted(void)
{
    if (mkdir("jail", 0700) && errno != EEXIST)
        fail("mkdir");
    if (chroot("jail") || chdir("/"))
        fail("chroot");
}

/* The spool's file system is full but for what knell set aside. The runner mounted it. */
static void disk_full(void)
{
    char path[256], block[4096] = {1};
    (void)snprintf(path, sizeof path, "%s/filler", getenv("KNELL_SPOOL"));
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    while (write(fd, block, sizeof block) > 0)
        ;
    close(fd);
}

static void filter(const struct sock_filter *code, unsigned short n)
{
    struct sock_fprog prog = {n, (struct sock_filter *)(uintptr_t)code};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog))
        fail("seccomp");
}

/* No system call is made that a handler needs, whatever it is answered. */
static void deny_all(uint32_t answer)
{
    const struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, answer), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    filter(code, 6);
}

static void all_denied(void)
{
    deny_all(SECCOMP_RET_ERRNO | EPERM);
}

static void all_faked(void)
{
    deny_all(SECCOMP_RET_ERRNO | 0);
}

static void no_ptrace(void)
{
    static const struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)};
    filter(code, 5);
}

/* How libc's pause(3) waits. */
#if defined __x86_64__
#define PAUSE SYS_pause
#else
#define PAUSE SYS_ppoll
#endif

/* The list in crash/handler/sys.h; everything else kills. */
static void documented_calls_only(void)
{
    static const int allowed[] = {SYS_clock_gettime, SYS_close, SYS_exit_group,
        SYS_fdatasync, SYS_flock, SYS_fstat, SYS_ftruncate, SYS_futex, SYS_getdents64,
        SYS_getpid, SYS_getrandom, SYS_gettid, SYS_lseek, SYS_mkdirat, SYS_msync,
        SYS_openat, SYS_pread64, SYS_prlimit64, SYS_pwrite64, SYS_pwritev, SYS_read,
        SYS_renameat, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn,
        SYS_rt_sigtimedwait, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_tgkill,
        SYS_timer_create, SYS_timer_delete, SYS_timer_settime,
        SYS_write /* the victim's last words */, PAUSE /* its other threads */};
    enum { N = sizeof allowed / sizeof *allowed };
    static struct sock_filter code[N + 3];
    code[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0);
    for (unsigned i = 0; i < N; i++)
        code[1 + i] = (struct sock_filter)BPF_JUMP(
            BPF_JMP | BPF_JEQ | BPF_K, (unsigned)allowed[i], (unsigned char)(N - i), 0);
    code[N + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    code[N + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter(code, N + 3);
}

static void block_all(void)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
}

static _Atomic pid_t sleeper;

static void *deaf_sleep(void *arg)
{
    block_all();
    sleeper = gettid();
    for (;;)
        pause();
    return arg;
}

static void *deaf_spin(void *arg)
{
    block_all();
    for (volatile int i = 0;; i++)
        ;
    return arg;
}

static void *live_and_die(void *arg)
{
    usleep(100);
    return arg;
}

static void *churn(void *arg)
{
    for (;;) {
        pthread_t t;
        if (!pthread_create(&t, NULL, live_and_die, NULL))
            pthread_detach(t);
    }
    return arg;
}

static void start(void *(*f)(void *))
{
    pthread_t t;
    if (pthread_create(&t, NULL, f, NULL))
        fail("pthread_create");
    usleep(5000);
}

static void a_deaf_thread(void)
{
    start(deaf_sleep);
    while (!sleeper)
        usleep(1000);
    wait_for_state(sleeper, 'S');
}

static void *sigwait_all(void *arg)
{
    sigset_t all;
    int signo;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    sleeper = (pid_t)syscall(SYS_gettid);
    for (;;)
        (void)sigwait(&all, &signo);
    return arg;
}

/* The one that handles all signals, as daemons have it. */
static void a_sigwaiter(void)
{
    start(sigwait_all);
    while (!sleeper)
        usleep(1000);
    wait_for_state(sleeper, 'S');
}

/* Its own pages are not to be written to any more, or are gone. */
static void journal_read_only(void)
{
    char line[512];
    FILE *f = fopen("/proc/self/maps", "r");
    while (f && fgets(line, sizeof line, f)) {
        unsigned long low, high;
        if (strstr(line, ".jnl") && sscanf(line, "%lx-%lx", &low, &high) == 2 &&
            mprotect((void *)low, high - low, PROT_READ))
            fail("mprotect");
    }
    if (f)
        fclose(f);
}

static void files_cut_short(void)
{
    if (system("for f in \"$KNELL_SPOOL\"/live/*; do [ ! -e \"$f\" ] || : >\"$f\"; done"))
        fail("sh");
}

static void a_spinning_thread(void)
{
    start(deaf_spin);
}

static void threads_come_and_go(void)
{
    start(churn);
}

static void blocks_other_signals(void)
{
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
}

static void alarms(void)
{
    const struct itimerval every = {{0, 200}, {0, 200}};
    signal(SIGALRM, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    setitimer(ITIMER_REAL, &every, NULL);
}

static void say_previous(void)
{
    (void)!write(STDOUT_FILENO, "previous\n", 9);
}

static void exit_42(int signo)
{
    (void)signo;
    say_previous();
    _exit(42);
}

static void before_function(void)
{
    signal(SIGSEGV, exit_42);
}

static void default_and_raise(int signo)
{
    say_previous();
    signal(signo, SIG_DFL);
    raise(signo);
}

static void before_reraises(void)
{
    signal(SIGSEGV, default_and_raise);
}

static void only_says(int signo)
{
    (void)signo;
    say_previous();
}

static void before_resethand(void)
{
    struct sigaction a = {.sa_handler = only_says, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGSEGV, &a, NULL);
}

static void before_ignored(void)
{
    signal(SIGSEGV, SIG_IGN);
}

static sigjmp_buf home;
static void recover(int signo)
{
    (void)signo;
    siglongjmp(home, 1);
}

static void before_recovers(void)
{
    struct sigaction a = {.sa_handler = recover, .sa_flags = SA_ONSTACK};
    sigaction(SIGSEGV, &a, NULL);
}

/* As a managed runtime does: twice a fault that is caught, then the daemon lives. */
static void recovers_twice(void)
{
    for (volatile int i = 0; i < 2; i++) {
        if (!sigsetjmp(home, 1))
            *(volatile int *)0x20 = 1;
    }
}

/* As some libraries do: put back by signal(2) what was found by sigaction(2). */
static void signal_behind_our_back(void)
{
    struct sigaction now;
    sigaction(SIGSEGV, NULL, &now);
    signal(SIGSEGV, SIG_DFL);
    signal(SIGSEGV, now.sa_handler);
}

static void small_stacks(void)
{
    set_limit(RLIMIT_STACK, 256 * 1024, RLIM_INFINITY);
}

static void dropped_privileges(void)
{
    if (setgid(65534) || setuid(65534))
        fail("setuid");
}

/* Neither the report's descriptor is left nor the right to open its file again. */
static void closed_and_dropped(void)
{
    closes_all();
    dropped_privileges();
}

static void children_inherit_nothing(void)
{
    pid_t pid = fork();
    if (!pid) {
        execl("/proc/self/exe", "victim", "-u", "look_at_inheritance", NULL);
        _exit(9);
    }
    int status;
    if (waitpid(pid, &status, 0) != pid || status)
        _exit(93);
}

static void started_twice(void)
{
    struct knell_options o = KNELL_OPTIONS_INIT;
    if (with_knell && knell_start(&o) != -EALREADY)
        _exit(92);
}

static void stopped_and_started(void)
{
    struct knell_options o = KNELL_OPTIONS_INIT;
    if (!with_knell)
        return;
    knell_stop();
    knell_stop();
    if (knell_start(&o))
        _exit(92);
}

/* What happens now is not knell's: no report, and the death as without it. */
static void stopped(void)
{
    if (with_knell)
        knell_stop();
}

/* What an earlier run left: knell is started anew on it. */
static void a_report_waits(void)
{
    char path[300];
    (void)snprintf(path, sizeof path, "%s/new/1", getenv("KNELL_SPOOL"));
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    if (fd < 0)
        fail(path);
    close(fd);
    knell_stop();
    setenv("KNELL_START_UPLOADER", "1", 1);
    /* A daemon with open sockets, ignored and blocked signals. */
    signal(SIGPIPE, SIG_IGN);
    sigset_t some;
    sigemptyset(&some);
    sigaddset(&some, SIGTERM);
    sigprocmask(SIG_BLOCK, &some, NULL);
    if (dup2(0, 77) != 77)
        fail("dup2");
}

const struct named worlds[] = {{"closes_all", closes_all},
    {"reuses_numbers", reuses_numbers}, {"no_descriptors", no_descriptors},
    {"all_descriptors_used", all_descriptors_used}, {"soft_file_size", soft_file_size},
    {"hard_file_size", hard_file_size}, {"no_memory", no_memory},
    {"spool_deleted", spool_deleted}, {"other_folder", other_folder},
    {"no_dumps", no_dumps}, {"chrooted", chrooted}, {"disk_full", disk_full},
    {"all_denied", all_denied}, {"all_faked", all_faked}, {"a_sigwaiter", a_sigwaiter},
    {"journal_read_only", journal_read_only}, {"files_cut_short", files_cut_short},
    {"no_ptrace", no_ptrace}, {"documented_calls_only", documented_calls_only},
    {"a_deaf_thread", a_deaf_thread}, {"a_spinning_thread", a_spinning_thread},
    {"threads_come_and_go", threads_come_and_go},
    {"blocks_other_signals", blocks_other_signals}, {"alarms", alarms},
    {"before_function", before_function}, {"before_reraises", before_reraises},
    {"before_resethand", before_resethand}, {"before_ignored", before_ignored},
    {"before_recovers", before_recovers}, {"recovers_twice", recovers_twice},
    {"signal_behind_our_back", signal_behind_our_back},
    {"before_small_stacks", small_stacks}, {"dropped_privileges", dropped_privileges},
    {"closed_and_dropped", closed_and_dropped},
    {"children_inherit_nothing", children_inherit_nothing},
    {"started_twice", started_twice}, {"stopped_and_started", stopped_and_started},
    {"stopped", stopped}, {"a_report_waits", a_report_waits}, {NULL, NULL}};
