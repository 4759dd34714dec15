#include "test.h"
#include "tmpdir.h"

#include <errno.h>
#include <fcntl.h>
#include <knell/knell.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
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
    TEST(privileged_programs_have_to_ask))
