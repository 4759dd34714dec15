/* knell-symbolize beside the symbolizers that the machine has: wall time, processor time
 * and peak memory of whole processes that answer 1, 100 and 10,000 addresses with
 * function, file, line and inlined callers; and knell again from its cache.
 *
 * usage: bench_symbolize [-r RUNS] [-p PEER]... [FILE [KNELL_SYMBOLIZE]]
 * PEER: one more program with addr2line's options, such as gimli's addr2line.
 * FILE: any ELF file with debug information; this program itself when there is none.
 * One figure per line: TOOL KIND ADDRESSES MILLISECONDS CPU_MILLISECONDS MEGABYTES, the
 * medians of RUNS, the tools taking turns. Then knell beside the best peer. On a busy
 * machine the processor time is the one to look at.
 */
#include "symbolize/elf_file.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_RUNS = 31, MAX_TOOLS = 16, MAX_ARGS = 8, PEER_LIMIT_S = 120, LONG_MS = 10000 };

struct run {
    double ms, cpu_ms, mb;
};

struct tool {
    const char *name, *kind;
    const char *argv[MAX_ARGS];
    struct run runs[MAX_RUNS], median;
    int n_runs;
    const char *trouble; /* why there is no figure */
};

static char tmp[] = "/tmp/knell-bench-XXXXXX";
static const char *file;
static char knell[PATH_MAX];
static const char *more[MAX_TOOLS]; /* peers of the command line */
static int n_more;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
    (void)st;
    (void)type;
    (void)f;
    return remove(path);
}

static double ms_of(struct timeval t)
{
    return (double)t.tv_sec * 1e3 + (double)t.tv_usec / 1e3;
}

