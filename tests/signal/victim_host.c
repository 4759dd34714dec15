/**
 * What programs do to knell's surroundings, knowingly or not: reset all their signals,
 * close and reuse descriptors, send signals while a report is written.
 *
 * usage: victim_host CASE
 */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <knell/knell.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of the library that is built for tests: where the handler waits, and where it is. */
extern const char *kn_failpoint_choice;
extern const char *volatile kn_failpoint_place;

static void say(const char *text)
{
    if (write(STDOUT_FILENO, text, strlen(text)) < 0)
        _exit(99);
}

static void start(void)
{
    struct knell_options o = KNELL_OPTIONS_INIT;
    o.start_uploader = KNELL_OFF;
    o.app = "victim_host";
    if (knell_start(&o))
        _exit(97);
}

static void *idle(void *arg)
{
    for (;;)
        pause();
    return arg;
}

static pthread_t in_thread(void *(*f)(void *))
{
    pthread_t t;
    if (pthread_create(&t, NULL, f, NULL))
        _exit(96);
    return t;
}

static void capture(int all_threads)
{
    struct knell_error e = KNELL_ERROR_INIT;
    e.type = "Trouble";
    e.all_threads = all_threads;
    if (!knell_capture_error(&e).text[0])
        say("not captured\n");
}

/* As daemon(7) asks for. */
static void resets_all_signals(void)
{
    start();
    (void)in_thread(idle);
    for (int i = 1; i < NSIG; i++)
        (void)signal(i, SIG_DFL);
    capture(1);
    say("alive\n");
    (void)knell_rearm();
    abort();
}

static volatile int n_heard;

static void hear(int signo)
{
    (void)signo;
    n_heard++;
}

/* A program that wants the real-time signals for itself, but started knell first. */
static void takes_all_real_time_signals(void)
{
    start();
    (void)in_thread(idle);
    for (int i = SIGRTMIN; i <= SIGRTMAX; i++)
        (void)signal(i, hear);
    capture(1);
    say(n_heard ? "heard\n" : "heard nothing\n");
    *(volatile int *)0x10 = 1;
}

static pthread_t first;

static void *aborts_the_first(void *arg)
{
    while (!kn_failpoint_place || strcmp(kn_failpoint_place, "signal") != 0)
        usleep(1000);
    (void)pthread_kill(first, SIGABRT);
    return arg;
}

/* A thread is told to abort while it writes a report of an error. */
static void told_to_abort(void)
{
    start();
    first = pthread_self();
    kn_failpoint_choice = "signal:wait";
    (void)in_thread(aborts_the_first);
    capture(0);
    say("alive\n");
}

/* And while it writes that of its crash. */
static void told_to_abort_as_it_dies(void)
{
    start();
    first = pthread_self();
    kn_failpoint_choice = "signal:wait";
    (void)in_thread(aborts_the_first);
    *(volatile int *)0x10 = 1;
}

static void *captures_all(void *arg)
{
    capture(1);
    return arg;
}

/* Another process, but with this memory: no report stops it. */
static int aborts_its_parent(void *arg)
{
    while (!kn_failpoint_place || strcmp(kn_failpoint_place, "threads") != 0)
        sched_yield();
    (void)kill(*(const pid_t *)arg, SIGABRT);
    return 0;
}

/* By kill(2), as a service manager does, while only the writer can hear it, which is not
 * the main thread. */
static void told_to_abort_from_outside(void)
{
    static char stack[65536] __attribute__((aligned(16)));
    static pid_t pid;
    start();
    pid = getpid();
    kn_failpoint_choice = "threads:wait";
    (void)clone(aborts_its_parent, stack + sizeof stack, CLONE_VM | SIGCHLD, &pid);
    (void)pthread_join(in_thread(captures_all), NULL);
    usleep(500000);
    say("alive\n");
}

static sigjmp_buf home;

static void recover(int signo)
{
    siglongjmp(home, signo);
}

#define FAULT_HERE()                                                                     \
    do {                                                                                 \
        if (!sigsetjmp(home, 1))                                                         \
            *(volatile int *)0x20 = 1;                                                   \
    } while (0)

