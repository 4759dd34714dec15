#include "uploader/worker/server.h"

#include "uploader/worker/job.h"
#include "uploader/worker/sandbox_files.h"
#include "uploader/worker/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct server {
    struct config_set set;
    struct worker_settings *settings;
    struct sandbox_limits limits;
};

bool worker_server_keeps(const char *variable)
{
    /* An entry that ends in '=' is a whole name. The last ones are for those who look
     * into knell itself. */
    static const char *const kept[] = {
        "PATH=", "HOME=", "USER=", "LOGNAME=", "SHELL=", "LANG=", "LANGUAGE=", "LC_",
        "TZ=", "TMPDIR=", "XDG_", "LD_LIBRARY_PATH=", "LD_PRELOAD=", "MALLOC_",
        "ASAN_OPTIONS=", "LSAN_OPTIONS=", "UBSAN_OPTIONS=", "TSAN_OPTIONS=", "GCOV_",
        "LLVM_PROFILE_FILE="};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        if (!strncmp(variable, kept[i], strlen(kept[i])))
            return true;
    }
    return false;
}

/* @ret  malloc'd; its strings are ours */
static int kept_environment(char ***ret)
{
    size_t n = 0, k = 0;
    while (environ && environ[n])
        n++;
    char **out = calloc(n + 1, sizeof *out);
    if (!out)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        if (worker_server_keeps(environ[i]))
            out[k++] = environ[i];
    }
    *ret = out;
    return 0;
}

static int spawn(int socket, char **env, pid_t *ret)
{
    static char name[] = "knell-upload", argument[] = WORKER_SERVER_ARGUMENT;
    char *argv[] = {name, argument, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t all, none;
    (void)sigfillset(&all);
    (void)sigemptyset(&none);
    if (posix_spawn_file_actions_init(&files) != 0)
        return -ENOMEM;
    if (posix_spawnattr_init(&how) != 0) {
        (void)posix_spawn_file_actions_destroy(&files);
        return -ENOMEM;
    }
    int r = posix_spawn_file_actions_adddup2(&files, socket, WORKER_SERVER_FD);
    if (!r)
        r = posix_spawn_file_actions_addclosefrom_np(&files, WORKER_SERVER_FD + 1);
    if (!r)
        r = posix_spawnattr_setsigdefault(&how, &all);
    if (!r)
        r = posix_spawnattr_setsigmask(&how, &none);
    if (!r)
        r = posix_spawnattr_setflags(
            &how, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    if (!r)
        r = posix_spawn(ret, "/proc/self/exe", &files, &how, argv, env);
    (void)posix_spawnattr_destroy(&how);
    (void)posix_spawn_file_actions_destroy(&files);
    return -r;
}

int worker_server_start(int *ret_socket)
{
    int ends[2];
    CLEANUP(free_p) char **env = NULL;
    int err = kept_environment(&env);
    if (err)
        return err;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    /* adddup2() of a number onto itself keeps it open; onto a lower one, too. */
    pid_t pid = -1;
    err = spawn(ends[1], env, &pid);
    (void)close(ends[1]);
    if (err) {
        (void)close(ends[0]);
        return err;
    }
    *ret_socket = ends[0];
    return (int)pid;
}

static int set_up(struct server *s)
{
    char note[256]; /* the other process has told of it */
    s->set.origins = NULL;
    int err = job_receive_settings(WORKER_SERVER_FD, &s->set.values);
    if (!err)
        err = worker_settings_new(&s->set.values, &s->settings, note, sizeof note);
    if (err)
        return err;
    s->limits = worker_settings_limits(s->settings);
    const char *readable[WORKER_MAX_FOLDERS + 1];
    const char *writable[WORKER_MAX_WRITABLE + 1];
    const struct sandbox_files files = {.readable = readable, .writable = writable};
    worker_settings_files(s->settings, readable, writable);
    int rules = sandbox_files_new(&files);
    s->limits.files = rules > 0 ? rules : 0;
    return rules < 0 && rules != -EOPNOTSUPP ? rules : 0;
}

static int work(struct server *s, struct job_request *q, int report, int answer)
{
    struct worker_end end = {0};
    struct worker_child *w = NULL;
    struct stat st;
    if (fstat(report, &st) < 0 || (uint64_t)st.st_size != q->n_report)
        return -EBADMSG;
    size_t n = (size_t)q->n_report,
           n_mapped = n ? n : 1; /* an empty one is a report, too */
    void *bytes = mmap(NULL, n_mapped, PROT_READ, MAP_PRIVATE, report, 0);
    if (bytes == MAP_FAILED)
        return -errno;
    worker_settings_apply(s->settings, &q->options);
    q->options.chore = q->is_chore ? &q->chore : NULL;
    end.error = worker_child_start(bytes, n, &q->options, &s->limits, answer, &w);
    (void)munmap(bytes, n_mapped);
    if (!end.error && worker_child_wait(w, WORKER_SERVER_FD, &end) == -ECANCELED) {
        worker_child_cancel(w);
        return -ENODATA;
    }
    worker_child_free(w);
    return job_send_end(WORKER_SERVER_FD, &end);
}

int worker_server_main(void)
{
    struct server s = {0};
    struct job_request q;
    /* Should the one we work for die, so do we, and with us the child. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGPIPE, SIG_IGN);
    int err = set_up(&s);
    while (!err) {
        CLEANUP(close_p) int report = -1;
        CLEANUP(close_p) int answer = -1;
        err = job_receive(WORKER_SERVER_FD, &q, &report, &answer);
        if (!err)
            err = work(&s, &q, report, answer);
    }
    worker_settings_free(s.settings);
    config_done(&s.set);
    if (s.limits.files > 0)
        (void)close(s.limits.files);
    return err == -ENODATA ? 0 : 1;
}
