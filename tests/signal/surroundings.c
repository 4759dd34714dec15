#include "surroundings.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    NOBODY = 65534,
    EVENT_SHIFT = 16, /* of a ptrace(2) event in a wait status */
};

/* Memory controllers, old and new, and how their files are called. */
static const struct controller {
    const char *root, *limit, *usage;
} controllers[] = {
    {"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"},
    {"/sys/fs/cgroup", "memory.max", "memory.current"},
};

static bool write_text(const char *folder, const char *file, const char *text)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", folder, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        (void)close(fd);
    return ok;
}

static const struct controller *make_group(char *ret_group, size_t n)
{
    char bytes[32];
    (void)snprintf(bytes, sizeof bytes, "%d", RUN_MEMORY_BYTES);
    for (size_t i = 0; i < sizeof controllers / sizeof *controllers; i++) {
        const struct controller *c = &controllers[i];
        (void)snprintf(ret_group, n, "%s/knell-test-%d", c->root, (int)getpid());
        if (!mkdir(ret_group, 0755) && write_text(ret_group, c->limit, bytes))
            return c;
        (void)rmdir(ret_group);
    }
    ret_group[0] = 0;
    return NULL;
}

static bool new_mounts(int also)
{
    return !unshare(CLONE_NEWNS | also) &&
           !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

static bool can_mount(void)
{
    int status = -1;
    pid_t pid = fork();
    if (!pid)
        _exit(!new_mounts(CLONE_NEWPID));
    return waitpid(pid, &status, 0) == pid && status == 0;
}

const char *surroundings_missing(unsigned flags)
{
    const unsigned mounts =
        RUN_AS_INIT | RUN_ON_TMPFS | RUN_ON_DISK | RUN_NO_PROC | RUN_HIDDEN_PROC;
    char group[256];
    if (flags & RUN_AS_NOBODY && geteuid() != 0)
        return "an ordinary user cannot become another";
    if (flags & mounts && !can_mount())
        return "may not mount";
    if (flags & RUN_ON_DISK && system("command -v mkfs.ext4 >/dev/null"))
        return "no mkfs.ext4";
    if (flags & RUN_ON_DISK && access("/dev/loop-control", F_OK))
        return "no loop devices";
    if (flags & RUN_ON_FUSE && (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) ||
                                   system("command -v bindfs >/dev/null")))
        return "no bindfs, or no right to mount with it";
    if (flags & RUN_SMALL_MEMORY) {
        if (geteuid() != 0 || !make_group(group, sizeof group))
            return "no memory controller to be had";
        (void)rmdir(group);
    }
    return NULL;
}

/* A file system that hands on to a folder what another process asks of it. */
static bool mount_served(struct surroundings *s)
{
    char behind[300], text[32];
    struct statfs fs;
    (void)snprintf(behind, sizeof behind, "%s/behind", s->dir);
    if (mkdir(behind, 0700))
        return false;
    s->server = fork();
    if (!s->server) {
        (void)execlp("bindfs", "bindfs", "-f", behind, s->spool, NULL);
        _exit(110);
    }
    (void)snprintf(text, sizeof text, "%d", (int)s->server);
    (void)setenv("VICTIM_SERVER", text, 1);
    for (int i = 0; i < 500; i++) {
        if (!statfs(s->spool, &fs) && fs.f_type == FUSE_SUPER_MAGIC)
            return true;
        usleep(10000);
    }
    return false;
}

static bool mount_disk(const struct surroundings *s)
{
    char command[1024];
    unsigned owner = s->flags & RUN_AS_NOBODY ? NOBODY : 0;
    (void)snprintf(command, sizeof command,
        "cd '%s' && truncate -s 12M disk && mkfs.ext4 -q -O ^has_journal -m 0 "
        "-E root_owner=%u:%u disk >/dev/null && "
        "mount -o loop,errors=remount-ro disk '%s' && chmod 700 '%s' && "
        "rmdir '%s/lost+found'",
        s->dir, owner, owner, s->spool, s->spool, s->spool);
    return system(command) == 0;
}

bool surroundings_make(struct surroundings *s)
{
    if (s->flags & RUN_ON_TMPFS &&
        mount("tmpfs", s->spool, "tmpfs", 0, RUN_TMPFS ",mode=0700"))
        return false;
    if (s->flags & RUN_ON_DISK && !mount_disk(s))
        return false;
    if (s->flags & RUN_ON_FUSE && !mount_served(s))
        return false;
    if (s->flags & RUN_AS_NOBODY &&
        (chown(s->dir, NOBODY, NOBODY) || chown(s->spool, NOBODY, NOBODY)))
        return false;
    if (!(s->flags & RUN_SMALL_MEMORY))
        return true;
    const struct controller *c = make_group(s->group, sizeof s->group);
    if (!c)
        return false;
    char usage[320], limit[32];
    (void)snprintf(usage, sizeof usage, "%s/%s", s->group, c->usage);
    (void)snprintf(limit, sizeof limit, "%d", RUN_MEMORY_BYTES);
    (void)setenv("VICTIM_MEMORY_USED", usage, 1);
    (void)setenv("VICTIM_MEMORY", limit, 1);
    return true;
}

void surroundings_enter(const struct surroundings *s)
{
    const unsigned mounts = s->flags & (RUN_NO_PROC | RUN_HIDDEN_PROC);
    if (s->group[0] && !write_text(s->group, "cgroup.procs", "0"))
        _exit(111);
    if (mounts && !new_mounts(0))
        _exit(112);
    if (s->flags & RUN_NO_PROC && mount("tmpfs", "/proc", "tmpfs", 0, "size=4k"))
        _exit(113);
    if (s->flags & RUN_HIDDEN_PROC && mount("proc", "/proc", "proc", 0, "hidepid=2"))
        _exit(114);
}

void surroundings_be_traced(int ready)
{
    char byte;
    if (read(ready, &byte, 1) != 1)
        _exit(115);
    (void)close(ready);
}

int surroundings_trace(pid_t pid, int ready)
{
    const long options = PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
    int status = 0;
    if (ptrace(PTRACE_SEIZE, pid, NULL, options) || write(ready, "", 1) != 1)
        return -1;
    for (;;) {
        pid_t one = waitpid(-1, &status, __WALL);
        if (one < 0)
            return -1;
        if (one == pid && !WIFSTOPPED(status))
            return status;
        if (WIFSTOPPED(status))
            (void)ptrace(PTRACE_CONT, one, NULL,
                status >> EVENT_SHIFT ? 0L : (long)WSTOPSIG(status));
    }
}

void surroundings_after(const struct surroundings *s)
{
    if (s->server > 0)
        (void)kill(s->server, SIGCONT);
}

void surroundings_end(const struct surroundings *s)
{
    if (s->flags & (RUN_ON_TMPFS | RUN_ON_DISK | RUN_ON_FUSE))
        (void)umount2(s->spool, MNT_DETACH);
    if (s->server > 0) {
        (void)kill(s->server, SIGKILL);
        (void)waitpid(s->server, NULL, 0);
    }
    if (!s->group[0])
        return;
    /* What died in it takes a moment to be gone. */
    for (int i = 0; i < 200 && rmdir(s->group) && errno == EBUSY; i++)
        usleep(5000);
}
