#include "crash/watchdog.h"

#include "crash/capture.h"
#include "crash/debug.h"
#include "crash/self.h"
#include "crash/settings.h"

#include <errno.h>
#include <knell/knell.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>

enum { FREE = 0, BEATING = 1, PAUSED = 2, LEAST_MS = 100, CHECKS_PER_DEADLINE = 4 };

/* The program's handle is the journal's own record. */
struct knell_heart {
    struct knell_journal_heart in_journal;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    struct kn_areas *areas;   /* whose loops are watched; NULL: there is no thread */
    struct kn_areas *stopped; /* whose loops are watched no more */
    uint64_t reported[KNELL_MAX_HEARTS]; /* the beat after which a hang was reported */
} dog = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static uint64_t now_ns(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Under the lock. A hang is reported once; the next beat makes the next one possible. */
static void check(struct kn_areas *a, size_t i)
{
    struct knell_journal_heart *h = &a->hearts[i];
    if (__atomic_load_n(&h->state, __ATOMIC_ACQUIRE) != BEATING)
        return;
    uint64_t beat = __atomic_load_n(&h->beat_ns, __ATOMIC_ACQUIRE);
    uint64_t now = now_ns(CLOCK_MONOTONIC);
    if (now < beat || now - beat < (uint64_t)h->deadline_ms * 1000000 ||
        dog.reported[i] == beat)
        return;
    dog.reported[i] = beat;
    __atomic_fetch_add(&h->n_missed, 1, __ATOMIC_RELAXED);
    struct kn_hang hang = {.tid = __atomic_load_n(&h->tid, __ATOMIC_RELAXED),
        .late_ms = (now - beat) / 1000000,
        .deadline_ms = h->deadline_ms};
    memcpy(hang.name, h->name, sizeof h->name);
    hang.name[sizeof hang.name - 1] = '\0';
    (void)pthread_mutex_unlock(&dog.lock);
    kn_debug("%s is silent since %llu ms, its deadline is %u ms", hang.name,
        (unsigned long long)hang.late_ms, hang.deadline_ms);
    kn_capture_hang(&hang);
    kn_count(a, KNELL_COUNT_HANGS); /* who sees it finds the report */
    (void)pthread_mutex_lock(&dog.lock);
}

static uint32_t shortest_ms(const struct kn_areas *a)
{
    uint32_t least = 60000;
    for (size_t i = 0; i < KNELL_MAX_HEARTS; i++) {
        const struct knell_journal_heart *h = &a->hearts[i];
        if (__atomic_load_n(&h->state, __ATOMIC_ACQUIRE) && h->deadline_ms < least)
            least = h->deadline_ms;
    }
    return least / CHECKS_PER_DEADLINE;
}

static void *watch(void *arg)
{
    struct kn_areas *a = arg;
    (void)prctl(PR_SET_NAME, "knell-watchdog");
    (void)pthread_mutex_lock(&dog.lock);
    while (dog.areas == a) {
        uint64_t until = now_ns(CLOCK_MONOTONIC) + (uint64_t)shortest_ms(a) * 1000000;
        struct timespec t = {.tv_sec = (time_t)(until / 1000000000),
            .tv_nsec = (long)(until % 1000000000)};
        (void)pthread_cond_clockwait(&dog.wake, &dog.lock, CLOCK_MONOTONIC, &t);
        for (size_t i = 0; dog.areas == a && i < KNELL_MAX_HEARTS; i++)
            check(a, i);
        /* A process that says nothing else lives as well. */
        __atomic_store_n(
            &a->head->heartbeat_ns, now_ns(CLOCK_REALTIME_COARSE), __ATOMIC_RELAXED);
    }
    (void)pthread_mutex_unlock(&dog.lock);
    return NULL;
}

/* Under the lock. */
static int start_thread(struct kn_areas *a)
{
    sigset_t all, old;
    if (dog.areas == a)
        return 0;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = pthread_create(&dog.thread, NULL, watch, a);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!r) /* it waits for the lock */
        dog.areas = a;
    return -r;
}

static void beat(struct kn_areas *a, struct knell_journal_heart *h)
{
    __atomic_store_n(&h->tid, kn_self_get(a)->tid, __ATOMIC_RELAXED);
    __atomic_store_n(&h->beat_ns, now_ns(CLOCK_MONOTONIC_COARSE), __ATOMIC_RELEASE);
    __atomic_store_n(&h->state, BEATING, __ATOMIC_RELEASE);
}

struct knell_heart *knell_watch(const char *name, uint32_t deadline_ms)
{
    struct kn_areas *a = kn_areas_current();
    struct knell_journal_heart *found = NULL;
    if (!a || a->in_child)
        return NULL;
    int saved = errno;
    (void)pthread_mutex_lock(&dog.lock);
    bool open = a == kn_areas_current() && a != dog.stopped;
    for (size_t i = 0; open && !found && i < KNELL_MAX_HEARTS; i++) {
        if (__atomic_load_n(&a->hearts[i].state, __ATOMIC_RELAXED) == FREE)
            found = &a->hearts[i];
    }
    if (found && start_thread(a))
        found = NULL;
    if (found) {
        kn_copy_text(found->name, sizeof found->name, name);
        found->deadline_ms = deadline_ms < LEAST_MS ? LEAST_MS : deadline_ms;
        found->n_missed = 0;
        beat(a, found);
        (void)pthread_cond_signal(&dog.wake);
    }
    (void)pthread_mutex_unlock(&dog.lock);
    errno = saved;
    return (struct knell_heart *)found;
}

void knell_beat(struct knell_heart *heart)
{
    struct kn_areas *a = kn_areas_current();
    if (!heart || !a)
        return;
    struct knell_journal_heart *h = &heart->in_journal;
    if (__atomic_load_n(&h->state, __ATOMIC_RELAXED) != FREE)
        beat(a, h);
}

void knell_beat_pause(struct knell_heart *heart)
{
    if (heart && __atomic_load_n(&heart->in_journal.state, __ATOMIC_RELAXED) != FREE)
        __atomic_store_n(&heart->in_journal.state, PAUSED, __ATOMIC_RELEASE);
}

void knell_unwatch(struct knell_heart *heart)
{
    if (!heart)
        return;
    (void)pthread_mutex_lock(&dog.lock);
    __atomic_store_n(&heart->in_journal.state, FREE, __ATOMIC_RELEASE);
    (void)pthread_mutex_unlock(&dog.lock);
}

void kn_watchdog_stop(void)
{
    (void)pthread_mutex_lock(&dog.lock);
    bool running = dog.areas;
    pthread_t thread = dog.thread;
    dog.areas = NULL;
    dog.stopped = kn_areas_current();
    (void)pthread_cond_broadcast(&dog.wake);
    (void)pthread_mutex_unlock(&dog.lock);
    if (running)
        (void)pthread_join(thread, NULL);
}

void kn_watchdog_fork_child(void)
{
    dog.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    dog.wake = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    dog.areas = NULL;
}
