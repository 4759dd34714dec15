/*
 * Handled errors of a daemon that lives on: they arrive while it runs, by an uploader
 * that it starts for the first and that stays for the next ones.
 */
#include "daemon.h"
#include "test.h"
#include "tmpdir.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TRIES = 1200, STEP_US = 25000, BUSY = 8 };

static char dir[256], spool[300], out[300], script[300], started[300];
static char spool_env[400], dsn_env[400], uploader_env[400];

/* An uploader that leaves its process id in started/ before it becomes knell-upload. */
static void new_place(void)
{
    char text[1200];
    (void)snprintf(dir, sizeof dir, "%s", test_tmpdir());
    (void)snprintf(spool, sizeof spool, "%s/spool", dir);
    (void)snprintf(out, sizeof out, "%s/out", dir);
    (void)snprintf(started, sizeof started, "%s/started", dir);
    (void)snprintf(script, sizeof script, "%s/uploader", dir);
    int n = snprintf(text, sizeof text,
        "#!/bin/sh\n: >%s/$$.part && mv %s/$$.part %s/$$\nexec %s \"$@\"\n", started,
        started, started, UPLOADER);
    (void)mkdir(out, 0700);
    (void)mkdir(started, 0700);
    test_write_file(dir, "uploader", text, (unsigned long)n);
    (void)chmod(script, 0755);
    (void)snprintf(spool_env, sizeof spool_env, "KNELL_SPOOL=%s", spool);
    (void)snprintf(dsn_env, sizeof dsn_env, "KNELL_DSN=file://%s", out);
    (void)snprintf(uploader_env, sizeof uploader_env, "KNELL_UPLOADER=%s", script);
}

static int n_in(const char *folder)
{
    int n = 0;
    DIR *d = opendir(folder);
    for (const struct dirent *e; d && (e = readdir(d));)
        n += e->d_name[0] != '.' && !strstr(e->d_name, ".part");
    if (d)
        (void)closedir(d);
    return n;
}

static bool wait_for(const char *folder, int n)
{
    for (int i = 0; i < TRIES; i++) {
        if (n_in(folder) >= n)
            return true;
        (void)usleep(STEP_US);
    }
    return false;
}

/* The processes in started/ that run still. */
static int n_running(bool end_them)
{
    int n = 0;
    DIR *d = opendir(started);
    for (const struct dirent *e; d && (e = readdir(d));) {
        pid_t pid = (pid_t)atoi(e->d_name);
        if (pid > 0 && !kill(pid, end_them ? SIGTERM : 0))
            n++;
    }
    if (d)
        (void)closedir(d);
    return n;
}

static void end_uploaders(void)
{
    for (int i = 0; i < TRIES && n_running(true); i++)
        (void)usleep(STEP_US);
    CHECK_INT(n_running(false), 0);
}

static void they_arrive_while_it_runs(void)
{
    char answer[200];
    new_place();
    const char *const env[] = {
        spool_env, dsn_env, uploader_env, "HOME=/nonexistent", NULL};
    struct daemon d = daemon_start(env);
    CHECK_INT(n_in(started), 0); /* nothing to send: nobody is started */
    CHECK(daemon_ask(&d, "/db", answer, sizeof answer));
    CHECK(wait_for(out, 1));
    CHECK_INT(n_in(started), 1);
    /* The next ones are taken by the same process, as they come. */
    for (int i = 2; i <= 4; i++) {
        CHECK(daemon_ask(&d, "/db", answer, sizeof answer));
        CHECK(wait_for(out, i));
    }
    CHECK_INT(n_in(started), 1);
    CHECK_INT(n_running(false), 1);
    /* It is nobody's child, so the daemon cannot find it by waiting. */
    CHECK_INT(WEXITSTATUS(daemon_stop(&d)), 0);
    end_uploaders();
    CHECK_INT(n_in(out), 4);
}

static void nobody_is_started_where_nothing_shall_be_sent(void)
{
    static const char *const without[] = {"KNELL_DSN=", "KNELL_START_UPLOADER=0"};
    for (size_t i = 0; i < 2; i++) {
        char answer[200], fresh[400];
        new_place();
        const char *const env[] = {spool_env, i ? dsn_env : without[0], uploader_env,
            "HOME=/nonexistent", i ? without[1] : NULL, NULL};
        struct daemon d = daemon_start(env);
        CHECK(daemon_ask(&d, "/db", answer, sizeof answer));
        CHECK_INT(WEXITSTATUS(daemon_stop(&d)), 0);
        (void)snprintf(fresh, sizeof fresh, "%s/new", spool);
        CHECK_INT(n_in(fresh), 1);
        CHECK_INT(n_in(started), 0);
    }
}

