/**
 * A program of which a plugin brings knell, and is unloaded: threads that knell gave a
 * signal stack end afterwards, and so does the program.
 *
 * usage: victim_unloads LIBRARY [-u]
 */
#include <dlfcn.h>
#include <knell/knell.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

static int (*start)(const struct knell_options *);
static int (*enter)(void);
static pthread_barrier_t barrier;

static void *enters_and_ends(void *arg)
{
    if (enter())
        _exit(96);
    (void)pthread_barrier_wait(&barrier); /* entered */
    (void)pthread_barrier_wait(&barrier); /* unloaded */
    return arg;
}

int main(int argc, char **argv)
{
    struct knell_options o = KNELL_OPTIONS_INIT;
    pthread_t t;
    o.start_uploader = KNELL_OFF;
    void *library = dlopen(argv[argc - 1], RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return 99;
    void *symbols[2] = {
        dlsym(library, "knell_start"), dlsym(library, "knell_thread_enter")};
    memcpy(&start, &symbols[0], sizeof start);
    memcpy(&enter, &symbols[1], sizeof enter);
    if (start(&o) || pthread_barrier_init(&barrier, NULL, 2) ||
        pthread_create(&t, NULL, enters_and_ends, NULL))
        return 98;
    (void)pthread_barrier_wait(&barrier);
    (void)dlclose(library);
    (void)pthread_barrier_wait(&barrier);
    if (pthread_join(t, NULL))
        return 97;
    return 0;
}
