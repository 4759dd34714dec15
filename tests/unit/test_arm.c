#include "test.h"
#include "tmpdir.h"

#include <errno.h>
#include <fcntl.h>
#include <knell/knell.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int count_fds(void)
{
    int n = 0;
    for (int fd = 0; fd < 2048; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static int start(const char *spool, enum knell_switch allow_setuid)
{
    struct knell_options o = KNELL_OPTIONS_INIT;
    o.app = "test_arm";
    o.spool_dir = spool;
    o.start_uploader = KNELL_OFF;
    o.allow_setuid = allow_setuid;
    return knell_start(&o);
}

static void leaves_nothing_behind(void)
{
    char spool[300];
    struct sigaction before, now;
    (void)snprintf(spool, sizeof spool, "%s/spool", test_tmpdir());
    sigaction(SIGSEGV, NULL, &before);
    CHECK_INT(start(spool, KNELL_DEFAULT), 0);
#ifndef __SANITIZE_THREAD__ /* its sigaction(2) keeps a table that raw calls go past */
    sigaction(SIGSEGV, NULL, &now);
    CHECK(now.sa_sigaction != before.sa_sigaction);
#endif
    CHECK_INT(start(spool, KNELL_DEFAULT), -EALREADY);
    CHECK_INT(test_count_files(spool, "live"), 2);
    knell_stop();
    int n_fds = count_fds();
    for (int i = 0; i < 20; i++) {
        CHECK_INT(start(spool, KNELL_DEFAULT), 0);
        knell_stop();
    }
    CHECK_INT(count_fds(), n_fds);
    CHECK_INT(test_count_files(spool, "live"), 0);
#ifndef __SANITIZE_THREAD__ /* as above */
    sigaction(SIGSEGV, NULL, &now);
    CHECK(now.sa_sigaction == before.sa_sigaction);
#endif
    knell_stop();
}

static void a_later_handler_is_kept(void)
{
    char spool[300];
    struct sigaction now;
    (void)snprintf(spool, sizeof spool, "%s/spool", test_tmpdir());
    CHECK_INT(start(spool, KNELL_DEFAULT), 0);
    signal(SIGFPE, SIG_IGN);
    knell_stop();
    sigaction(SIGFPE, NULL, &now);
    CHECK(now.sa_handler == SIG_IGN);
    signal(SIGFPE, SIG_DFL);
}

static void bad_spools_are_said(void)
{
    char spool[300], file[320];
    const char *dir = test_tmpdir();
    int n_fds = count_fds();
    CHECK(start("/proc/no/such", KNELL_DEFAULT) < 0);
    (void)snprintf(spool, sizeof spool, "%s/open", dir);
    CHECK(!mkdir(spool, 0700) && !chmod(spool, 0777));
    CHECK_INT(start(spool, KNELL_DEFAULT), -EPERM);
    test_write_file(dir, "file", "x", 1);
    (void)snprintf(file, sizeof file, "%s/file", dir);
    CHECK_INT(start(file, KNELL_DEFAULT), -ENOTDIR);
    CHECK_INT(count_fds(), n_fds);
}

/* From here on this process learns of no file what it is. */
static int lose_stat(void)
{
    const struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_newfstatat, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fstat, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EIO),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    const struct sock_fprog program = {
        .len = sizeof code / sizeof *code, .filter = (void *)(uintptr_t)code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
                   prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)
               ? -errno
               : 0;
}

/* What the disk said is what the program hears, and no descriptor is lost with it. */
static void a_broken_disk_is_said(void)
{
    char spool[300];
    int status = -1;
    (void)snprintf(spool, sizeof spool, "%s/spool", test_tmpdir());
    pid_t pid = fork();
    if (!pid) {
        int n_fds = count_fds();
        if (lose_stat())
            _exit(77);
        int r = start(spool, KNELL_DEFAULT);
        _exit(r != -EIO ? 1 : count_fds() != n_fds ? 2 : 0);
    }
    CHECK_INT(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        test_skip("no filters here");
    else
        CHECK_INT(status, 0);
}

static void privileged_programs_have_to_ask(void)
{
    char spool[300];
    (void)snprintf(spool, sizeof spool, "%s/spool", test_tmpdir());
    prctl(PR_SET_DUMPABLE, 0);
    CHECK_INT(start(spool, KNELL_DEFAULT), -EPERM);
    CHECK_INT(start(spool, KNELL_ON), 0);
    knell_stop();
    prctl(PR_SET_DUMPABLE, 1);
}

static void calls_before_start_do_nothing(void)
{
    knell_stop();
    CHECK_INT(knell_thread_enter(), 0);
    stack_t s;
    CHECK(!sigaltstack(NULL, &s) && s.ss_size >= 65536 && !(s.ss_flags & SS_DISABLE));
    CHECK_INT(knell_thread_enter(), 0); /* keeps what is there */
    knell_thread_leave();
    CHECK(!sigaltstack(NULL, &s) && s.ss_flags & SS_DISABLE);
    knell_thread_leave();
}

static void a_smaller_signal_stack_comes_back(void)
{
    static char own[16384];
    const stack_t mine = {.ss_sp = own, .ss_size = sizeof own};
    const stack_t none = {.ss_flags = SS_DISABLE};
    stack_t now;
    CHECK_INT(sigaltstack(&mine, NULL), 0);
    CHECK_INT(knell_thread_enter(), 0);
    CHECK(!sigaltstack(NULL, &now) && now.ss_sp != own);
    knell_thread_leave();
    CHECK(!sigaltstack(NULL, &now) && now.ss_sp == own && !(now.ss_flags & SS_DISABLE));
    CHECK_INT(sigaltstack(&none, NULL), 0);
}

static void a_spool_is_private_however_it_is_written(void)
{
    char spool[300];
    struct stat st;
    (void)snprintf(spool, sizeof spool, "%s/parent/spool//", test_tmpdir());
    CHECK_INT(start(spool, KNELL_DEFAULT), 0);
    knell_stop();
    CHECK(!stat(spool, &st) && (st.st_mode & 07777) == 0700);
}

TEST_MAIN(TEST(a_smaller_signal_stack_comes_back),
    TEST(a_spool_is_private_however_it_is_written), TEST(calls_before_start_do_nothing),
    TEST(leaves_nothing_behind), TEST(a_later_handler_is_kept), TEST(bad_spools_are_said),
    TEST(a_broken_disk_is_said), TEST(privileged_programs_have_to_ask))
