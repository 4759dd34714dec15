#include "crash/segment.h"

#include "crash/nudge.h"
#include "crash/random.h"
#include "crash/trace_header.h"

#include <errno.h>
#include <fcntl.h>
#include <knell/spool.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* A segment is given to the uploader at the first append after this age. */
#define MAX_AGE_NS (30u * 1000000000ull)

static struct {
    pthread_mutex_t lock;
    bool started;
    struct kn_spool spool; /* borrowed descriptors */
    char stem[KN_STEM_BYTES];
    struct knell_segment_head blank;
    int fd;
    struct knell_segment_head *head; /* mapped; NULL: no segment yet */
} seg = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int open_segment(void)
{
    int r = kn_spool_create_live(&seg.spool, seg.stem, KNELL_SEGMENT_SUFFIX, &seg.fd);
    if (r)
        return r;
    r = kn_spool_allocate(seg.fd, KNELL_SEGMENT_BYTES);
    void *map = MAP_FAILED;
    if (!r) {
        map = mmap(
            NULL, KNELL_SEGMENT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, seg.fd, 0);
        r = map == MAP_FAILED ? -errno : 0;
    }
    if (r) {
        kn_spool_remove_live(&seg.spool, seg.stem, KNELL_SEGMENT_SUFFIX);
        (void)close(seg.fd);
        seg.fd = -1;
        return r;
    }
    seg.head = map;
    *seg.head = seg.blank;
    seg.head->created_ns = now_ns();
    kn_random(seg.head->event_id, sizeof seg.head->event_id);
    kn_random_mark_uuid(seg.head->event_id);
    return 0;
}

/* Under the lock: cut the file to what is used and rename it to new/. */
static int hand_over(void)
{
    if (!seg.head)
        return 0;
    char from[KN_STEM_BYTES + 8], to[KNELL_SPOOL_NAME_BYTES + 8], id[33];
    kn_hex(seg.head->event_id, sizeof seg.head->event_id, id);
    (void)snprintf(from, sizeof from, "%s%s", seg.stem, KNELL_SEGMENT_SUFFIX);
    (void)snprintf(to, sizeof to, "%013llu-%012d-%s-s00.a00.n%010d%s",
        (unsigned long long)(seg.head->created_ns / 1000000), 0, id, 0,
        KNELL_SEGMENT_SUFFIX);
    off_t used = seg.head->used_bytes;
    (void)munmap(seg.head, KNELL_SEGMENT_BYTES);
    seg.head = NULL;
    int r = ftruncate(seg.fd, used) ? -errno : 0;
    if (renameat(seg.spool.live, from, seg.spool.fresh, to)) {
        r = -errno;
        kn_spool_remove_live(&seg.spool, seg.stem, KNELL_SEGMENT_SUFFIX);
    }
    (void)close(seg.fd);
    seg.fd = -1;
    return r;
}

void kn_segment_start(const struct kn_spool *spool, const char *stem,
    const struct kn_settings *settings, const struct kn_identity *id)
{
    (void)pthread_mutex_lock(&seg.lock);
    seg.spool = *spool;
    kn_copy_text(seg.stem, sizeof seg.stem, stem);
    seg.blank = (struct knell_segment_head){.magic = KNELL_SEGMENT_MAGIC,
        .version = KNELL_SEGMENT_VERSION,
        .head_bytes = sizeof seg.blank,
        .used_bytes = sizeof seg.blank};
    kn_copy_text(seg.blank.release, sizeof seg.blank.release, settings->release);
    kn_copy_text(
        seg.blank.environment, sizeof seg.blank.environment, settings->environment);
    kn_copy_text(seg.blank.dist, sizeof seg.blank.dist, settings->dist);
    kn_copy_text(seg.blank.server_name, sizeof seg.blank.server_name, id->server_name);
    kn_copy_text(seg.blank.app, sizeof seg.blank.app, settings->app);
    kn_copy_text(seg.blank.sdk, sizeof seg.blank.sdk, "knell " KNELL_VERSION);
    seg.started = true;
    (void)pthread_mutex_unlock(&seg.lock);
}

void kn_segment_stop(void)
{
    (void)pthread_mutex_lock(&seg.lock);
    if (seg.started)
        (void)hand_over();
    seg.started = false;
    (void)pthread_mutex_unlock(&seg.lock);
}

static size_t padded(size_t n)
{
    return (n + 7) / 8 * 8;
}

static size_t payload_bytes(const struct kn_record *r)
{
    size_t n = 0;
    for (int i = 0; i < 4; i++)
        n += r->n_parts[i];
    return n;
}

/* The head's used_bytes moves on last, so that a death leaves whole records only. */
static void append(const struct kn_record *r)
{
    uint32_t offset = seg.head->used_bytes;
    uint8_t *base = (uint8_t *)seg.head + offset,
            *p = base + sizeof(struct knell_segment_record);
    size_t n = payload_bytes(r);
    for (int i = 0; i < 4; i++) {
        if (r->n_parts[i])
            memcpy(p, r->parts[i], r->n_parts[i]);
        p += r->n_parts[i];
    }
    struct knell_segment_record head = {.type = r->type, .n_bytes = (uint32_t)n};
    head.sum = knell_journal_sum(base + sizeof head, n, offset);
    memcpy(base, &head, sizeof head);
    seg.head->n_records++;
    __atomic_store_n(&seg.head->used_bytes, offset + (uint32_t)(sizeof head + padded(n)),
        __ATOMIC_RELEASE);
}

int kn_segment_append(const struct kn_record *records, size_t n)
{
    size_t need = 0;
    for (size_t i = 0; i < n; i++)
        need += sizeof(struct knell_segment_record) + padded(payload_bytes(&records[i]));
    if (need > KNELL_SEGMENT_BYTES - sizeof(struct knell_segment_head))
        return -E2BIG;
    int saved = errno, r = 0;
    bool handed = false;
    (void)pthread_mutex_lock(&seg.lock);
    if (!seg.started) {
        r = -ENODEV;
    } else if (seg.head && (need > KNELL_SEGMENT_BYTES - seg.head->used_bytes ||
                               now_ns() - seg.head->created_ns > MAX_AGE_NS)) {
        r = hand_over();
        handed = !r;
    }
    if (!r && !seg.head)
        r = open_segment();
    for (size_t i = 0; !r && i < n; i++)
        append(&records[i]);
    (void)pthread_mutex_unlock(&seg.lock);
    if (handed)
        kn_nudge();
    errno = saved;
    return r;
}

int kn_segment_flush(void)
{
    int saved = errno;
    (void)pthread_mutex_lock(&seg.lock);
    int r = seg.started ? hand_over() : 0;
    (void)pthread_mutex_unlock(&seg.lock);
    errno = saved;
    return r;
}

void kn_segment_fork_child(void)
{
    /* A thread of the parent may have held it; none of them is here. */
    seg.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    seg.started = false;
    if (seg.fd >= 0)
        (void)close(seg.fd);
    seg.fd = -1;
    seg.head = NULL;
}
