/**
 * How fast a full spool drains: prebuilt events of 20 KB against a server on loopback in
 * another process. One figure a line. usage: bench_drain [COUNT]... (1000 10000 100000)
 */
#include "fake.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EVENT_BYTES = 20000 };

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fill(struct fake *f, unsigned n)
{
    struct spool *s = NULL;
    if (spool_open(f->path, true, &s) < 0)
        exit(1);
    for (unsigned i = 0; i < n; i++) {
        struct spool_name name = {
            .time_ms = (uint64_t)time(NULL) * 1000 - i, .signature = i % 50, .signo = 11};
        char file[KNELL_SPOOL_NAME_BYTES + 1];
        memcpy(name.event_id, &i, sizeof i);
        name.event_id[15] = 1;
        spool_name_format(&name, file);
        int fd = openat(s->state_fd[SPOOL_NEW], file, O_WRONLY | O_CREAT, 0600);
        if (fd < 0 || write(fd, "MDMP", 4) != 4)
            exit(1);
        close(fd);
    }
    spool_close(s);
}

/* What the draining process reports to its parent. */
struct figures {
    double whole, first;
    long max_rss_kib;
    double cpu;
};

static void drain(unsigned n, bool gzip)
{
    struct ingest s = ingest_start(&(struct ingest_options){.script = "200/body={}"});
    struct fake *f = fake_new(
        (const char *[]){gzip ? "upload.compression=gzip" : "upload.compression=none",
            "spool.max_reports=0", "spool.max_bytes=0", NULL});
    fake_destination(f, "http://key@127.0.0.1:%d/7", s.port);
    f->n_event_bytes = EVENT_BYTES;
    fill(f, n);
    int pipes[2];
    if (pipe(pipes) < 0)
        exit(1);
    double begin = seconds(), first = 0;
    pid_t pid = fork();
    if (!pid) {
        int r = fake_run(f);
        struct rusage u;
        getrusage(RUSAGE_SELF, &u);
        struct figures g = {.whole = seconds() - begin,
            .max_rss_kib = u.ru_maxrss,
            .cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                   (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6};
        if (write(pipes[1], &g, sizeof g) != sizeof g)
            _exit(1);
        _exit(r ? 1 : 0);
    }
    while (!s.counts->requests && seconds() - begin < 60)
        usleep(200);
    first = seconds() - begin;
    int status = 0;
    waitpid(pid, &status, 0);
    struct figures g = {0};
    if (status || read(pipes[0], &g, sizeof g) != sizeof g || s.counts->requests != n)
        printf("drain %u failed\n", n);
    const char *kind = gzip ? "gzip" : "identity";
    printf("drain_%s_%u_reports_per_s %.0f\n", kind, n, n / g.whole);
    printf("drain_%s_%u_first_post_ms %.1f\n", kind, n, first * 1e3);
    printf("drain_%s_%u_cpu_us_per_report %.0f\n", kind, n, g.cpu / n * 1e6);
    printf("drain_%s_%u_rss_kib %ld\n", kind, n, g.max_rss_kib);
    close(pipes[0]);
    close(pipes[1]);
    fake_free(f);
    ingest_stop(&s);
}

/* A pass with nothing to do. */
static void idle(void)
{
    enum { RUNS = 50 };
    struct fake *f = fake_new(NULL);
    fake_destination(f, "http://key@127.0.0.1:%d/7", 9);
    if (fake_run(f) < 0) /* makes the folders */
        exit(1);
    double begin = seconds();
    for (int i = 0; i < RUNS; i++) {
        if (fake_run(f) < 0)
            exit(1);
    }
    printf("idle_pass_ms %.2f\n", (seconds() - begin) / RUNS * 1e3);
    fake_free(f);
}

int main(int argc, char **argv)
{
    static const char *const usual[] = {"1000", "10000", "100000"};
    int n = argc > 1 ? argc - 1 : 3;
    idle();
    for (int i = 0; i < n; i++) {
        unsigned count = (unsigned)atoi(argc > 1 ? argv[i + 1] : usual[i]);
        drain(count, false);
        drain(count, true);
    }
    return 0;
}