/* A runtime that recovers from faults in many places, and then a crash. */
static void recovers_often(void)
{
    struct sigaction a = {.sa_handler = recover, .sa_flags = SA_ONSTACK};
    struct rlimit before, after;
    (void)sigaction(SIGSEGV, &a, NULL);
    start();
    before.rlim_max = RLIM_INFINITY;
    before.rlim_cur = 64 << 20;
    (void)setrlimit(RLIMIT_FSIZE, &before);
    int lowest = dup(0);
    (void)close(lowest);
    FAULT_HERE();
    FAULT_HERE();
    FAULT_HERE();
    FAULT_HERE();
    FAULT_HERE();
    FAULT_HERE();
    FAULT_HERE();
    FAULT_HERE();
    FAULT_HERE();
    int now = dup(0);
    (void)close(now);
    (void)getrlimit(RLIMIT_FSIZE, &after);
    char text[96];
    (void)snprintf(text, sizeof text, "descriptors %d limit %d\n", now - lowest,
        after.rlim_cur == before.rlim_cur);
    say(text);
    abort();
}

static volatile int is_over;
static _Thread_local sigjmp_buf own_home;

static void recover_thread(int signo)
{
    siglongjmp(own_home, signo);
}

static void *faults_and_recovers(void *arg)
{
    while (!is_over) {
        if (!sigsetjmp(own_home, 1))
            *(volatile int *)0x20 = 1;
    }
    return arg;
}

/* A runtime's faults at any instant of a start and a stop. */
static void starts_and_stops_while_it_recovers(void)
{
    struct sigaction a = {.sa_handler = recover_thread, .sa_flags = SA_ONSTACK};
    (void)sigaction(SIGSEGV, &a, NULL);
    pthread_t t = in_thread(faults_and_recovers);
    for (int i = 0; i < 150; i++) {
        start();
        knell_stop();
    }
    is_over = 1;
    (void)pthread_join(t, NULL);
    say("recovered\n");
}

static void say_and_abort(int signo)
{
    (void)signo;
    say("previous\n");
    abort();
}

static void say_and_reset(int signo)
{
    say("previous\n");
    (void)signal(signo, SIG_DFL);
}

static void say_and_raise(int signo)
{
    say_and_reset(signo);
    (void)raise(signo);
}

static void say_and_exit(int signo)
{
    say_and_reset(signo);
    _exit(3);
}

/* Crash handlers of the program's own, each with its way to end it. */
static void crash_with(void (*handler)(int))
{
    struct sigaction a = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    (void)sigaction(SIGSEGV, &a, NULL);
    start();
    *(volatile int *)0x10 = 1;
}

static void previous_aborts(void)
{
    crash_with(say_and_abort);
}

static void previous_resets(void)
{
    crash_with(say_and_reset);
}

static void previous_raises(void)
{
    crash_with(say_and_raise);
}

static void previous_exits(void)
{
    crash_with(say_and_exit);
}

/* Every descriptor of knell's is the program's own by now; a child is forked. */
static void reuses_and_forks(void)
{
    start();
    int fd = open("precious", O_RDWR | O_CREAT | O_TRUNC, 0600), n = 0;
    char page[4096];
    memset(page, 'p', sizeof page);
    for (int i = 0; i < 256; i++) {
        if (write(fd, page, sizeof page) != sizeof page)
            _exit(95);
    }
    for (int other = 3; other < 4096; other++) {
        if (other != fd && fcntl(other, F_GETFD) >= 0 && dup2(fd, other) == other)
            n++;
    }
    knell_add_breadcrumb(KNELL_LEVEL_INFO, "test", "of the parent");
    pid_t child = fork();
    int still = 0;
    for (int other = 3; other < 4096; other++)
        still += other != fd && fcntl(other, F_GETFD) >= 0;
    if (!child) {
        knell_add_breadcrumb(KNELL_LEVEL_INFO, "test", "of the child");
        _exit(still == n ? 0 : 1);
    }
    int status;
    if (waitpid(child, &status, 0) != child)
        _exit(94);
    say(status ? "child lost descriptors\n" : "child has its descriptors\n");
    memset(page, 0, sizeof page);
    for (int i = 0; i < 256; i++) {
        if (pread(fd, page, sizeof page, (off_t)i * 4096) != sizeof page ||
            page[0] != 'p' || memchr(page, 0, sizeof page))
            say("precious is spoilt\n");
    }
    abort();
}

