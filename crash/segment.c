#include "crash/segment.h"

#include "crash/areas.h"
#include "crash/debug.h"
#include "crash/handler/mend.h"
#include "crash/nudge.h"
#include "crash/quota.h"
#include "crash/random.h"
#include "crash/trace_header.h"
#include "crash/uncancelled.h"

#include <errno.h>
#include <fcntl.h>
#include <knell/spool.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* A segment is given to the uploader at the first append after this age. */
#define MAX_AGE_NS (30u * 1000000000ull)

/* What waits of them at most, looked after once in so many. */
static const struct kn_quota waiting = {
    .max_reports = 2000, .max_bytes = 64u << 20, .suffix = KNELL_SEGMENT_SUFFIX};
enum { QUOTA_EVERY = 16 };

enum {
    N_LANES = 16, /* so that threads seldom share one */
    LANE_BYTES = 8192,
    HEAD_BYTES = sizeof(struct knell_segment_record),
    LINE_BYTES = 64,
};

static struct {
    pthread_mutex_t lock; /* of all but lanes; taken before any of theirs */
    bool started;
    struct kn_spool spool; /* borrowed descriptors */
    char stem[KN_STEM_BYTES];
    struct knell_segment_head blank;
    uint32_t n_handed;
    struct kn_file file;
    struct knell_segment_head *head; /* mapped; NULL: no segment yet. Changes with all
                                        lanes locked */
} seg = {.lock = PTHREAD_MUTEX_INITIALIZER, .file.fd = -1};

/* A piece of the segment that some threads append to by themselves. */
static struct lane {
    alignas(LINE_BYTES) pthread_mutex_t lock;
    uint32_t at, end; /* offsets in the segment; a free record covers what is between */
    uint32_t n_records;
} lanes[N_LANES] = {[0 ... N_LANES - 1] = {.lock = PTHREAD_MUTEX_INITIALIZER}};

static struct lane *own_lane(void)
{
    static _Thread_local struct lane *own;
    static uint32_t next;
    if (!own)
        own = &lanes[__atomic_fetch_add(&next, 1, __ATOMIC_RELAXED) % N_LANES];
    return own;
}

static void lock_lanes(void)
{
    for (size_t i = 0; i < N_LANES; i++)
        (void)pthread_mutex_lock(&lanes[i].lock);
}

