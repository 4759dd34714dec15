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

TEST_MAIN(TEST(a_plugin_may_capture_while_it_is_loaded))
