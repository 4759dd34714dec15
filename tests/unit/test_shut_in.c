/* What a command can still do once it has shut itself in, tried in a child. */
#include "uploader/inspect/shut_in.h"

#include "test.h"
#include "tmpdir.h"
#include "uploader/inspect/commands.h"
#include "uploader/worker/sandbox_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef KNELL_INSTRUMENTED
enum { IS_INSTRUMENTED = 1 };
#else
enum { IS_INSTRUMENTED = 0 };
#endif

struct trial {
    struct session s;
    struct store t;
    char *spool, *output;
};

static char *in(const char *dir, const char *name)
{
    char *path;
    return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

static void begin(struct trial *x)
{
    struct spool *made;
    struct options o = {.config = "/dev/null", .last = -1};
    *x = (struct trial){
        .spool = in(test_tmpdir(), "spool"), .output = in(test_tmpdir(), "page.html")};
    o.spool = x->spool;
    o.output = x->output;
    CHECK_INT(spool_open(x->spool, true, &made), 0);
    spool_close(made);
    session_init(&x->s, &o, 0);
    CHECK_INT(store_open(&x->s, &x->t), 0);
}

static void end(struct trial *x)
{
    store_close(&x->t);
    CHECK_INT(session_done(&x->s), EXIT_OK);
    free(x->spool);
    free(x->output);
}

static bool can_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd >= 0)
        (void)close(fd);
    return fd >= 0;
}

/* Returns 0, or the number of the first thing that is not as it should be. */
static int try_calls(struct trial *x)
{
    int out;
    shut_in(&x->s, &x->t);
    if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || socket(AF_UNIX, SOCK_STREAM, 0) >= 0)
        return 1;
    if (execl("/bin/true", "true", NULL) == 0 || errno != EPERM)
        return 2;
    if (kill(getppid(), 0) == 0)
        return 3;
    if (fork() >= 0)
        return 4;
    /* A pager is waited for. */
    return waitpid(-1, &out, WNOHANG) < 0 && errno == ECHILD ? 0 : 5;
}

static int try_files(struct trial *x)
{
    shut_in(&x->s, &x->t);
    if (!can_open("/etc/passwd", O_RDONLY) || !can_open("/bin/sh", O_RDONLY))
        return 1;
    if (can_open("/etc/shadow", O_RDONLY) || can_open("/proc/1/environ", O_RDONLY) ||
        can_open("/proc/self/mem", O_RDWR))
        return 2;
    if (can_open("/bin/sh", O_WRONLY) ||
        can_open("/var/tmp/knell-test", O_RDWR | O_CREAT))
        return 3;
    if (openat(x->t.spools[0].spool->fd, "index", O_WRONLY | O_CREAT, 0600) < 0)
        return 4;
    return can_open(x->output, O_WRONLY | O_CREAT) ? 0 : 5;
}

static int try_owner(struct trial *x)
{
    enum { NOBODY = 65534 };
    store_close(&x->t);
    if (chown(x->spool, NOBODY, NOBODY) < 0 || store_open(&x->s, &x->t))
        return 1;
    x->s.options.output = "-";
    shut_in(&x->s, &x->t);
    if (getuid() != NOBODY || geteuid() != NOBODY || getegid() != NOBODY)
        return 2;
    return setuid(0) == 0 ? 3 : 0;
}

/* A file with a report's name in new/, and one that calls itself a bundle. */
static void put_garbage(const struct trial *x)
{
    struct spool_name n = {.time_ms = 1000, .signo = 11, .event_id = {1}};
    char file[KNELL_SPOOL_NAME_BYTES + 1];
    CLEANUP(free_p) char *path = NULL;
    spool_name_format(&n, file);
    if (asprintf(&path, KNELL_SPOOL_NEW "/%s", file) < 0)
        abort();
    test_write_file(x->spool, path, "MDMPgarbage", 11);
    test_write_file(x->spool, "bundle.tar", "garbage", 7);
    /* What has no business there must be got rid of as well. */
    const int fresh = x->t.spools[0].spool->state_fd[SPOOL_NEW];
    if (symlinkat("/etc/shadow", fresh, "link") < 0 ||
        mkfifoat(fresh, "fifo", 0600) < 0 || mkdirat(fresh, "folder", 0700) < 0)
        abort();
}