static void unlock_lanes(void)
{
    for (size_t i = 0; i < N_LANES; i++)
        (void)pthread_mutex_unlock(&lanes[i].lock);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int open_segment(void)
{
    int fd, r = kn_spool_create_live(&seg.spool, seg.stem, KNELL_SEGMENT_SUFFIX, &fd);
    if (r)
        return r;
    seg.file = kn_file_of(fd);
    r = seg.file.fd < 0 ? -errno : kn_spool_allocate(fd, KNELL_SEGMENT_BYTES);
    void *map = MAP_FAILED;
    if (!r) {
        map = mmap(NULL, KNELL_SEGMENT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        r = map == MAP_FAILED ? -errno : 0;
    }
    if (r) {
        kn_spool_remove_live(&seg.spool, seg.stem, KNELL_SEGMENT_SUFFIX);
        kn_file_close(&seg.file);
        return r;
    }
    kn_mend_watch(KN_MENDED_SEGMENT, map, KNELL_SEGMENT_BYTES);
    seg.head = map;
    *seg.head = seg.blank;
    seg.head->created_ns = now_ns();
    kn_random(seg.head->event_id, sizeof seg.head->event_id);
    kn_random_mark_uuid(seg.head->event_id);
    return 0;
}

/* Under the lock: nobody appends any more. */
static void close_segment(void)
{
    lock_lanes();
    seg.head->n_records = 0;
    for (size_t i = 0; i < N_LANES; i++) {
        seg.head->n_records += lanes[i].n_records;
        lanes[i].at = lanes[i].end = lanes[i].n_records = 0;
    }
    kn_mend_watch(KN_MENDED_SEGMENT, NULL, 0);
    (void)munmap(seg.head, KNELL_SEGMENT_BYTES);
    seg.head = NULL;
    unlock_lanes();
}

/* Under the lock: cut the file to what is used and rename it to new/. */
static int hand_over(void)
{
    if (!seg.head)
        return 0;
    char to[KNELL_SPOOL_NAME_BYTES + 8], id[33];
    kn_hex(seg.head->event_id, sizeof seg.head->event_id, id);
    (void)snprintf(to, sizeof to, "%013llu-%012d-%s-s00.a00.n%010d",
        (unsigned long long)(seg.head->created_ns / 1000000), 0, id, 0);
    off_t used = seg.head->used_bytes;
    close_segment();
    /* A reader stops at what is used, cut or not. */
    int r = kn_file_ours(&seg.file) && ftruncate(seg.file.fd, used) ? -errno : 0;
    int moved = kn_spool_publish(&seg.spool, seg.stem, KNELL_SEGMENT_SUFFIX, to);
    if (moved) {
        r = moved;
        kn_spool_remove_live(&seg.spool, seg.stem, KNELL_SEGMENT_SUFFIX);
    }
    kn_file_close(&seg.file);
    kn_debug("segment %s of logs, spans and sessions: %s", id,
        r ? strerrordesc_np(-r) : "left to the uploader");
    int n_gone = ++seg.n_handed % QUOTA_EVERY || !kn_file_ours(&seg.spool.fresh)
                     ? 0
                     : kn_quota_keep(seg.spool.fresh.fd, &waiting);
    if (n_gone > 0) {
        struct kn_areas *a = kn_areas_current();
        if (a)
            kn_count_more(a, KNELL_COUNT_SPANS_LOST, (uint64_t)n_gone);
        kn_debug("%d segments that nobody took were removed", n_gone);
    }
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

static size_t record_bytes(const struct kn_record *r)
{
    return HEAD_BYTES + padded(payload_bytes(r));
}

static void put_free(uint8_t *at, uint32_t n_bytes)
{
    const struct knell_segment_record free = {
        .type = KNELL_RECORD_FREE, .n_bytes = n_bytes - HEAD_BYTES};
    if (n_bytes)
        memcpy(at, &free, sizeof free);
}

/* Under the lane's lock. The free record that lies there becomes this one with the last
 * store, so that a death at any instant leaves whole records and free ones. */
static void append(struct lane *lane, const struct kn_record *r)
{
    uint32_t offset = lane->at, n = (uint32_t)payload_bytes(r);
    uint8_t *base = (uint8_t *)seg.head + offset, *p = base + HEAD_BYTES;
    lane->at += (uint32_t)record_bytes(r);
    put_free((uint8_t *)seg.head + lane->at, lane->end - lane->at);
    for (int i = 0; i < 4; i++) {
        if (r->n_parts[i])
            memcpy(p, r->parts[i], r->n_parts[i]);
        p += r->n_parts[i];
    }
    struct knell_segment_record head = {.type = r->type, .n_bytes = n};
    head.sum = knell_journal_sum(base + HEAD_BYTES, n, offset);
    uint64_t words[2];
    static_assert(sizeof words == sizeof head, "published by its first word");
    memcpy(words, &head, sizeof head);
    memcpy(base + sizeof words[0], &words[1], sizeof words[1]);
    __atomic_store_n((uint64_t *)(void *)base, words[0], __ATOMIC_RELEASE);
    lane->n_records++;
}

/* A rest too small for a free record cannot be left. */
static bool fits(const struct lane *lane, size_t need)
{
    uint32_t room = lane->end - lane->at;
    return need == room || need + HEAD_BYTES <= room;
}

static bool is_old(void)
{
    return now_ns() - seg.head->created_ns > MAX_AGE_NS;
}

/* Under the lock: give the lane a piece of the segment that @need bytes fit in. */
static int claim(struct lane *lane, size_t need)
{
    uint32_t used = seg.head->used_bytes, n = LANE_BYTES;
    if (n < need + HEAD_BYTES)
        n = (uint32_t)need;
    if (n > KNELL_SEGMENT_BYTES - used)
        n = (uint32_t)need;
    if (n > KNELL_SEGMENT_BYTES - used)
        return -ENOSPC;
    (void)pthread_mutex_lock(&lane->lock);
    lane->at = used;
    lane->end = used + n;
    put_free((uint8_t *)seg.head + used, n);
    seg.head->n_records++;
    __atomic_store_n(&seg.head->used_bytes, used + n, __ATOMIC_RELEASE);
    (void)pthread_mutex_unlock(&lane->lock);
    return 0;
}

/* Without a piece that they fit in. @ret_handed  a segment went to the uploader */
static int make_room(struct lane *lane, size_t need, bool *ret_handed)
{
    int cancel = kn_cancel_hold(), r = 0;
    (void)pthread_mutex_lock(&seg.lock);
    if (!seg.started)
        r = -ENODEV;
    else if (seg.head && is_old())
        *ret_handed = !(r = hand_over());
    if (!r && !seg.head)
        r = open_segment();
    if (!r)
        r = claim(lane, need);
    if (r == -ENOSPC && seg.head) {
        *ret_handed = !(r = hand_over());
        if (!r)
            r = open_segment();
        if (!r)
            r = claim(lane, need);
    }
    (void)pthread_mutex_unlock(&seg.lock);
    kn_cancel_allow(cancel);
    return r;
}

int kn_segment_append(const struct kn_record *records, size_t n)
{
    size_t need = 0;
    for (size_t i = 0; i < n; i++)
        need += record_bytes(&records[i]);
    if (need > KNELL_SEGMENT_BYTES - sizeof(struct knell_segment_head))
        return -E2BIG;
    struct lane *lane = own_lane();
    int saved = errno, r = 0;
    bool handed = false;
    (void)pthread_mutex_lock(&lane->lock);
    /* Somebody may take the new piece, or the segment, before we have it locked. */
    while (!r && (!lane->end || !fits(lane, need) || is_old())) {
        (void)pthread_mutex_unlock(&lane->lock);
        r = make_room(lane, need, &handed);
        (void)pthread_mutex_lock(&lane->lock);
    }
    for (size_t i = 0; !r && i < n; i++)
        append(lane, &records[i]);
    (void)pthread_mutex_unlock(&lane->lock);
    if (handed)
        kn_nudge();
    errno = saved;
    return r;
}

int kn_segment_flush(void)
{
    int saved = errno, cancel = kn_cancel_hold();
    (void)pthread_mutex_lock(&seg.lock);
    int r = seg.started ? hand_over() : 0;
    (void)pthread_mutex_unlock(&seg.lock);
    kn_cancel_allow(cancel);
    errno = saved;
    return r;
}

void kn_segment_fork_child(void)
{
    /* A thread of the parent may have held it; none of them is here. */
    seg.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    for (size_t i = 0; i < N_LANES; i++)
        lanes[i] = (struct lane){.lock = PTHREAD_MUTEX_INITIALIZER};
    seg.started = false;
    kn_file_close(&seg.file);
    seg.head = NULL;
}
