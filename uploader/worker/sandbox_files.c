#include "uploader/worker/sandbox_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* The kernel's interface, spelled out: headers of Debian 12 know two of its versions.
 * Source: Documentation/userspace-api/landlock.rst. */
struct ruleset {
    uint64_t files, network, scoped;
};
struct __attribute__((packed)) path_rule {
    uint64_t allowed;
    int32_t parent;
};
enum { CREATE_VERSION = 1, RULE_PATH_BENEATH = 1 };
enum {
    EXECUTE = 1 << 0,
    WRITE_FILE = 1 << 1,
    READ_FILE = 1 << 2,
    READ_DIR = 1 << 3,
    REMOVE_FILE = 1 << 5,
    REMOVE_DIR = 1 << 4,
    MAKE_CHAR = 1 << 6,
    MAKE_DIR = 1 << 7,
    MAKE_REG = 1 << 8,
    MAKE_SOCK = 1 << 9,
    MAKE_FIFO = 1 << 10,
    MAKE_BLOCK = 1 << 11,
    MAKE_SYM = 1 << 12,
    ALL_OF_1 = (1 << 13) - 1,
    REFER = 1 << 13,     /* since version 2 */
    TRUNCATE = 1 << 14,  /* 3 */
    IOCTL_DEV = 1 << 15, /* 5 */
    READ = READ_FILE | READ_DIR,
    WRITE = READ | WRITE_FILE | REMOVE_FILE | MAKE_REG | TRUNCATE,
    /* What is moved arrives as something new, whatever strangers have put there; the
     * filter lets nothing but folders be made. */
    ARRANGE = REFER | REMOVE_DIR | MAKE_DIR | MAKE_CHAR | MAKE_SOCK | MAKE_FIFO |
              MAKE_BLOCK | MAKE_SYM,
    NETWORK_ALL = 3, /* bind and connect of TCP, since version 4 */
    SCOPED_ALL = 3,  /* abstract sockets and signals, since version 6 */
};

static int allow(int rules, const char *path, int flags, uint64_t what)
{
    CLEANUP(close_p) int fd = -1;
    do
        fd = open(path, O_PATH | O_CLOEXEC | flags);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) /* what cannot be opened now cannot be opened later */
        return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : 0;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return 0;
    if (S_ISREG(st.st_mode))
        what &= READ_FILE | WRITE_FILE;
    const struct path_rule rule = {.allowed = what, .parent = fd};
    return syscall(SYS_landlock_add_rule, rules, RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno
                                                                                  : 0;
}

static bool is_among(const char *name, const char *const *names)
{
    while (*names && strcmp(name, *names) != 0)
        names++;
    return *names;
}

static void close_dir_p(DIR **d)
{
    if (*d)
        (void)closedir(*d);
}

/* What is in a folder, but for @except. */
static int allow_in(int rules, const char *dir, const char *const *except)
{
    CLEANUP(close_dir_p) DIR *d = opendir(dir);
    int err = 0;
    for (const struct dirent *e; !err && d && (e = readdir(d));) {
        char path[300];
        (void)snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (!is_among(e->d_name, except))
            err = allow(rules, path, O_NOFOLLOW, READ);
    }
    return err;
}

/* Programs, and files that a daemon attaches, may be anywhere but where other processes,
 * devices, credentials and our own configuration are. */
static int allow_usual(int rules)
{
    static const char *const not_top[] = {
        ".", "..", "proc", "sys", "dev", "run", "boot", "etc", NULL};
    static const char *const not_etc[] = {
        ".", "..", "knell", "shadow", "shadow-", "gshadow", "gshadow-", NULL};
    int err = allow_in(rules, "/", not_top);
    return err ? err : allow_in(rules, "/etc", not_etc);
}

int sandbox_files_new(const struct sandbox_files *files)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION);
    /* The first version refuses every move to another folder. */
    if (version < (files->arrange ? 2 : 1))
        return -EOPNOTSUPP;
    struct ruleset r = {.files = ALL_OF_1};
    r.files |= version >= 2 ? REFER : 0;
    r.files |= version >= 3 ? TRUNCATE : 0;
    r.files |= version >= 5 ? IOCTL_DEV : 0;
    r.network = version >= 4 ? NETWORK_ALL : 0;
    r.scoped = version >= 6 ? SCOPED_ALL : 0;
    /* An older kernel takes a longer structure when the rest of it is 0. */
    CLEANUP(close_p)
    int rules = (int)syscall(SYS_landlock_create_ruleset, &r, sizeof r, 0);
    if (rules < 0)
        return -errno;
    const uint64_t write = WRITE | (files->arrange ? ARRANGE : 0);
    int err = allow_usual(rules);
    for (const char *const *p = files->readable; !err && p && *p; p++)
        err = allow(rules, *p, 0, READ);
    for (const char *const *p = files->writable; !err && p && *p; p++) {
        IGNORE(mkdir(*p, 0700) < 0, "then nothing is written");
        err = allow(rules, *p, 0, write & r.files);
    }
    return err ? err : take_fd(&rules);
}

int sandbox_files_enter(int rules)
{
    return syscall(SYS_landlock_restrict_self, rules, 0) < 0 ? -errno : 0;
}
