#include "crash/identity.h"

#include "crash/random.h"
#include "crash/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

int kn_read_text(const char *path, char *out, size_t n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    size_t at = 0;
    while (at < n - 1) {
        ssize_t got = read(fd, out + at, n - 1 - at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        at += (size_t)got;
    }
    out[at] = 0;
    (void)close(fd);
    return (int)at;
}

uint32_t kn_cpus(void)
{
    static uint32_t known; /* atomic; asking again costs a file each time */
    uint32_t n = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (!n) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        n = online > 0 ? (uint32_t)online : 1;
        __atomic_store_n(&known, n, __ATOMIC_RELAXED);
    }
    return n;
}

static uint64_t now_ns(clockid_t clock)
{
    struct timespec t = {0};
    (void)clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void read_boot_id(uint8_t *out)
{
    char text[64];
    if (kn_read_text("/proc/sys/kernel/random/boot_id", text, sizeof text) < 36)
        return;
    unsigned n_digits = 0;
    for (const char *p = text; *p && n_digits < 32; p++) {
        const char *digits = "0123456789abcdef", *at = strchr(digits, *p);
        if (!at)
            continue;
        unsigned shift = n_digits % 2 ? 0 : 4;
        out[n_digits++ / 2] |= (uint8_t)((unsigned)(at - digits) << shift);
    }
}

uint64_t kn_start_ticks(uint32_t pid)
{
    char path[32], text[1024];
    (void)snprintf(path, sizeof path, "/proc/%u/stat", pid);
    if (kn_read_text(path, text, sizeof text) <= 0)
        return 0;
    /* The name in field 2 may hold blanks and parentheses: count from the last one. */
    char *p = strrchr(text, ')');
    for (int field = 2; p && field < 22; field++)
        p = strchr(p + 1, ' ');
    return p ? strtoull(p + 1, NULL, 10) : 0;
}

/* The v2 path of this process's control group. */
static void read_cgroup(char *out, size_t n)
{
    char text[4096];
    if (kn_read_text("/proc/self/cgroup", text, sizeof text) <= 0)
        return;
    char *line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    if (!line)
        return;
    line = strchr(line, '/');
    if (!line)
        return;
    line[strcspn(line, "\n")] = 0;
    kn_copy_text(out, n, line);
}

static uint64_t read_oom_kills(const char *cgroup)
{
    char path[512], text[1024];
    (void)snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.events", cgroup);
    if (!cgroup[0] || kn_read_text(path, text, sizeof text) <= 0)
        return ~(uint64_t)0;
    const char *line = strstr(text, "\noom_kill ");
    return line ? strtoull(line + 10, NULL, 10) : ~(uint64_t)0;
}

/* Without the system's generator the id still has to differ between processes. */
static void make_event_id(struct kn_identity *id)
{
    if (getrandom(id->event_id, sizeof id->event_id, GRND_NONBLOCK) ==
        (ssize_t)sizeof id->event_id)
        return;
    uint64_t x = id->start_realtime_ns ^ (uint64_t)id->pid << 32 ^ id->start_ticks;
    for (size_t i = 0; i < sizeof id->event_id; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        id->event_id[i] = (uint8_t)(x >> 56);
    }
}

/* Without /proc, what execve(2) was given: from where the process is now, and without the
 * links that lead there. */
static void read_executable(char *out, size_t n)
{
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", out, n - 1);
    out[length > 0 ? length : 0] = 0;
    const char *given = (const char *)getauxval(AT_EXECFN);
    if (!out[0] && given && realpath(given, path))
        kn_copy_text(out, n, path);
}

void kn_identity_init(struct kn_identity *id)
{
    *id = (struct kn_identity){.pid = (uint32_t)getpid()};
    id->start_realtime_ns = now_ns(CLOCK_REALTIME);
    id->start_boottime_ns = now_ns(CLOCK_BOOTTIME);
    read_boot_id(id->boot_id);
    id->start_ticks = kn_start_ticks(id->pid);
    make_event_id(id);
    kn_random_mark_uuid(id->event_id);
    if (gethostname(id->server_name, sizeof id->server_name - 1))
        id->server_name[0] = 0;
    read_executable(id->executable, sizeof id->executable);
    read_cgroup(id->cgroup, sizeof id->cgroup);
    id->oom_kills = read_oom_kills(id->cgroup);
    struct utsname u;
    if (!uname(&u)) {
        kn_copy_text(id->kernel, sizeof id->kernel, u.release);
        (void)snprintf(id->os, sizeof id->os, "%.15s %.64s %.100s %.32s", u.sysname,
            u.release, u.version, u.machine);
    }
    (void)snprintf(id->libc, sizeof id->libc, "glibc %s", gnu_get_libc_version());
}

void kn_identity_stem(const struct kn_identity *id, char *out)
{
    const uint8_t *b = id->boot_id;
    int n = snprintf(out, KN_STEM_BYTES, "%02x%02x%02x%02x-%u-%llu-", b[0], b[1], b[2],
        b[3], id->pid, (unsigned long long)id->start_ticks);
    for (size_t i = 0; i < sizeof id->event_id; i++, n += 2)
        (void)snprintf(out + n, KN_STEM_BYTES - (size_t)n, "%02x", id->event_id[i]);
}
