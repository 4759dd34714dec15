/* How long `knell list` takes over a spool of N reports that the index knows: median of
 * five runs of the whole program, in ms, with its time on a processor and peak memory.
 * Targets: 10,000 reports in 60 ms, the newest 20 of them in 15 ms, 100,000 in 400 ms. */
#include "tmpdir.h"
#include "uploader/spool/index.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

enum { RUNS = 5, BATCH = 1000 };

static double now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double ms_of(const struct timeval *t)
{
    return (double)t->tv_sec * 1e3 + (double)t->tv_usec / 1e3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Reports of forty signatures, one a minute, in three states. Their files are empty: a
 * listing that opened one would call it unreadable. */
static struct spool *fill(const char *path, unsigned n)
{
    static struct index_entry entries[BATCH];
    struct spool *s;
    if (spool_open(path, true, &s))
        abort();
    for (unsigned i = 0; i < n; i++) {
        struct spool_name name = {
            .time_ms = UINT64_C(1790000000000) + i * UINT64_C(60000),
            .signature = UINT64_C(0x9e3779b97f4a) * (i % 40) & 0xffffffffffff,
            .signo = 11};
        uint64_t id[2] = {(i + 1) * UINT64_C(0x9e3779b97f4a7c15), ~(uint64_t)i};
        memcpy(name.event_id, id, sizeof id);
        char file[KNELL_SPOOL_NAME_BYTES + 1];
        spool_name_format(&name, file);
        static const enum spool_state states[] = {SPOOL_SENT, SPOOL_WAIT, SPOOL_NEW};
        int fd = openat(
            s->state_fd[states[i % 3]], file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        if (fd < 0 || close(fd) < 0)
            abort();
        struct index_entry *e = &entries[i % BATCH];
        *e = (struct index_entry){.pid = 1000 + i % 30000,
            .code = 1,
            .address = 0x18,
            .line = 200 + i % 40,
            .n_threads = 8,
            .report_bytes = 180000,
            .kind = INDEX_KIND_CRASH,
            .app = "exampled",
            .release = "exampled@2.4.1",
            .environment = "production",
            .server = "node-017",
            .executable = "/usr/sbin/exampled",
            .thread = "worker/3",
            .function = "connection_read_request",
            .file = "src/connection.c",
            .module = "exampled",
            .cause = "null pointer + 0x18"};
        memcpy(e->event_id, id, sizeof id);
        if ((i + 1) % BATCH == 0 || i + 1 == n)
            if (index_append(s, entries, i % BATCH + 1))
                abort();
    }
    return s;
}

static void run(const char *knell, const char *spool, unsigned n, const char *last)
{
    double ms[RUNS], cpu_ms[RUNS];
    long most_kib = 0;
    for (int i = 0; i < RUNS; i++) {
        const char *argv[] = {knell, "--spool", spool, "--no-pager", "list",
            last ? "-n" : NULL, last, NULL};
        posix_spawn_file_actions_t actions;
        (void)posix_spawn_file_actions_init(&actions);
        (void)posix_spawn_file_actions_addopen(
            &actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
        pid_t pid;
        int status;
        struct rusage usage;
        double began = now_ms();
        if (posix_spawn(
                &pid, knell, &actions, NULL, (char *const *)(uintptr_t)argv, environ) ||
            wait4(pid, &status, 0, &usage) != pid || status != 0) {
            (void)fprintf(stderr, "bench_list: %s failed\n", knell);
            exit(1);
        }
        ms[i] = now_ms() - began;
        cpu_ms[i] = ms_of(&usage.ru_utime) + ms_of(&usage.ru_stime);
        most_kib = usage.ru_maxrss > most_kib ? usage.ru_maxrss : most_kib;
        (void)posix_spawn_file_actions_destroy(&actions);
    }
    qsort(ms, RUNS, sizeof *ms, by_value);
    qsort(cpu_ms, RUNS, sizeof *cpu_ms, by_value);
    (void)printf("list_%s_of_%u_ms %.1f\n", last ? last : "all", n, ms[RUNS / 2]);
    (void)printf("list_%s_of_%u_cpu_ms %.1f\n", last ? last : "all", n, cpu_ms[RUNS / 2]);
    (void)printf("list_%s_of_%u_kib %ld\n", last ? last : "all", n, most_kib);
}

int main(int argc, char **argv)
{
    char knell[PATH_MAX] = "";
    if (argc > 1) {
        (void)snprintf(knell, sizeof knell, "%s", argv[1]);
    } else {
        ssize_t n = readlink("/proc/self/exe", knell, sizeof knell - 64);
        char *slash = n > 0 ? memrchr(knell, '/', (size_t)n) : NULL;
        if (!slash)
            return 1;
        (void)strcpy(slash, "/../../uploader/inspect/knell");
    }
    static const unsigned sizes[] = {1000, 10000, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const char *dir = test_tmpdir();
        spool_close(fill(dir, sizes[i]));
        run(knell, dir, sizes[i], NULL);
        run(knell, dir, sizes[i], "20");
    }
    return 0;
}
