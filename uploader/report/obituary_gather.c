/* What the machine still knows about a dead process. */
#include "uploader/report/obituary.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_LOG_BYTES = 16 << 20, LINE_BYTES = 8192 };

static int read_text(const char *root, const char *path, char *out, size_t n)
{
    char full[PATH_MAX];
    (void)snprintf(full, sizeof full, "%s%s", root, path);
    CLEANUP(close_p) int fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t got = fd < 0 ? -1 : read(fd, out, n - 1);
    out[got > 0 ? got : 0] = '\0';
    return got > 0 ? 0 : -1;
}

static bool parse_boot_id(const char *text, uint8_t out[16])
{
    size_t n = 0;
    for (const char *p = text; n < 16 && *p; p++) {
        unsigned byte;
        if (*p == '-')
            continue;
        if (sscanf(p, "%2x", &byte) != 1 || !p[1])
            return false;
        out[n++] = (uint8_t)byte;
        p++;
    }
    return n == 16;
}

static uint64_t number_of(const char *text, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = text; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
        if (!strncmp(p, name, n) && p[n] == ' ')
            return strtoull(p + n, NULL, 10);
    }
    return UINT64_MAX;
}

static uint64_t cgroup_oom_kills(const char *root, const char *cgroup)
{
    static const char *const places[] = {"/sys/fs/cgroup%s/memory.events",
        "/sys/fs/cgroup/unified%s/memory.events",
        "/sys/fs/cgroup/memory%s/memory.oom_control"};
    char path[512], text[4096];
    if (cgroup[0] != '/' || strstr(cgroup, ".."))
        return UINT64_MAX;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(path, sizeof path, places[i], cgroup);
#pragma GCC diagnostic pop
        if (!read_text(root, path, text, sizeof text))
            return number_of(text, "oom_kill");
    }
    return UINT64_MAX;
}

/* "Killed process 123 (name)" or "pid=123," after "oom-kill:". */
static bool names_victim(const char *line, uint32_t pid)
{
    char a[48], b[48], c[48];
    (void)snprintf(a, sizeof a, "Killed process %u ", pid);
    (void)snprintf(b, sizeof b, ",pid=%u,", pid);
    (void)snprintf(c, sizeof c, "Killed process %u,", pid);
    return strstr(line, a) || strstr(line, c) ||
           (strstr(line, "oom-kill:") && strstr(line, b));
}

/* The signal by which a line says that the process was ended, 0: none. The audit system
 * has a record of each death by a signal that dumps core, whether a core is written or
 * not; the fault of a main thread whose signal has no handler is logged on x86.
 * Source: audit_core_dumps() and show_signal_msg() of the kernel. */
static int signal_of(const char *line, uint32_t pid)
{
    char a[48], b[48];
    int signo = 0;
    (void)snprintf(a, sizeof a, " pid=%u ", pid);
    (void)snprintf(b, sizeof b, "[%u]: segfault at ", pid);
    const char *sig = strstr(line, " sig=");
    if (strstr(line, "type=1701 ") && strstr(line, a) && sig &&
        sscanf(sig, " sig=%3d", &signo) == 1 && signo > 0 && signo <= 64)
        return signo;
    return strstr(line, b) ? SIGSEGV : 0;
}

static void weigh_line(struct obituary_evidence *e, const char *text, uint32_t pid)
{
    int signo = signal_of(text, pid), n = (int)strcspn(text, "\n");
    if (!e->kernel_line[0] && names_victim(text, pid))
        (void)snprintf(e->kernel_line, sizeof e->kernel_line, "%.*s", n, text);
    if (signo) {
        (void)snprintf(e->signal_line, sizeof e->signal_line, "%.*s", n, text);
        e->signal_signo = signo;
    }
}

/* /dev/kmsg gives one record a read: "priority,sequence,microseconds,…;text". Only what
 * was logged after the process's start counts: PIDs come again. */
