#include "tmpdir.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_DIRS = 256 };
static char *dirs[MAX_DIRS];
static int n_dirs;
static pid_t owner;

static void die(const char *what)
{
    perror(what);
    exit(99);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
    (void)st;
    (void)flag;
    (void)f;
    return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

static void remove_all(void)
{
    if (getpid() != owner)
        return; /* a child that leaves by exit() */
    for (int i = 0; i < n_dirs; i++) {
        (void)nftw(dirs[i], remove_one, 16, FTW_DEPTH | FTW_PHYS);
        free(dirs[i]);
    }
}

void test_tmpdir_done(const char *dir)
{
    for (int i = 0; i < n_dirs; i++) {
        if (dirs[i] != dir)
            continue;
        (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        free(dirs[i]);
        dirs[i] = dirs[--n_dirs];
        return;
    }
}

const char *test_tmpdir(void)
{
    const char *base = getenv("TMPDIR");
    char path[512];
    snprintf(path, sizeof path, "%s/knell-test.XXXXXX", base && *base ? base : "/tmp");
    if (n_dirs == MAX_DIRS || !mkdtemp(path))
        die(path);
    if (!owner) {
        owner = getpid();
        atexit(remove_all);
    }
    dirs[n_dirs] = strdup(path);
    if (!dirs[n_dirs])
        die("strdup");
    return dirs[n_dirs++];
}

void test_write_file(
    const char *dir, const char *file, const void *bytes, unsigned long n)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir, file);
    for (char *p = path + 1; *p; p++) {
        if (*p == '/') {
            *p = 0;
            if (mkdir(path, 0700) < 0 && errno != EEXIST)
                die(path);
            *p = '/';
        }
    }
    FILE *f = fopen(path, "wb");
    if (!f || (n && fwrite(bytes, 1, n, f) != n) || fclose(f))
        die(path);
}

int test_count_files(const char *dir, const char *sub)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir, sub);
    DIR *d = opendir(path);
    if (!d)
        return -1;
    int n = 0;
    for (const struct dirent *e; (e = readdir(d));)
        n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
    closedir(d);
    return n;
}