/* The same, and then knell stops. */
static void reuses_and_stops(void)
{
    struct stat st;
    struct knell_options o = KNELL_OPTIONS_INIT;
    o.start_uploader = KNELL_OFF;
    o.logs = KNELL_ON;
    if (knell_start(&o))
        _exit(97);
    knell_log(KNELL_LEVEL_INFO, "a segment is begun");
    int fd = open("precious", O_RDWR | O_CREAT | O_TRUNC, 0600), n = 0, still = 0;
    if (ftruncate(fd, 1 << 20))
        _exit(95);
    for (int other = 3; other < 4096; other++) {
        if (other != fd && fcntl(other, F_GETFD) >= 0 && dup2(fd, other) == other)
            n++;
    }
    knell_stop();
    for (int other = 3; other < 4096; other++)
        still += other != fd && fcntl(other, F_GETFD) >= 0;
    (void)fstat(fd, &st);
    char text[96];
    (void)snprintf(
        text, sizeof text, "lost %d, %ld bytes\n", n - still, (long)st.st_size);
    say(text);
}

static void *loads_and_unloads(void *arg)
{
    for (;;) {
        void *library = dlopen(VICTIM_PLUGIN, RTLD_NOW);
        if (!library)
            _exit(95);
        (void)dlclose(library);
    }
    return arg;
}

/* Children that are covered, while a thread that they have not holds the loader's lock.
 */
static void forks_beside_the_loader(void)
{
    struct knell_options o = KNELL_OPTIONS_INIT;
    o.start_uploader = KNELL_OFF;
    o.on_fork = KNELL_FORK_COVER;
    if (knell_start(&o))
        _exit(97);
    (void)in_thread(loads_and_unloads);
    for (int i = 0; i < 100; i++) {
        int status;
        pid_t child = fork();
        if (!child) {
            knell_stop();
            _exit(0);
        }
        if (waitpid(child, &status, 0) != child || status)
            _exit(94);
    }
    pid_t child = fork();
    if (!child)
        *(volatile int *)0x10 = 1;
    (void)waitpid(child, NULL, 0);
    knell_stop();
    _exit(0);
}

/* An object whose notes are not where its headers say, as some tools leave it. */
static void loads_an_odd_object(void)
{
    static uint8_t image[1 << 20];
    FILE *in = fopen(VICTIM_PLUGIN, "rb"), *out = fopen("odd.so", "wb");
    size_t n = in ? fread(image, 1, sizeof image, in) : 0;
    Elf64_Ehdr head;
    Elf64_Phdr part;
    memcpy(&head, image, sizeof head);
    for (unsigned i = 0; n && i < head.e_phnum; i++) {
        uint8_t *at = image + head.e_phoff + i * sizeof part;
        memcpy(&part, at, sizeof part);
        if (part.p_type == PT_NOTE || part.p_type == PT_GNU_EH_FRAME)
            part.p_vaddr += 1 << 30;
        memcpy(at, &part, sizeof part);
    }
    if (!out || fwrite(image, 1, n, out) != n || fclose(out) || !n)
        _exit(95);
    if (!dlopen("./odd.so", RTLD_NOW))
        _exit(94);
    start();
    abort();
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {{"resets_all_signals", resets_all_signals},
        {"takes_all_real_time_signals", takes_all_real_time_signals},
        {"forks_beside_the_loader", forks_beside_the_loader},
        {"loads_an_odd_object", loads_an_odd_object}, {"told_to_abort", told_to_abort},
        {"told_to_abort_as_it_dies", told_to_abort_as_it_dies},
        {"told_to_abort_from_outside", told_to_abort_from_outside},
        {"starts_and_stops_while_it_recovers", starts_and_stops_while_it_recovers},
        {"recovers_often", recovers_often}, {"previous_aborts", previous_aborts},
        {"previous_resets", previous_resets}, {"previous_raises", previous_raises},
        {"previous_exits", previous_exits}, {"reuses_and_forks", reuses_and_forks},
        {"reuses_and_stops", reuses_and_stops}};
    for (size_t i = 0; argc > 1 && i < sizeof cases / sizeof *cases; i++) {
        if (!strcmp(argv[argc - 1], cases[i].name))
            cases[i].run();
    }
    return 92;
}
