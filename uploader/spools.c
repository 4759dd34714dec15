#include "uploader/spools.h"

#include "uploader/log.h"

#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <knell/spool.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { STATUS_UNREADABLE = 4 };

static int not_hidden(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

/* A folder without new/ is not a spool; one that we may not enter is not ours to judge.
 */
static bool is_spool(const char *path)
{
    char fresh[PATH_MAX];
    int n = snprintf(fresh, sizeof fresh, "%s/" KNELL_SPOOL_NEW, path);
    struct stat st;
    return n > 0 && (size_t)n < sizeof fresh && lstat(fresh, &st) == 0 &&
           S_ISDIR(st.st_mode);
}

static int below(
    const char *root, const volatile sig_atomic_t *stop, spools_work *work, void *ctx)
{
    struct dirent **names = NULL;
    int worst = 0, n = scandir(root, &names, not_hidden, alphasort);
    for (int i = 0; i < n; i++) {
        char path[PATH_MAX];
        int len = snprintf(path, sizeof path, "%s/%s", root, names[i]->d_name);
        free(names[i]);
        if (*stop || len < 0 || (size_t)len >= sizeof path || !is_spool(path))
            continue;
        int status = work(ctx, path);
        worst = status > worst ? status : worst;
    }
    free(names);
    return worst;
}

int spools_each(const volatile sig_atomic_t *stop, spools_work *work, void *ctx)
{
    char root[PATH_MAX];
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int worst = below(KNELL_SPOOL_SYSTEM_ROOT, stop, work, ctx), n = -1;
    if (state && *state == '/')
        n = snprintf(root, sizeof root, "%s/knell", state);
    else if (home && *home == '/')
        n = snprintf(root, sizeof root, "%s/.local/state/knell", home);
    if (n < 0 || (size_t)n >= sizeof root)
        return worst;
    int status = below(root, stop, work, ctx);
    return status > worst ? status : worst;
}

static _Noreturn void become(
    const struct stat *st, const char *path, spools_work *work, void *ctx)
{
    /* Groups first, while we may; and look that there is no way back. */
    if (setgroups(0, NULL) < 0 || setresgid(st->st_gid, st->st_gid, st->st_gid) < 0 ||
        setresuid(st->st_uid, st->st_uid, st->st_uid) < 0 || setuid(0) == 0) {
        log_line(LOG_LEVEL_ERROR, LOG_OTHER, NULL, "%s: cannot become its owner: %s",
            path, strerrordesc_np(errno));
        _exit(STATUS_UNREADABLE);
    }
    /* We hold root's keys still; where fs.suid_dumpable is 1 that user could read them.
     */
    (void)prctl(PR_SET_DUMPABLE, 0);
    int status = work(ctx, path);
    fflush(NULL);
    _exit(status);
}

int spools_as_owner(
    const char *path, const volatile sig_atomic_t *stop, spools_work *work, void *ctx)
{
    struct stat st;
    if (geteuid() != 0 || stat(path, &st) < 0 || st.st_uid == 0)
        return work(ctx, path);
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        log_line(LOG_LEVEL_ERROR, LOG_OTHER, NULL, "%s: no process for its owner: %s",
            path, strerrordesc_np(errno));
        return STATUS_UNREADABLE;
    }
    if (!pid)
        become(&st, path, work, ctx);
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return STATUS_UNREADABLE;
        if (*stop)
            (void)kill(pid, SIGTERM);
    }
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    log_line(LOG_LEVEL_ERROR, LOG_OTHER, NULL, "%s: its uploader was ended by signal %d",
        path, WTERMSIG(status));
    return STATUS_UNREADABLE;
}
