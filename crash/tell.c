#include "crash/tell.h"

#include "crash/breadcrumb.h"
#include "crash/exit_note.h"
#include "crash/handler/mend.h"
#include "crash/install.h"
#include "crash/random.h"
#include "crash/segment.h"
#include "crash/session.h"
#include "crash/span.h"
#include "crash/uncancelled.h"
#include "crash/watchdog.h"

#include <errno.h>
#include <knell/spool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
    pthread_mutex_t lock;
    struct kn_spool spool; /* borrowed descriptors; valid while areas are published */
    char path[256];
    int error;
    const char *what;
} tell = {.lock = PTHREAD_MUTEX_INITIALIZER,
    .spool = {.dir.fd = -1, .live.fd = -1, .fresh.fd = -1}};

/* "NAME VALUE" of a text such as /proc/vmstat; ~0 when it is not there. */
static uint64_t number_after(const char *text, const char *name)
{
    const char *p = strstr(text, name);
    if (!p)
        return UINT64_MAX;
    return strtoull(p + strlen(name), NULL, 10);
}

/* Where cgroups are of version 1 their memory has a hierarchy of its own. */
static void note_memory_v1(struct knell_journal_head *head)
{
    char text[8192], path[320];
    if (kn_read_text("/proc/self/cgroup", text, sizeof text) <= 0)
        return;
    char *group = strstr(text, ":memory:");
    if (!group)
        return;
    group += strlen(":memory:");
    group[strcspn(group, "\n")] = '\0';
    (void)snprintf(
        path, sizeof path, "/sys/fs/cgroup/memory%.200s/memory.oom_control", group);
    kn_copy_text(head->cgroup, sizeof head->cgroup, group);
    if (kn_read_text(path, text, sizeof text) > 0)
        head->oom_kills_at_start = number_after(text, "\noom_kill ");
}

static void note_memory(struct kn_areas *a)
{
    char text[16384], path[320];
    if (a->head->oom_kills_at_start == UINT64_MAX)
        note_memory_v1(a->head);
    if (kn_read_text("/proc/vmstat", text, sizeof text) > 0)
        a->status->vm_oom_kills_at_start = number_after(text, "\noom_kill ");
    (void)snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", a->head->cgroup);
    if (kn_read_text(path, text, sizeof text) > 0 && text[0] >= '0' && text[0] <= '9')
        a->status->memory_max_bytes = strtoull(text, NULL, 10);
}

void kn_tell_start(struct kn_journal *j, const struct kn_spool *spool, const char *stem,
    const struct kn_settings *settings, const struct kn_identity *id)
{
    struct kn_areas *a = j->areas;
    (void)pthread_mutex_lock(&tell.lock);
    tell.spool = *spool;
    kn_copy_text(tell.path, sizeof tell.path, spool->path);
    tell.error = 0;
    (void)pthread_mutex_unlock(&tell.lock);
    note_memory(a);
    kn_segment_start(spool, stem, settings, id);
    kn_span_start_with(a, settings->dsn, settings->release, settings->environment);
    /* Before anybody sees them, and their lock is held: a signal handler of this thread
     * then finds its ring. */
    kn_self_attach(&kn_self_tls, a);
    kn_areas_publish(a);
    kn_exit_note_start(a);
    if (a->told.sessions)
        kn_session_start(a);
}

void kn_tell_stop(void)
{
    struct kn_areas *a = kn_areas_current();
    if (!a)
        return;
    kn_exit_note_stop();
    if (!a->in_child)
        kn_session_exit(a);
    (void)pthread_mutex_lock(&tell.lock);
    kn_areas_publish(NULL);
    tell.spool = KN_SPOOL_NONE;
    (void)pthread_mutex_unlock(&tell.lock);
    kn_segment_stop();
}

