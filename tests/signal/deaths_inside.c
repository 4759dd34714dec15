/* Deaths inside the loader, the allocator, an unwinder and a profiler, with what they
 * hold. */
#include "victim.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#include <unwind.h>

#define NOINLINE __attribute__((noinline))

/* The plugin calls @f while it is loaded or unloaded. */
static void *load_plugin(const char *when, void (*f)(void))
{
    char value[32];
    (void)snprintf(value, sizeof value, "%p", (void *)f);
    if (setenv(when, value, 1))
        fail("setenv");
    void *plugin = dlopen(VICTIM_PLUGIN, RTLD_NOW);
    if (!plugin)
        fail(dlerror());
    return plugin;
}

static void in_dlopen(void)
{
    for (;;) /* another thread may have it loaded, or die when it loads it anew */
        (void)dlclose(load_plugin("VICTIM_ON_LOAD", null_write));
}

static void in_dlclose(void)
{
    (void)dlclose(load_plugin("VICTIM_ON_UNLOAD", null_write));
    for (;;)
        pause(); /* another thread has it still, and dies when it unloads it */
}

static void stay(void)
{
    pause();
}

static void *load_for_ever(void *arg)
{
    (void)load_plugin("VICTIM_ON_LOAD", stay);
    return arg;
}

static void *unload_for_ever(void *arg)
{
    (void)dlclose(load_plugin("VICTIM_ON_UNLOAD", stay));
    return arg;
}

static void during(void *(*other)(void *))
{
    pthread_t t;
    if (pthread_create(&t, NULL, other, NULL))
        fail("pthread_create");
    usleep(20000);
    null_write_deep();
}

static void during_dlopen(void)
{
    during(load_for_ever);
}

static void during_dlclose(void)
{
    during(unload_for_ever);
}

/* A fault in malloc(3) itself, which holds the lock of its arena: two free chunks of
 * different size in one bin, the pointers between them overwritten. */
static NOINLINE void in_malloc(void)
{
    enum { LARGE = 0x520, SMALLER = 0x500, LARGEST = 0x2000, HEADER = 16, N = 5 };
    struct free_chunk {
        void *fd, *bk, *fd_nextsize, *bk_nextsize;
    };
    static char *volatile p[N]; /* neighbours, so that none merges with a hole */
    for (int n = 0; n < N;) {
        const char *end = n > 0 ? p[n - 1] + (n == 4 ? SMALLER : LARGE) + HEADER : NULL;
        char *next = malloc(n == 3 ? SMALLER : LARGE);
        if (end && next != end)
            n = 0;
        p[n++] = next;
    }
    struct free_chunk *volatile large = (struct free_chunk *)p[1];
    free(p[1]);
    p[1] = malloc(LARGEST); /* puts it into the bin */
    large->bk_nextsize = (void *)8;
    free(p[3]);
    last_words((const void *)in_malloc);
    p[3] = malloc(LARGEST);
}

/* libunwind handed a cursor that leads nowhere. */
static NOINLINE void in_libunwind(void)
{
    void *library = dlopen("libunwind-" VICTIM_ARCH ".so.8", RTLD_NOW | RTLD_LOCAL);
    int (*step)(void *);
    void *symbol = library ? dlsym(library, "_U" VICTIM_ARCH "_step") : NULL;
    if (!symbol)
        cannot("libunwind");
    memcpy(&step, &symbol, sizeof step);
    static char cursor[4096];
    memset(cursor, 0x55, sizeof cursor);
    last_words((const void *)in_libunwind);
    (void)step(cursor);
}

static _Unwind_Reason_Code crash_while_walking(struct _Unwind_Context *c, void *depth)
{
    (void)c;
    if (++*(int *)depth == 3)
        null_write();
    return _URC_NO_REASON;
}

static void profile_and_crash(int signo)
{
    int depth = 0;
    (void)signo;
    (void)_Unwind_Backtrace(crash_while_walking, &depth);
}

/* One instruction, so that the profiler's signal meets the same one in every run. */
static void spin(void)
{
    for (;;)
        ;
}

static void in_profiler(void)
{
    const struct itimerval soon = {{0, 0}, {0, 1000}};
    signal(SIGPROF, profile_and_crash);
    setitimer(ITIMER_PROF, &soon, NULL);
    die_deep(50, spin);
}

/* With the last of many libraries that were loaded late among the callers. */
static void in_late_library(void)
{
    void *library = dlopen("./library299.so", RTLD_NOW | RTLD_NOLOAD);
    void (*calls)(void (*)(void));
    void *symbol = library ? dlsym(library, "plugin_calls") : NULL;
    if (!symbol)
        fail("library299.so");
    memcpy(&calls, &symbol, sizeof calls);
    calls(null_write_deep);
}

const struct named deaths_inside[] = {{"in_dlopen", in_dlopen},
    {"in_dlclose", in_dlclose}, {"during_dlopen", during_dlopen},
    {"during_dlclose", during_dlclose}, {"in_malloc", in_malloc},
    {"in_libunwind", in_libunwind}, {"in_profiler", in_profiler},
    {"in_late_library", in_late_library}, {NULL, NULL}};
