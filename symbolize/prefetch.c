#include "symbolize/prefetch.h"

#include <signal.h>
#include <unistd.h>

/* Less than this is unpacked sooner than a thread is started. */
enum { WORTH_A_THREAD_BYTES = 4 << 20 };

void prefetch_add(struct prefetch *p, struct section *s)
{
    if (s->unpacker && p->n_sections < PREFETCH_MAX_SECTIONS)
        p->sections[p->n_sections++] = s;
}

static void *work(void *ctx)
{
    struct prefetch *p = ctx;
    for (unsigned i = 0; i < p->n_sections; i++) {
        while (!__atomic_load_n(&p->stop, __ATOMIC_RELAXED) &&
               section_prefetch(p->sections[i]) > 0)
            ;
    }
    return NULL;
}

void prefetch_start(struct prefetch *p)
{
    uint64_t n = 0;
    sigset_t all, before;
    for (unsigned i = 0; i < p->n_sections; i++)
        n += p->sections[i]->n;
    if (n < WORTH_A_THREAD_BYTES || sysconf(_SC_NPROCESSORS_ONLN) < 2)
        return;
    /* The host's signals are the business of its own threads. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    p->running = pthread_create(&p->thread, NULL, work, p) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void prefetch_stop(struct prefetch *p)
{
    __atomic_store_n(&p->stop, 1, __ATOMIC_RELAXED);
    if (p->running)
        (void)pthread_join(p->thread, NULL);
    p->running = false;
}
