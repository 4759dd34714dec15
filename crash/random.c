#include "crash/random.h"

#include "crash/uncancelled.h"

#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* Source of the generator: Sebastiano Vigna, splitmix64 (public domain). */
static _Thread_local uint64_t state;
static _Thread_local uint32_t seeded; /* the era it was seeded in */
static uint32_t era = 1;

static uint64_t next(void)
{
    uint32_t now = __atomic_load_n(&era, __ATOMIC_RELAXED);
    if (seeded != now) {
        struct timespec t;
        int cancel = kn_cancel_hold();
        bool random =
            getrandom(&state, sizeof state, GRND_NONBLOCK) == (ssize_t)sizeof state;
        kn_cancel_allow(cancel);
        if (!random) {
            (void)clock_gettime(CLOCK_REALTIME, &t);
            state = (uint64_t)t.tv_nsec << 32 ^ (uint64_t)t.tv_sec ^ (uintptr_t)&state ^
                    (uint64_t)getpid() << 40;
        }
        seeded = now;
    }
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void kn_random(void *out, size_t n)
{
    uint8_t *p = out;
    while (n) {
        uint64_t word = next();
        size_t k = n < sizeof word ? n : sizeof word;
        word |= 1; /* never zero: an all-zero id means none */
        memcpy(p, &word, k);
        p += k;
        n -= k;
    }
}

void kn_random_mark_uuid(uint8_t id[static KN_UUID_BYTES])
{
    id[6] = (uint8_t)((id[6] & 0x0f) | 0x40);
    id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
}

double kn_dice(void)
{
    return (double)(next() >> 11) * 0x1p-53;
}

void kn_random_fork_child(void)
{
    __atomic_fetch_add(&era, 1, __ATOMIC_RELAXED);
}
