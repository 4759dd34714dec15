#include "uploader/inspect/programs.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static bool can_run(const char *path)
{
    return access(path, X_OK) == 0;
}

static int beside(const char *name, char **ret)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        return -ENOENT;
    self[n] = 0;
    char *slash = strrchr(self, '/');
    if (!slash)
        return -ENOENT;
    *slash = 0;
    /* A build tree has them in the same or the parent's folder. */
    static const char *const places[] = {"", "/..", "/../bin"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char *path;
        if (asprintf(&path, "%s%s/%s", self, places[i], name) < 0)
            return -ENOMEM;
        if (can_run(path)) {
            *ret = path;
            return 0;
        }
        free(path);
    }
    return -ENOENT;
}

static int in_path(const char *name, char **ret)
{
    const char *p = getenv("PATH");
    if (!p)
        p = "/usr/local/bin:/usr/bin:/bin";
    while (*p) {
        size_t n = strcspn(p, ":");
        char *path;
        if (n && asprintf(&path, "%.*s/%s", (int)n, p, name) < 0)
            return -ENOMEM;
        if (n && can_run(path)) {
            *ret = path;
            return 0;
        }
        if (n)
            free(path);
        p += n + (p[n] == ':');
    }
    return -ENOENT;
}

int programs_find(const char *name, char **ret)
{
    if (strchr(name, '/')) {
        if (!can_run(name))
            return -errno;
        char *path = strdup(name);
        if (!path)
            return -ENOMEM;
        *ret = path;
        return 0;
    }
    int err = strncmp(name, "knell", 5) == 0 ? beside(name, ret) : -ENOENT;
    return err == -ENOENT ? in_path(name, ret) : err;
}

/* @keys  signals that the program shall have as they are by default; NULL: none */
static int run(
    const char *name, const char *const *argv, const sigset_t *keys, int *ret_status)
{
    CLEANUP(free_p) char *path = NULL;
    int err = programs_find(name, &path);
    if (err)
        return err;
    posix_spawnattr_t attributes;
    sigset_t reset;
    (void)sigemptyset(&reset);
    if (keys)
        reset = *keys;
    (void)sigaddset(&reset, SIGPIPE);
    if (posix_spawnattr_init(&attributes))
        return -ENOMEM;
    (void)posix_spawnattr_setsigdefault(&attributes, &reset);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    pid_t pid;
    /* posix_spawn() takes char *const[] for history's sake and changes nothing. */
    err = -posix_spawn(
        &pid, path, NULL, &attributes, (char *const *)(uintptr_t)argv, environ);
    (void)posix_spawnattr_destroy(&attributes);
    if (err)
        return err;
    while (waitpid(pid, ret_status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

int programs_run(const char *name, const char *const *argv, int *ret_status)
{
    return run(name, argv, NULL, ret_status);
}

int programs_run_at_terminal(const char *name, const char *const *argv, int *ret_status)
{
    static const int of_terminal[] = {SIGINT, SIGQUIT};
    enum { N = sizeof of_terminal / sizeof *of_terminal };
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction before[N];
    sigset_t keys;
    (void)sigemptyset(&keys);
    for (size_t i = 0; i < N; i++) {
        (void)sigaction(of_terminal[i], &ignore, &before[i]);
        /* Who was started with them ignored hands that on. */
        if (before[i].sa_handler != SIG_IGN)
            (void)sigaddset(&keys, of_terminal[i]);
    }
    int err = run(name, argv, &keys, ret_status);
    for (size_t i = 0; i < N; i++)
        (void)sigaction(of_terminal[i], &before[i], NULL);
    return err;
}
