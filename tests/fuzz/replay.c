/* Run a fuzz target over kept inputs. usage: fuzz_X FOLDER|FILE... */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static int run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (!f || fstat(fileno(f), &st) < 0) {
        perror(path);
        if (f)
            (void)fclose(f);
        return -1;
    }
    size_t n = (size_t)st.st_size;
    /* Exactly as large as the input, so that a sanitizer sees a read beyond it. */
    uint8_t *bytes = malloc(n ? n : 1);
    size_t got = bytes ? fread(bytes, 1, n, f) : 0;
    (void)fclose(f);
    if (!bytes || got != n) {
        (void)fprintf(stderr, "%s: cannot be read\n", path);
        free(bytes);
        return -1;
    }
    (void)LLVMFuzzerTestOneInput(bytes, n);
    free(bytes);
    return 1;
}

static int run_folder(const char *path)
{
    DIR *d = opendir(path);
    if (!d) {
        perror(path);
        return -1;
    }
    int ran = 0, one = 0;
    for (struct dirent *e; one >= 0 && (e = readdir(d));) {
        char file[PATH_MAX];
        if (e->d_name[0] == '.')
            continue;
        (void)snprintf(file, sizeof file, "%s/%s", path, e->d_name);
        one = run_file(file);
        ran += one;
    }
    (void)closedir(d);
    return one < 0 ? one : ran;
}

int main(int argc, char **argv)
{
    int ran = 0;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        int n = stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode) ? run_folder(argv[i])
                                                               : run_file(argv[i]);
        if (n < 0)
            return 1;
        ran += n;
    }
    printf("%d inputs\n", ran);
    return ran > 0 ? 0 : 1;
}