void kn_tell_fork_child(void)
{
    kn_self_fork_child();
    kn_span_fork_child();
    kn_segment_fork_child();
    kn_random_fork_child();
    kn_watchdog_fork_child();
    /* A thread that is not here may hold it. */
    tell.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

void kn_tell_failed(int error, const char *what)
{
    (void)pthread_mutex_lock(&tell.lock);
    tell.error = error;
    tell.what = what;
    (void)pthread_mutex_unlock(&tell.lock);
}

int kn_tell_has_room(void)
{
    int r = -ENODEV;
    (void)pthread_mutex_lock(&tell.lock);
    if (tell.spool.dir.fd >= 0)
        r = kn_spool_count(&tell.spool, KNELL_SPOOL_NEW, KNELL_SPOOL_SUFFIX) <
                    KN_MAX_WAITING
                ? 0
                : -ENOSPC;
    (void)pthread_mutex_unlock(&tell.lock);
    return r;
}

static void fill(struct knell_status *s, struct kn_areas *a)
{
    const struct {
        uint64_t *to;
        enum knell_journal_count from;
    } copies[] = {
        {&s->breadcrumbs_lost, KNELL_COUNT_BREADCRUMBS_LOST},
        {&s->cut, KNELL_COUNT_CUT},
        {&s->captured, KNELL_COUNT_CAPTURED},
        {&s->suppressed, KNELL_COUNT_SUPPRESSED},
        {&s->sampled_out, KNELL_COUNT_SAMPLED_OUT},
        {&s->failed, KNELL_COUNT_FAILED},
        {&s->transactions, KNELL_COUNT_TRACES},
        {&s->transactions_sampled_out, KNELL_COUNT_TRACES_SAMPLED_OUT},
        {&s->transactions_ignored, KNELL_COUNT_TRACES_IGNORED},
        {&s->spans_lost, KNELL_COUNT_SPANS_LOST},
        {&s->logs, KNELL_COUNT_LOGS},
        {&s->logs_lost, KNELL_COUNT_LOGS_LOST},
        {&s->hangs, KNELL_COUNT_HANGS},
    };
    for (size_t i = 0; i < sizeof copies / sizeof *copies; i++)
        *copies[i].to = kn_counted(a, copies[i].from);
    s->scope_lost =
        kn_counted(a, KNELL_COUNT_SCOPE_LOST) + kn_counted(a, KNELL_COUNT_SCOPES_LOST);
    for (uint32_t i = 0; i < a->n_stripes; i++) {
        const struct knell_journal_block *b =
            __atomic_load_n(&a->stripes[i], __ATOMIC_ACQUIRE);
        s->breadcrumbs += b ? __atomic_load_n(&b->next, __ATOMIC_RELAXED) : 0;
    }
    s->last_error = __atomic_load_n(&a->last_error, __ATOMIC_RELAXED);
    (void)kn_session_errors(a, &s->session_errors);
}

int knell_status(struct knell_status *ret)
{
    struct knell_status s = KNELL_STATUS_INIT;
    if (!ret || ret->size < sizeof ret->size || ret->size > 65536)
        return -EINVAL;
    int saved = errno, cancel = kn_cancel_hold();
    (void)pthread_mutex_lock(&tell.lock);
    struct kn_areas *a = kn_areas_current();
    const bool has_lost = kn_mend_has_lost(KN_MENDED_JOURNAL);
    s.armed = a != NULL;
    s.journal = a && !has_lost;
    s.error = a ? 0 : tell.error;
    if (!a)
        (void)snprintf(s.reason, sizeof s.reason, "%s%s%s",
            tell.what ? tell.what : "not started", tell.error ? ": " : "",
            tell.error ? strerrordesc_np(-tell.error) : "");
    (void)snprintf(s.spool, sizeof s.spool, "%s", a ? tell.path : "");
    if (a) {
        fill(&s, a);
        if (has_lost)
            (void)snprintf(s.reason, sizeof s.reason,
                "pages of the journal are lost: it was cut, or the disk is full or "
                "broken");
        if (s.last_error)
            (void)snprintf(s.reason, sizeof s.reason, "a report could not be written: %s",
                strerrordesc_np(-s.last_error));
        s.n_waiting = kn_spool_count(&tell.spool, KNELL_SPOOL_NEW, "") +
                      kn_spool_count(&tell.spool, KNELL_SPOOL_WAIT, "");
    }
    (void)pthread_mutex_unlock(&tell.lock);
    char lost[sizeof s.reason] = "";
    if (a)
        kn_install_describe(lost, sizeof lost);
    s.signals_lost = lost[0] != 0;
    if (s.signals_lost) /* worse than a report that could not be written */
        memcpy(s.reason, lost, sizeof lost);
    size_t n = ret->size < sizeof s ? ret->size : sizeof s;
    s.size = ret->size;
    memcpy(ret, &s, n);
    kn_cancel_allow(cancel);
    errno = saved;
    return 0;
}
