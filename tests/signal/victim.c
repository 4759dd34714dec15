#include "victim.h"

#include <errno.h>
#include <fcntl.h>
#include <knell/knell.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

bool with_knell = true;
#ifdef VICTIM_FAILPOINTS
extern const char *kn_failpoint_choice;
#endif

void fail(const char *what)
{
    perror(what);
    _exit(99);
}

void cannot(const char *what)
{
    fprintf(stderr, "%s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    _exit(VICTIM_CANNOT);
}

void last_words(const void *function)
{
    char line[96];
    int n = snprintf(
        line, sizeof line, "tid=%ld at=%p\n", (long)syscall(SYS_gettid), function);
    if (write(STDOUT_FILENO, line, (size_t)n) != n)
        fail("write");
}

static const struct named *find(const struct named *const *lists, const char *name)
{
    for (; *lists; lists++) {
        for (const struct named *one = *lists; one->name; one++) {
            if (!strcmp(one->name, name))
                return one;
        }
    }
    fprintf(stderr, "victim: no %s\n", name);
    _exit(98);
}

void wait_for_state(pid_t tid, char state)
{
    const char sought[] = {')', ' ', state, ' ', 0};
    char path[48], text[64];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)tid);
    for (int i = 0; i < 3000; i++) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
        if (fd >= 0)
            close(fd);
        text[n > 0 ? n : 0] = 0;
        if (strstr(text, sought))
            return;
        usleep(1000);
    }
}

static int n_idle;

static void *idle(void *arg)
{
    (void)arg;
    __atomic_add_fetch(&n_idle, 1, __ATOMIC_ACQ_REL);
    for (;;)
        pause();
    return NULL;
}

static void start_threads(int n)
{
    pthread_attr_t a;
    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, 128 * 1024);
    for (int i = 0; i < n; i++) {
        pthread_t t;
        if (pthread_create(&t, &a, idle, NULL))
            fail("pthread_create");
    }
    while (__atomic_load_n(&n_idle, __ATOMIC_ACQUIRE) < n)
        usleep(1000);
    usleep(3000); /* let the last ones reach pause(2) */
}

struct job {
    void (*f)(void);
    bool enter;
};

static void *run_job(void *arg)
{
    const struct job *j = (const struct job *)arg;
    if (j->enter && with_knell && knell_thread_enter())
        fail("knell_thread_enter");
    j->f();
    return NULL;
}

void in_thread(void (*f)(void), bool enter)
{
    struct job j = {f, enter};
    pthread_t t;
    if (pthread_create(&t, NULL, run_job, &j) || pthread_join(t, NULL))
        fail("pthread_create");
}

/* Before main(), with the arguments that it will get. */
__attribute__((constructor)) static void construct(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[argc - 1], "in_constructor"))
        null_write_deep();
}

static bool dies_in_destructor;

__attribute__((destructor)) static void destruct(void)
{
    if (dies_in_destructor)
        null_write_deep();
}

static void in_destructor(void)
{
    dies_in_destructor = true;
    exit(0);
}

static const struct named own_deaths[] = {{"in_destructor", in_destructor}, {NULL, NULL}};
static const struct named *const all_deaths[] = {
    deaths, deaths_inside, deaths_elsewhere, own_deaths, NULL};
static const struct named *const all_worlds[] = {
    worlds, worlds_around, worlds_threads, NULL};

int main(int argc, char **argv)
{
    const struct named *world[8];
    int n_worlds_chosen = 0, n_threads = 1, c;
    const char *deadline = getenv("VICTIM_DEADLINE_MS"); /* for slow machines */
    uint32_t deadline_ms = deadline ? (uint32_t)atoi(deadline) : 1500;
    while ((c = getopt(argc, argv, "ut:d:w:f:")) != -1) {
        if (c == 'u')
            with_knell = false;
        else if (c == 't')
            n_threads = atoi(optarg);
        else if (c == 'd')
            deadline_ms = (uint32_t)atoi(optarg);
        else if (c == 'w' && n_worlds_chosen < 8)
            world[n_worlds_chosen++] = find(all_worlds, optarg);
#ifdef VICTIM_FAILPOINTS
        else if (c == 'f')
            kn_failpoint_choice = optarg;
#endif
        else
            return 97;
    }
    if (optind + 1 != argc)
        return 97;
    const struct named *death = find(all_deaths, argv[optind]);
    /* Worlds named "before_..." are what the daemon did before it started knell. */
    for (int i = 0; i < n_worlds_chosen; i++) {
        if (!strncmp(world[i]->name, "before_", 7))
            world[i]->run();
    }
    if (with_knell) {
        struct knell_options o = KNELL_OPTIONS_INIT;
        o.app = "victim";
        o.release = "victim@1";
        o.deadline_ms = deadline_ms;
        o.max_threads = 1000;
        int r = knell_start(&o);
        if (r) {
            fprintf(stderr, "knell_start: %s\n", strerror(-r));
            return 96;
        }
    }
    start_threads(n_threads - 1);
    for (int i = 0; i < n_worlds_chosen; i++) {
        if (strncmp(world[i]->name, "before_", 7) != 0)
            world[i]->run();
    }
    death->run();
    if (with_knell)
        knell_stop();
    return 95;
}
