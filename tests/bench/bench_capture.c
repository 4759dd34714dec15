/**
 * What knell costs a daemon: at start, and when it dies. Prints one figure per line.
 *
 * usage: bench_capture [RUNS]
 *
 * Death is measured from just before the fault to the moment the parent has reaped the
 * process, without knell and with it; "added" is the difference of the medians, "best"
 * that of the fastest runs, for a machine that has other things to do.
 *
 * Memory is what knell_start() adds in a process whose C library is resident already: all
 * resident pages, the process's share of them, and those that are its alone.
 */
#include <dirent.h>
#include <fcntl.h>
#include <knell/knell.h>
#include <knell/minidump.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_RUNS = 1001 };

static struct shared {
    volatile long long fault_ns, start_ns;
} * shared;
static char spool[256];

static long long now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

struct memory {
    long long resident, share, clean, dirty; /* KiB; the last two are its alone */
};

static struct memory memory_now(void)
{
    char line[256];
    struct memory m = {0};
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    while (f && fgets(line, sizeof line, f)) {
        (void)sscanf(line, "Rss: %lld", &m.resident);
        (void)sscanf(line, "Pss: %lld", &m.share);
        (void)sscanf(line, "Private_Clean: %lld", &m.clean);
        (void)sscanf(line, "Private_Dirty: %lld", &m.dirty);
    }
    if (f)
        fclose(f);
    return m;
}

/* What every running daemon has: each page of the C library and the loader. */
static int touch_libc(struct dl_phdr_info *info, size_t n, void *arg)
{
    (void)n, (void)arg;
    if (!strstr(info->dlpi_name, "/libc.so") && !strstr(info->dlpi_name, "/ld-linux"))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        const volatile char *at = (const volatile char *)(info->dlpi_addr + p->p_vaddr);
        for (size_t k = 0; p->p_type == PT_LOAD && k < p->p_memsz; k += 4096)
            (void)at[k];
    }
    return 0;
}

/* In a program of its own: a forked one has not touched yet what every program has. */
static int print_memory(const char *folder)
{
    dl_iterate_phdr(touch_libc, NULL);
    (void)memory_now(); /* the stream's own buffers */
    struct memory before = memory_now();
    struct knell_options o = KNELL_OPTIONS_INIT;
    o.app = "bench";
    o.spool_dir = folder;
    o.start_uploader = KNELL_OFF;
    if (knell_start(&o))
        return 1;
    struct memory after = memory_now();
    printf("start_resident_kib %lld\n", after.resident - before.resident);
    printf("start_share_kib %lld\n", after.share - before.share);
    printf("start_private_kib %lld\n",
        after.clean + after.dirty - before.clean - before.dirty);
    printf("start_private_dirty_kib %lld\n", after.dirty - before.dirty);
    knell_stop();
    return 0;
}

static void *idle(void *arg)
{
    for (;;)
        pause();
    return arg;
}

static int *volatile nowhere = NULL;
static void raise_fault(void)
{
    *(volatile int *)nowhere = 1;
}

static void die(int n_threads, int with_knell)
{
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    if (with_knell) {
        struct knell_options o = KNELL_OPTIONS_INIT;
        o.app = "bench";
        o.spool_dir = spool;
        o.start_uploader = KNELL_OFF;
        long long start = now_ns();
        if (knell_start(&o))
            _exit(99);
        shared->start_ns = now_ns() - start;
    }
    pthread_attr_t a;
    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, 256 * 1024);
    for (int i = 1; i < n_threads; i++) {
        pthread_t t;
        if (pthread_create(&t, &a, idle, NULL))
            _exit(98);
    }
    usleep(n_threads > 100 ? 60000 : 10000);
    sync(); /* a daemon has run for longer than a file system keeps its journal open */
    shared->fault_ns = now_ns();
    raise_fault();
}

/* The directory is the last thing in a report; what follows is room to be given back. */
static long long report_bytes(const char *path)
{
    struct knell_md_header h = {0};
    int fd = open(path, O_RDONLY);
    if (fd < 0 || read(fd, &h, sizeof h) != sizeof h)
        fprintf(stderr, "no report\n");
    if (fd >= 0)
        close(fd);
    return (long long)h.directory_rva +
           (long long)(h.n_streams * sizeof(struct knell_md_directory));
}

static long long reports_bytes(void)
{
    char path[600];
    long long sum = 0;
    (void)snprintf(path, sizeof path, "%s/new", spool);
    DIR *d = opendir(path);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        (void)snprintf(path, sizeof path, "%s/new/%.200s", spool, e->d_name);
        if (e->d_name[0] == '.')
            continue;
        sum += report_bytes(path);
        unlink(path);
    }
    if (d)
        closedir(d);
    return sum;
}

static int compare(const void *a, const void *b)
{
    long long x = *(const long long *)a, y = *(const long long *)b;
    return (x > y) - (x < y);
}

static long long median(long long *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, compare);
    return v[n / 2];
}

static long long run(int n_threads, int with_knell)
{
    pid_t pid = fork();
    if (!pid) {
        die(n_threads, with_knell);
        _exit(97);
    }
    int status;
    waitpid(pid, &status, 0);
    long long end = now_ns();
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSEGV) {
        fprintf(stderr, "unexpected status %x\n", status);
        exit(1);
    }
    return end - shared->fault_ns;
}

int main(int argc, char **argv)
{
    static const int counts[] = {1, 9, 65, 501};
    static long long bare[MAX_RUNS], with[MAX_RUNS], start[MAX_RUNS];
    if (argc > 2 && !strcmp(argv[1], "memory"))
        return print_memory(argv[2]);
    int n_runs = argc > 1 ? atoi(argv[1]) : 21;
    const char *tmp = getenv("TMPDIR");
    if (n_runs < 1 || n_runs > MAX_RUNS)
        return 2;
    (void)snprintf(
        spool, sizeof spool, "%s/knell-bench-XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
    shared = (struct shared *)mmap(
        NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!mkdtemp(spool) || shared == MAP_FAILED)
        return 1;
    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
        long long bytes = 0;
        for (int i = 0; i < n_runs; i++) {
            bare[i] = run(counts[k], 0);
            with[i] = run(counts[k], 1);
            start[i] = shared->start_ns;
            bytes = reports_bytes();
        }
        long long b = median(bare, n_runs), w = median(with, n_runs);
        printf("death_%d_threads_bare_us %lld\n", counts[k], b / 1000);
        printf("death_%d_threads_knell_us %lld\n", counts[k], w / 1000);
        printf("death_%d_threads_added_us %lld\n", counts[k], (w - b) / 1000);
        printf("death_%d_threads_added_best_us %lld\n", counts[k],
            (with[0] - bare[0]) / 1000);
        printf("report_%d_threads_bytes %lld\n", counts[k], bytes);
    }
    printf("start_us %lld\n", median(start, n_runs) / 1000);
    printf("start_best_us %lld\n", start[0] / 1000);
    fflush(stdout);
    char command[900];
    (void)snprintf(
        command, sizeof command, "%s memory '%s'; rm -rf '%s'", argv[0], spool, spool);
    return system(command) != 0;
}