/* knell-upload --stay, without a daemon. */
static pid_t stay(const char *seconds)
{
    char option[32];
    (void)snprintf(option, sizeof option, "--stay=%s", seconds);
    pid_t pid = fork();
    if (!pid) {
        const char *const argv[] = {UPLOADER, option, NULL};
        const char *const env[] = {spool_env, dsn_env, "HOME=/nonexistent", NULL};
        (void)execve(argv[0], (char *const *)argv, (char *const *)env);
        _exit(127);
    }
    return pid;
}

/* A report as a daemon leaves it, made by one that sends nothing. */
static void make_report(void)
{
    char answer[200];
    const char *const env[] = {spool_env, "KNELL_DSN=", NULL};
    struct daemon d = daemon_start(env);
    CHECK(daemon_ask(&d, "/db", answer, sizeof answer));
    CHECK_INT(WEXITSTATUS(daemon_stop(&d)), 0);
}

/* Its exit status; -1: it does not end, or was killed. */
static int status_of(pid_t pid)
{
    int status;
    for (int i = 0; i < TRIES; i++) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        (void)usleep(STEP_US);
    }
    return -1;
}

/* Nothing left to do, or its last look met another one at work. */
static bool ended(pid_t pid)
{
    int status = status_of(pid);
    return CHECK(status == 0 || status == BUSY);
}

static void of_several_that_stay_one_remains(void)
{
    int status;
    new_place();
    make_report();
    pid_t first = stay("600");
    CHECK(wait_for(out, 1));
    for (int i = 2; i <= 4; i++) {
        make_report();
        CHECK(wait_for(out, i)); /* by the one that is there */
        CHECK_INT(status_of(stay("600")), BUSY);
    }
    CHECK_INT(waitpid(first, &status, WNOHANG), 0);
    CHECK(!kill(first, SIGTERM));
    CHECK(ended(first));
}

static void it_leaves_when_its_time_is_over(void)
{
    new_place();
    make_report();
    pid_t pid = stay("1");
    CHECK(ended(pid));
    CHECK_INT(n_in(out), 1);
}

static void it_leaves_when_the_spool_goes(void)
{
    char command[800];
    new_place();
    make_report();
    pid_t pid = stay("600");
    int status;
    CHECK(wait_for(out, 1));
    /* Once more when the uploader writes a file into a folder that is being removed. */
    (void)snprintf(
        command, sizeof command, "rm -rf '%s' 2>&- || rm -rf '%s'", spool, spool);
    CHECK_INT(system(command), 0);
    bool over = false;
    for (int i = 0; i < TRIES && !over; i++) {
        over = waitpid(pid, &status, WNOHANG) == pid;
        (void)usleep(over ? 0 : STEP_US);
    }
    if (!CHECK(over))
        (void)kill(pid, SIGKILL);
}

/* Killed at any instant it leaves the lock; the next one takes what came meanwhile. */
static void a_killed_one_is_replaced(void)
{
    int status;
    new_place();
    make_report();
    pid_t pid = stay("600");
    CHECK(wait_for(out, 1));
    CHECK(!kill(pid, SIGKILL) && waitpid(pid, &status, 0) == pid);
    make_report();
    pid = stay("600");
    CHECK(wait_for(out, 2));
    CHECK(!kill(pid, SIGTERM));
    CHECK(ended(pid));
}

/* One that is killed puts nothing into new/. */
static void a_killed_daemon_is_seen(void)
{
    new_place();
    make_report();
    const char *const env[] = {spool_env, "KNELL_DSN=", NULL};
    struct daemon d = daemon_start(env);
    pid_t pid = stay("600");
    int status;
    CHECK(wait_for(out, 1));
    CHECK(!kill(d.pid, SIGKILL) && waitpid(d.pid, &status, 0) == d.pid);
    CHECK(wait_for(out, 2));
    CHECK(!kill(pid, SIGTERM));
    CHECK(ended(pid));
}

TEST_MAIN(TEST(they_arrive_while_it_runs),
    TEST(nobody_is_started_where_nothing_shall_be_sent),
    TEST(of_several_that_stay_one_remains), TEST(it_leaves_when_its_time_is_over),
    TEST(it_leaves_when_the_spool_goes), TEST(a_killed_one_is_replaced),
    TEST(a_killed_daemon_is_seen))