/* A command that has looked at a report can do no more than that. Returns as above. */
static int try_command(struct trial *x, int (*run)(struct session *), enum command_id id)
{
    char *bundle = in(x->spool, "bundle.tar");
    put_garbage(x);
    store_close(&x->t);
    if (!freopen("/dev/null", "we", stderr) || !freopen("/dev/null", "we", stdout))
        return 1;
    x->s.options.command = id;
    if (id == COMMAND_IMPORT) {
        x->s.options.arguments = &bundle;
        x->s.options.n_arguments = 1;
    }
    if (id != COMMAND_REPORT && id != COMMAND_EXPORT)
        x->s.options.output = NULL;
    (void)run(&x->s);
    free(bundle);
    return socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM ? 0 : 2;
}

#define TRY(command, id)                                                                 \
    static int try_##command(struct trial *x)                                            \
    {                                                                                    \
        return try_command(x, command_##command, id);                                    \
    }
TRY(list, COMMAND_LIST)
TRY(show, COMMAND_SHOW)
TRY(top, COMMAND_TOP)
TRY(log, COMMAND_LOG)
TRY(verify, COMMAND_VERIFY)
TRY(report, COMMAND_REPORT)
TRY(export, COMMAND_EXPORT)
TRY(import, COMMAND_IMPORT)
TRY(dump, COMMAND_DUMP)
TRY(clean, COMMAND_CLEAN)
TRY(move, COMMAND_HOLD)

static int try_hold(struct trial *x)
{
    x->s.options.last = 9;
    int failed = try_move(x);
    return failed ? failed : test_count_files(x->spool, "hold") == 1 ? 0 : 3;
}

static int try_as_sent(struct trial *x)
{
    x->s.options.as_sent = true;
    return try_show(x);
}

static int try_repair(struct trial *x)
{
    x->s.options.repair = true;
    int failed = try_verify(x);
    return failed ? failed : test_count_files(x->spool, "new") == 0 ? 0 : 3;
}

static void in_child(int (*run)(struct trial *))
{
    struct trial x;
    begin(&x);
    int status = -1;
    pid_t pid = fork();
    if (!pid)
        _exit(run(&x));
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    end(&x);
}

static void nothing_is_started_or_reached(void)
{
    if (IS_INSTRUMENTED)
        test_skip("a sanitizer's own work is not shut in");
    else
        in_child(try_calls);
}

static void each_command_that_reads_reports_is_shut_in(void)
{
    int (*const commands[])(struct trial *) = {try_list, try_show, try_as_sent, try_top,
        try_log, try_verify, try_repair, try_report, try_export, try_import, try_dump,
        try_clean, try_hold};
    if (IS_INSTRUMENTED)
        test_skip("a sanitizer's own work is not shut in");
    for (size_t i = 0; !IS_INSTRUMENTED && i < sizeof commands / sizeof *commands; i++)
        in_child(commands[i]);
}

static void few_files_are_opened(void)
{
    const struct sandbox_files none = {0};
    int rules = sandbox_files_new(&none);
    if (rules > 0)
        (void)close(rules);
    if (IS_INSTRUMENTED || rules == -EOPNOTSUPP)
        test_skip("this kernel has no Landlock, or this is an instrumented build");
    else
        in_child(try_files);
}

static void root_becomes_the_owner(void)
{
    if (IS_INSTRUMENTED || geteuid() != 0)
        test_skip("needs root, and no sanitizer");
    else
        in_child(try_owner);
}

TEST_MAIN(TEST(root_becomes_the_owner), TEST(nothing_is_started_or_reached),
    TEST(few_files_are_opened), TEST(each_command_that_reads_reports_is_shut_in))
