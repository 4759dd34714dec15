/**
 * How fast a full spool drains: prebuilt events of 20 KB against a server on loopback in
 * another process; what the worker's sandbox costs; how long a start takes that finds
 * nothing to do. One figure a line, with what is aimed at where there is an aim.
 * usage: bench_drain [COUNT]... (1000 10000 100000)
 */
#include "dump.h"
#include "fake.h"

#include "uploader/worker/run.h"
#include "uploader/worker/sandbox_files.h"

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

enum aim { NO_AIM, AT_LEAST, AT_MOST };

static void figure(const char *name, double value, enum aim kind, double aim)
{
    bool met = kind == AT_LEAST ? value >= aim : value <= aim;
    printf("%-38s %10.2f", name, value);
    if (kind != NO_AIM)
        printf("  aim %s %.2f%s", kind == AT_LEAST ? ">=" : "<=", aim,
            met ? "" : "  MISSED");
    printf("\n");
    fflush(stdout);
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
    /* What is queued has been durable for long: its pages are not written meanwhile. */
    if (syncfs(s->fd) < 0)
        exit(1);
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
            "spool.max_reports=0", "spool.max_bytes=0", "spool.retain_sent_bytes=0",
            NULL}); /* the whole of it, and nothing is given up */
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
    static double rate_of_1k[2];
    const char *kind = gzip ? "gzip" : "identity";
    double rate = n / g.whole;
    char name[64];
#define FIGURE(what, value, kind_of_aim, aim)                                            \
    do {                                                                                 \
        snprintf(name, sizeof name, "drain_%s_%u_" what, kind, n);                       \
        figure(name, value, kind_of_aim, aim);                                           \
    } while (0)
    FIGURE("reports_per_s", rate, AT_LEAST, gzip ? 2500 : 5000);
    if (n == 1000)
        rate_of_1k[gzip] = rate;
    else if (rate_of_1k[gzip] > 0)
        FIGURE("percent_of_1k_rate", 100 * rate / rate_of_1k[gzip], AT_LEAST, 80);
    FIGURE("first_post_ms", first * 1e3, n == 10000 ? AT_MOST : NO_AIM, 100);
    FIGURE("cpu_us_per_report", g.cpu / n * 1e6, NO_AIM, 0);
    FIGURE("rss_kib", (double)g.max_rss_kib, AT_MOST, 16 * 1024 + 120.0 * n / 1024);
#undef FIGURE
    close(pipes[0]);
    close(pipes[1]);
    fake_free(f);
    ingest_stop(&s);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The program from exec to exit, with nothing to do. */
static void idle(void)
{
    enum { RUNS = 41 };
    double times[RUNS];
    struct fake *f = fake_new(NULL);
    for (int i = 0; i < RUNS; i++) {
        double begin = seconds();
        pid_t pid = fork();
        if (!pid) {
            setenv("KNELL_CONFIG", "/dev/null", 1);
            setenv("KNELL_DSN", "http://key@127.0.0.1:9/7", 1);
            execl(UPLOAD_PROGRAM, UPLOAD_PROGRAM, "--spool", f->path, (char *)NULL);
            _exit(127);
        }
        int status = 0;
        if (waitpid(pid, &status, 0) != pid || status)
            exit(1);
        times[i] = (seconds() - begin) * 1e3;
    }
    qsort(times, RUNS, sizeof *times, by_size);
    figure("idle_start_best_ms", times[0], NO_AIM, 0);
    figure("idle_start_ms", times[RUNS / 2], AT_MOST, 10);
    fake_free(f);
}

/* A small report in this process, in a child, and in a child that is shut in. */
static void sandbox(void)
{
    enum { RUNS = 101 };
    struct dump *d = dump_example();
    size_t n;
    const uint8_t *report = dump_finish(d, &n);
    const struct sandbox_files files = {0};
    int rules = sandbox_files_new(&files);
    const struct sandbox_limits plain = {0}, shut = {.files = rules > 0 ? rules : 0};
    static const char *const names[] = {
        "worker_in_process_us", "worker_child_us", "worker_child_landlock_us"};
    for (int kind = 0; kind < 3; kind++) {
        double times[RUNS];
        for (int i = 0; i < RUNS; i++) {
            struct worker_result r;
            double begin = seconds();
            int err = !kind ? worker_process(report, n, NULL, &r)
                            : worker_run(report, n, NULL, kind == 1 ? &plain : &shut, &r);
            times[i] = (seconds() - begin) * 1e6;
            if (err)
                exit(1);
            worker_result_done(&r);
        }
        qsort(times, RUNS, sizeof *times, by_size);
        figure(names[kind], times[RUNS / 2], NO_AIM, 0);
    }
    if (rules > 0)
        close(rules);
    dump_free(d);
}

int main(int argc, char **argv)
{
    static const char *const usual[] = {"1000", "10000", "100000"};
    int n = argc > 1 ? argc - 1 : 3;
    idle();
    sandbox();
    for (int i = 0; i < n; i++) {
        unsigned count = (unsigned)atoi(argc > 1 ? argv[i + 1] : usual[i]);
        drain(count, false);
        drain(count, true);
    }
    return 0;
}
