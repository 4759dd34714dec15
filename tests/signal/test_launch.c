/* What starting the uploader must not do to the daemon. */
#include "crash/nudge.h"
#include "test.h"
#include "tmpdir.h"

#include <dlfcn.h>
#include <errno.h>
#include <knell/knell.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void start(const char *uploader)
{
    char spool[300];
    struct knell_options o = KNELL_OPTIONS_INIT;
    (void)snprintf(spool, sizeof spool, "%s/spool", test_tmpdir());
    o.app = "test_launch";
    o.spool_dir = spool;
    o.dsn = "file:///nonexistent";
    o.uploader = uploader;
    o.capture_burst = 10000;
    CHECK_INT(knell_start(&o), 0);
}

static bool over;

static void capture(void)
{
    struct knell_error e = KNELL_ERROR_INIT;
    kn_nudge_fork_child(); /* due at once, not in a minute */
    (void)knell_capture_error(&e);
}

static void *capture_all_the_time(void *unused)
{
    while (!__atomic_load_n(&over, __ATOMIC_RELAXED))
        capture();
    return unused;
}

/* Its constructor runs while the loader's lock is held. */
static void a_plugin_may_capture_while_it_is_loaded(void)
{
    pthread_t t;
    char at[32];
    if (!access(BINDIR "/knell-upload", X_OK)) {
        test_skip("the one that is installed would be started, again and again");
        return;
    }
    (void)unsetenv("PATH");
    (void)snprintf(at, sizeof at, "%llx", (unsigned long long)(uintptr_t)capture);
    start(NULL);
    (void)setenv("VICTIM_ON_LOAD", at, 1);
    (void)alarm(60); /* rather than for ever */
    CHECK(!pthread_create(&t, NULL, capture_all_the_time, NULL));
    for (int i = 0; i < 300; i++) {
        void *plugin = dlopen(PLUGIN, RTLD_NOW | RTLD_LOCAL);
        if (!CHECK(plugin))
            break;
        (void)dlclose(plugin);
    }
    __atomic_store_n(&over, true, __ATOMIC_RELAXED);
    CHECK(!pthread_join(t, NULL));
    (void)alarm(0);
    (void)unsetenv("VICTIM_ON_LOAD");
    knell_stop();
}

static int count_children(void)
{
    static char pids[4096];
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(pids, 1, sizeof pids - 1, f) : 0;
    if (f)
        (void)fclose(f);
    int n_children = 0;
    for (size_t i = 0; i < n; i++)
        n_children += pids[i] == ' ';
    return n_children;
}

/* An uploader becomes its child, as in a container, and leaves no zombie. */
static void init_collects_what_it_started(void)
{
    const struct timespec a_while = {.tv_nsec = 50000000};
    pid_t own = fork();
    if (!own)
        _exit(7);
    CHECK(!prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
    start("/bin/true");
    int i = 0;
    for (; i < 10 || (i < 200 && count_children() > 1 + 1); i++) {
        capture();
        (void)nanosleep(&a_while, NULL);
    }
    CHECK(i < 200);
    for (i = 0; i < 200 && count_children() > 1; i++) {
        (void)nanosleep(&a_while, NULL);
        knell_stop();
        start("/bin/true"); /* not due */
    }
    CHECK(i < 200);
    knell_stop();
    int status = -1;
    CHECK(waitpid(own, &status, 0) == own && WEXITSTATUS(status) == 7);
    CHECK(!prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0));
}

TEST_MAIN(
    TEST(init_collects_what_it_started), TEST(a_plugin_may_capture_while_it_is_loaded))
