/* knell-symbolize beside the symbolizers that the machine has: wall time and peak memory
 * of whole processes that answer 1, 100 and 10,000 addresses with function, file, line
 * and inlined callers; and knell again from its cache.
 *
 * usage: bench_symbolize [-r RUNS] [FILE [KNELL_SYMBOLIZE]]
 * FILE: any ELF file with debug information; this program itself when there is none.
 * One figure per line: TOOL KIND ADDRESSES MILLISECONDS MEGABYTES, the median of RUNS.
 */
#include "symbolize/elf_file.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_RUNS = 31, PEER_LIMIT_S = 120 };

struct run {
    double ms, mb;
};

static char tmp[] = "/tmp/knell-bench-XXXXXX";
static const char *file;
static char knell[PATH_MAX];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
    (void)st;
    (void)type;
    (void)f;
    return remove(path);
}

/* One process with the addresses on its standard input: whether it ended well. */
static bool measure(const char *const *argv, const char *input, struct run *ret)
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
        (void)unsetenv("DEBUGINFOD_URLS"); /* llvm-symbolizer would wait for servers */
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    if (pid < 0 || wait4(pid, &status, 0, &use) < 0)
        return false;
    (void)clock_gettime(CLOCK_MONOTONIC, &b);
    ret->ms = (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6;
    ret->mb = (double)use.ru_maxrss / 1024;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int by_ms(const void *a, const void *b)
{
    const struct run *x = a, *y = b;
    return x->ms < y->ms ? -1 : x->ms > y->ms;
}

static void report(const char *tool, const char *kind, const char *const *argv,
    const char *input, int n, int runs)
{
    struct run r[MAX_RUNS];
    for (int i = 0; i < runs; i++) {
        if (!measure(argv, input, &r[i])) {
            printf("%s %s %d - - (not here, failed, or over %d s)\n", tool, kind, n,
                PEER_LIMIT_S);
            return;
        }
        if (r[i].ms > 10000)
            runs = i + 1; /* long enough to be told from noise */
    }
    qsort(r, (size_t)runs, sizeof *r, by_ms);
    printf("%s %s %d %.1f %.0f\n", tool, kind, n, r[runs / 2].ms, r[runs / 2].mb);
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
    char input[PATH_MAX], cache[PATH_MAX];
    (void)snprintf(input, sizeof input, "%s/%d", tmp, n);
    (void)snprintf(cache, sizeof cache, "%s/cache%d", tmp, n);
    if (!write_addresses(input, n))
        return;
    char object[PATH_MAX + 8];
    (void)snprintf(object, sizeof object, "--obj=%s", file);
    report("knell-symbolize", "cold", (const char *[]){knell, "-afiCe", file, NULL},
        input, n, runs);
    const char *const cached[] = {knell, "--cache", cache, "-afiCe", file, NULL};
    struct run filled;
    if (measure(cached, input, &filled))
        report("knell-symbolize", "cached", cached, input, n, runs);
    report("llvm-symbolizer", "cold",
        (const char *[]){"llvm-symbolizer", "-f", "-i", "-C", object, NULL}, input, n,
        runs);
    report("addr2line", "cold", (const char *[]){"addr2line", "-afiCe", file, NULL},
        input, n, runs);
    report("eu-addr2line", "cold",
        (const char *[]){"eu-addr2line", "-a", "-f", "-i", "-C", "-e", file, NULL}, input,
        n, runs);
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
    for (int c; (c = getopt(argc, argv, "r:")) != -1;) {
        runs = c == 'r' ? atoi(optarg) : 0;
        if (runs < 1 || runs > MAX_RUNS) {
            (void)fprintf(stderr, "usage: bench_symbolize [-r RUNS] [FILE [TOOL]]\n");
            return 2;
        }
    }
    file = optind < argc ? argv[optind] : "/proc/self/exe";
    char whole[PATH_MAX];
    if (realpath(file, whole))
        file = whole;
    find_knell(optind + 1 < argc ? argv[optind + 1] : NULL);
    if (!mkdtemp(tmp))
        return 1;
    printf("# %s, %d runs: tool, kind, addresses, ms, MB\n", file, runs);
    compare(1, runs);
    compare(100, runs);
    compare(10000, runs);
    (void)nftw(tmp, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}