static void search_kernel_log(
    const char *root, const struct knell_journal_head *head, struct obituary_evidence *e)
{
    char path[PATH_MAX], line[LINE_BYTES];
    (void)snprintf(path, sizeof path, "%s/dev/kmsg", root);
    CLEANUP(close_p) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t total = 0;
    while (fd >= 0 && total < MAX_LOG_BYTES) {
        ssize_t n = read(fd, line, sizeof line - 1);
        if (n < 0 && errno == EPIPE)
            continue; /* overwritten while we read: go on with the oldest */
        if (n <= 0)
            break;
        line[n] = '\0';
        total += (size_t)n;
        unsigned long long us = 0;
        const char *text = strchr(line, ';');
        if (text && sscanf(line, "%*u,%*u,%llu", &us) == 1 &&
            us * 1000 >= head->start_boottime_ns)
            weigh_line(e, text + 1, head->pid);
    }
}

static bool first_match(const char *pattern, uint64_t after_s, char *out, size_t n)
{
    glob_t g = {0};
    struct stat st;
    bool found = false;
    if (!glob(pattern, GLOB_NOSORT, NULL, &g)) {
        for (size_t i = 0; !found && i < g.gl_pathc && i < 1000; i++) {
            if (lstat(g.gl_pathv[i], &st) || !S_ISREG(st.st_mode) ||
                (uint64_t)st.st_mtim.tv_sec + 1 < after_s)
                continue;
            (void)snprintf(out, n, "%s", g.gl_pathv[i]);
            found = true;
        }
    }
    globfree(&g);
    return found;
}

/* core(5): %p and %P are the PID, what else a name holds may be anything. */
static void search_core(
    const char *root, const struct knell_journal_head *head, struct obituary_evidence *e)
{
    char text[512], pattern[PATH_MAX];
    uint64_t start_s = head->start_realtime_ns / 1000000000;
    const uint8_t *b = head->boot_id;
    int n =
        snprintf(pattern, sizeof pattern, "%s/var/lib/systemd/coredump/core.*.", root);
    for (int i = 0; i < 16; i++)
        n += snprintf(pattern + n, sizeof pattern - (size_t)n, "%02x", b[i]);
    (void)snprintf(pattern + n, sizeof pattern - (size_t)n, ".%u.*", head->pid);
    if (first_match(pattern, start_s, e->core, sizeof e->core))
        return;
    if (read_text(root, "/proc/sys/kernel/core_pattern", text, sizeof text) ||
        text[0] != '/' || (!strstr(text, "%p") && !strstr(text, "%P")))
        return;
    n = snprintf(pattern, sizeof pattern, "%s", root);
    for (const char *p = text; *p && *p != '\n' && n < PATH_MAX - 32; p++) {
        if (*p == '%' && (p[1] == 'p' || p[1] == 'P'))
            n += snprintf(pattern + n, 16, "%u", head->pid);
        else if (*p == '%' && p[1] && p[1] != '%')
            pattern[n++] = '*';
        else
            pattern[n++] = *p;
        p += *p == '%' && p[1];
    }
    pattern[n] = '\0';
    (void)first_match(pattern, start_s, e->core, sizeof e->core);
}

void obituary_gather(const char *root, const struct knell_journal_head *head,
    struct obituary_evidence *ret)
{
    char text[32768];
    *ret = (struct obituary_evidence){.vm_oom_kills = UINT64_MAX};
    if (!read_text(root, "/proc/sys/kernel/random/boot_id", text, sizeof text))
        ret->has_boot_id = parse_boot_id(text, ret->boot_id);
    ret->cgroup_oom_kills = cgroup_oom_kills(root, head->cgroup);
    if (!read_text(root, "/proc/vmstat", text, sizeof text))
        ret->vm_oom_kills = number_of(text, "oom_kill");
    /* Another boot's log and cores say nothing about this process. */
    if (ret->has_boot_id && memcmp(ret->boot_id, head->boot_id, 16))
        return;
    search_kernel_log(root, head, ret);
    search_core(root, head, ret);
}

void obituary_gather_for(const uint8_t *image, size_t n, struct obituary_evidence *ret)
{
    struct knell_journal_head head = {0};
    memcpy(&head, image, n < sizeof head ? n : sizeof head);
    head.cgroup[sizeof head.cgroup - 1] = 0;
    obituary_gather("", &head, ret);
}
