/* What the machine does to a daemon: clocks, signals of others, memory, disks. */
#include "victim.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* The handler's clock says that it is the year 1970; libc's, in the vDSO, is unharmed. */
static void clock_fails(void)
{
    static struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clock_gettime, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    const struct sock_fprog prog = {4, code};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog))
        fail("seccomp");
}

static void notice(int signo)
{
    (void)signo;
}

/* Another process sends what supervisors, shells and broken pipes send, and stops and
 * continues this one. */
static void storm_of_signals(void)
{
    static const int each[] = {SIGTERM, SIGPIPE, SIGUSR1, SIGHUP, SIGSTOP, SIGCONT};
    for (size_t i = 0; i < 4; i++) {
        const struct sigaction a = {.sa_handler = notice, .sa_flags = SA_RESTART};
        sigaction(each[i], &a, NULL);
    }
    const pid_t parent = getpid();
    if (fork())
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* Not the victim's: a pipe that the runner waits on, a session that it is stopped in.
     */
    for (int i = 0; getppid() == parent; i++) {
        (void)kill(parent, each[i % (int)(sizeof each / sizeof *each)]);
        usleep(200);
    }
    _exit(0);
}

/* Anonymous memory until the group has hardly any room. */
static void memory_at_limit(void)
{
    enum { STEP_BYTES = 64 * 1024 };
    const char *limit = getenv("VICTIM_MEMORY"), *usage = getenv("VICTIM_MEMORY_USED");
    long long most = limit ? atoll(limit) : 0;
    if (!usage)
        fail("no memory group");
    for (;;) {
        char text[32] = {0};
        int fd = open(usage, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, text, sizeof text - 1) <= 0)
            fail(usage);
        close(fd);
        if (atoll(text) > most - 4 * STEP_BYTES)
            return;
        char *p = (char *)mmap(NULL, STEP_BYTES, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (p == MAP_FAILED)
            return;
    }
}

/* As the kernel does after an error of a device, with files open for writing. */
static void disk_turns_read_only(void)
{
    struct stat st;
    char path[128];
    enum { LOOP_MAJOR = 7 }; /* never a disk that anything else is on */
    if (stat(getenv("KNELL_SPOOL"), &st) || major(st.st_dev) != LOOP_MAJOR)
        fail("spool");
    /* /sys/fs/ext4/loop0/trigger_fs_error */
    char device[64] = {0};
    (void)snprintf(
        path, sizeof path, "/sys/dev/block/%u:%u", major(st.st_dev), minor(st.st_dev));
    ssize_t n = readlink(path, device, sizeof device - 1);
    const char *name = n > 0 ? strrchr(device, '/') : NULL;
    if (!name)
        cannot(path);
    (void)snprintf(path, sizeof path, "/sys/fs/ext4%s/trigger_fs_error", name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        cannot(path);
    if (write(fd, "test", 4) != 4)
        fail(path);
    close(fd);
    (void)snprintf(path, sizeof path, "%s/probe", getenv("KNELL_SPOOL"));
    if (open(path, O_WRONLY | O_CREAT, 0600) >= 0 || errno != EROFS)
        fail("still writable");
}

static void user_namespace(void)
{
    if (unshare(CLONE_NEWUSER))
        cannot("user namespace");
}

/* Its file system hangs for longer than a capture may take. Not for ever: the kernel does
 * not let a process go that has mapped a file there and written to it. */
static void server_stops(void)
{
    if (system("(sleep 12; kill -CONT $VICTIM_SERVER) & kill -STOP $VICTIM_SERVER"))
        fail("SIGSTOP");
    usleep(100000);
}

static void locked_memory(void)
{
    if (mlockall(MCL_CURRENT | MCL_FUTURE))
        cannot("mlockall");
}

/* Every library is another file, for the loader knows a file by its inode. */
static void three_hundred_libraries(void)
{
    enum { N = 300 };
    static char bytes[1 << 20];
    int from = open(VICTIM_PLUGIN, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(from, bytes, sizeof bytes);
    close(from);
    for (int i = 0; i < N; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "./library%03d.so", i);
        int to = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
        if (n <= 0 || write(to, bytes, (size_t)n) != n)
            fail(path);
        close(to);
        if (!dlopen(path, RTLD_NOW))
            fail(dlerror());
    }
}

const struct named worlds_around[] = {{"clock_fails", clock_fails},
    {"storm_of_signals", storm_of_signals}, {"memory_at_limit", memory_at_limit},
    {"disk_turns_read_only", disk_turns_read_only}, {"server_stops", server_stops},
    {"before_user_namespace", user_namespace}, {"before_locked_memory", locked_memory},
    {"three_hundred_libraries", three_hundred_libraries}, {NULL, NULL}};
