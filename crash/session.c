#include "crash/session.h"

#include "crash/debug.h"
#include "crash/random.h"
#include "crash/segment.h"
#include "crash/settings.h"

#include <time.h>

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct knell_journal_session *newer(struct kn_areas *a)
{
    return a->session[0].version > a->session[1].version ? &a->session[0]
                                                         : &a->session[1];
}

/* Under the lock: the older copy is overwritten and becomes the newer one. */
static void store(struct kn_areas *a, const struct knell_journal_session *next)
{
    struct knell_journal_session *now = newer(a);
    struct knell_journal_session *old = now == a->session ? now + 1 : a->session;
    uint64_t version = now->version + 1;
    size_t at = offsetof(struct knell_journal_session, id);
    old->sum = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    memcpy((uint8_t *)old + at, (const uint8_t *)next + at, sizeof *old - at);
    old->version = version;
    uint32_t sum = knell_journal_sum((uint8_t *)old + at, sizeof *old - at, version);
    __atomic_store_n(&old->sum, sum, __ATOMIC_RELEASE);
}

/* Under the lock: an update of its own in new/. Returns whether it is there. */
static bool tell(struct knell_journal_session *s)
{
    size_t at = offsetof(struct knell_journal_session, id);
    s->version += !s->version;
    s->sum = knell_journal_sum((uint8_t *)s + at, sizeof *s - at, s->version);
    struct kn_record r = {
        .type = KNELL_RECORD_SESSION, .parts = {s}, .n_parts = {sizeof *s}};
    return !kn_segment_append(&r, 1) && !kn_segment_flush();
}

void kn_session_start(struct kn_areas *a)
{
    struct knell_journal_session s = {
        .started_ns = now_ns(), .status = KNELL_SESSION_OK, .sequence = 1};
    (void)pthread_mutex_lock(&a->lock);
    kn_random(s.id, sizeof s.id);
    kn_random_mark_uuid(s.id);
    /* In the journal first: a death right here is a session with init too. What is told
     * twice then is the init; told never it would be missing from every rate. */
    store(a, &s);
    s.init_written = tell(&s);
    store(a, &s);
    kn_debug("session begun%s", s.init_written ? "" : ", its start could not be written");
    (void)pthread_mutex_unlock(&a->lock);
}

void kn_session_error(struct kn_areas *a)
{
    (void)pthread_mutex_lock(&a->lock);
    struct knell_journal_session s = *newer(a);
    if (s.version && s.status == KNELL_SESSION_OK) {
        s.errors++;
        s.sequence++;
        store(a, &s);
    }
    (void)pthread_mutex_unlock(&a->lock);
}

void kn_session_user(struct kn_areas *a, const char *id)
{
    (void)pthread_mutex_lock(&a->lock);
    struct knell_journal_session s = *newer(a);
    if (s.version && s.status == KNELL_SESSION_OK && !s.user[0]) {
        kn_copy_text(s.user, sizeof s.user, id);
        store(a, &s);
    }
    (void)pthread_mutex_unlock(&a->lock);
}

void kn_session_exit(struct kn_areas *a)
{
    (void)pthread_mutex_lock(&a->lock);
    struct knell_journal_session s = *newer(a);
    if (s.version && s.status == KNELL_SESSION_OK) {
        s.status = KNELL_SESSION_EXITED;
        s.ended_ns = now_ns();
        s.sequence++;
        store(a, &s);
        (void)tell(&s);
    }
    (void)pthread_mutex_unlock(&a->lock);
}

bool kn_session_errors(struct kn_areas *a, uint32_t *ret)
{
    (void)pthread_mutex_lock(&a->lock);
    const struct knell_journal_session *s = newer(a);
    bool is_open = s->version && s->status == KNELL_SESSION_OK;
    *ret = s->errors;
    (void)pthread_mutex_unlock(&a->lock);
    return is_open;
}