/* One process with the addresses on its standard input: NULL, or what went wrong. */
static const char *measure(const char *const *argv, const char *input, struct run *ret)
{
    struct timespec a, b;
    struct rusage use;
    int status;
    (void)clock_gettime(CLOCK_MONOTONIC, &a);
    pid_t pid = fork();
    if (pid == 0) {
        int in = open(input, O_RDONLY), out = open("/dev/null", O_WRONLY);
        if (in < 0 || out < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
            _exit(126);
        (void)alarm(PEER_LIMIT_S);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    if (pid < 0 || wait4(pid, &status, 0, &use) < 0)
        return "not started";
    (void)clock_gettime(CLOCK_MONOTONIC, &b);
    ret->ms = (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6;
    ret->cpu_ms = ms_of(use.ru_utime) + ms_of(use.ru_stime);
    ret->mb = (double)use.ru_maxrss / 1024;
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGALRM ? "over its time" : "killed by a signal";
    return WEXITSTATUS(status) == 127 ? "not installed"
           : WEXITSTATUS(status)      ? "failed"
                                      : NULL;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static double median(const struct tool *t, size_t offset)
{
    double v[MAX_RUNS];
    for (int i = 0; i < t->n_runs; i++)
        memcpy(&v[i], (const char *)&t->runs[i] + offset, sizeof v[i]);
    qsort(v, (size_t)t->n_runs, sizeof *v, by_value);
    return v[t->n_runs / 2];
}

/* Let the tools take turns, so that what else the machine does troubles all alike. One
 * run is enough where it is long. */
static void take_turns(struct tool *tools, int n, const char *input, int runs)
{
    for (int round = 0; round < runs; round++) {
        for (struct tool *t = tools; t < tools + n; t++) {
            if (t->trouble || (t->n_runs && t->runs[0].ms > LONG_MS))
                continue;
            t->trouble = measure(t->argv, input, &t->runs[t->n_runs]);
            t->n_runs += !t->trouble;
        }
    }
}

static void print_figures(struct tool *t, int n_addresses)
{
    if (t->trouble) {
        printf("%s %s %d - - - (%s)\n", t->name, t->kind, n_addresses, t->trouble);
        return;
    }
    t->median = (struct run){.ms = median(t, offsetof(struct run, ms)),
        .cpu_ms = median(t, offsetof(struct run, cpu_ms)),
        .mb = median(t, offsetof(struct run, mb))};
    printf("%s %s %d %.1f %.1f %.0f\n", t->name, t->kind, n_addresses, t->median.ms,
        t->median.cpu_ms, t->median.mb);
}

/* How much quicker and smaller the tool is than the best of the peers, each by itself. */
static void print_ratios(
    const struct tool *t, const struct tool *peers, int n, int n_addresses)
{
    const struct tool *quick = NULL, *cheap = NULL, *small = NULL;
    for (const struct tool *p = peers; p < peers + n; p++) {
        if (p->trouble)
            continue;
        quick = !quick || p->median.ms < quick->median.ms ? p : quick;
        cheap = !cheap || p->median.cpu_ms < cheap->median.cpu_ms ? p : cheap;
        small = !small || p->median.mb < small->median.mb ? p : small;
    }
    if (t->trouble || !quick)
        return;
    printf("# %s %d: %.1f times as quick as %s, %.1f times less processor time than %s, "
           "%.1f times less memory than %s\n",
        t->kind, n_addresses, quick->median.ms / t->median.ms, quick->name,
        cheap->median.cpu_ms / t->median.cpu_ms, cheap->name,
        small->median.mb / t->median.mb, small->name);
    (void)fflush(stdout);
}

/* @n random addresses of .text, always the same ones, into a file. */
static bool write_addresses(const char *path, int n)
{
    struct elf_file f;
    int err = elf_file_open(file, &f);
    if (err < 0) {
        (void)fprintf(stderr, "%s: %s\n", file, strerror(-err));
        return false;
    }
    const struct elf_section *text = elf_file_section(&f, ".text");
    FILE *out = text && text->n_bytes ? fopen(path, "w") : NULL;
    uint64_t x = 88172645463325252u;
    for (int i = 0; out && i < n; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (void)fprintf(
            out, "0x%llx\n", (unsigned long long)(text->addr + x % text->n_bytes));
    }
    elf_file_done(&f);
    return out && fclose(out) == 0;
}

static void compare(int n, int runs)
{
    char input[PATH_MAX], cache[PATH_MAX], object[PATH_MAX + 8];
    (void)snprintf(input, sizeof input, "%s/%d", tmp, n);
    (void)snprintf(cache, sizeof cache, "%s/cache%d", tmp, n);
    (void)snprintf(object, sizeof object, "--obj=%s", file);
    if (!write_addresses(input, n))
        return;
    enum { OWN = 2 };
    struct tool tools[MAX_TOOLS] = {
        {.name = "knell-symbolize", .kind = "cold", .argv = {knell, "-afiCe", file}},
        {.name = "knell-symbolize",
            .kind = "cached",
            .argv = {knell, "--cache", cache, "-afiCe", file}},
        {.name = "llvm-symbolizer",
            .kind = "cold",
            .argv = {"llvm-symbolizer", "-f", "-i", "-C", object}},
        {.name = "addr2line", .kind = "cold", .argv = {"addr2line", "-afiCe", file}},
        {.name = "eu-addr2line",
            .kind = "cold",
            .argv = {"eu-addr2line", "-a", "-f", "-i", "-C", "-e", file}},
    };
    int n_tools = 5;
    for (int i = 0; i < n_more; i++)
        tools[n_tools++] = (struct tool){
            .name = more[i], .kind = "cold", .argv = {more[i], "-afiCe", file}};
    struct run filling;
    tools[1].trouble = measure(tools[1].argv, input, &filling);
    take_turns(tools, n_tools, input, runs);
    for (int i = 0; i < n_tools; i++)
        print_figures(&tools[i], n);
    for (int i = 0; i < OWN; i++)
        print_ratios(&tools[i], tools + OWN, n_tools - OWN, n);
}

/* The program beside this one in the build. */
static void find_knell(const char *given)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = 0;
    char *slash = strrchr(self, '/');
    if (slash)
        *slash = 0;
    if (given)
        (void)snprintf(knell, sizeof knell, "%s", given);
    else if (snprintf(knell, sizeof knell, "%s/../../symbolize/knell-symbolize", self) <
                 0 ||
             access(knell, X_OK) < 0)
        (void)snprintf(knell, sizeof knell, "knell-symbolize");
}

int main(int argc, char **argv)
{
    int runs = 5;
    for (int c; (c = getopt(argc, argv, "r:p:")) != -1;) {
        if (c == 'p' && n_more < MAX_TOOLS - 5) {
            more[n_more++] = optarg;
            continue;
        }
        runs = c == 'r' ? atoi(optarg) : 0;
        if (runs < 1 || runs > MAX_RUNS) {
            (void)fprintf(
                stderr, "usage: bench_symbolize [-r RUNS] [-p PEER]... [FILE [TOOL]]\n");
            return 2;
        }
    }
    (void)unsetenv("DEBUGINFOD_URLS"); /* llvm-symbolizer would wait for servers */
    file = optind < argc ? argv[optind] : "/proc/self/exe";
    char whole[PATH_MAX];
    if (realpath(file, whole))
        file = whole;
    find_knell(optind + 1 < argc ? argv[optind + 1] : NULL);
    if (!mkdtemp(tmp))
        return 1;
    double load[1] = {0};
    (void)getloadavg(load, 1);
    printf("# %s, %d runs, load %.1f: tool, kind, addresses, ms, cpu ms, MB\n", file,
        runs, load[0]);
    compare(1, runs);
    compare(100, runs);
    compare(10000, runs);
    (void)nftw(tmp, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}
