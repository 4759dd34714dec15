#include "crash/altstack.h"
#include "crash/capture.h"
#include "crash/debug.h"
#include "crash/handler/entry.h"
#include "crash/handler/gate.h"
#include "crash/handler/mend.h"
#include "crash/handler/previous.h"
#include "crash/identity.h"
#include "crash/install.h"
#include "crash/journal.h"
#include "crash/launch.h"
#include "crash/modules.h"
#include "crash/muted.h"
#include "crash/nudge.h"
#include "crash/otel.h"
#include "crash/process.h"
#include "crash/quota.h"
#include "crash/settings.h"
#include "crash/spool.h"
#include "crash/tell.h"
#include "crash/uncancelled.h"
#include "crash/watchdog.h"
#include <errno.h>
#include <knell/knell.h>
#include <knell/spool.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

/* What knell_start() made and knell_stop() takes down; under the lock. */
static struct {
    pthread_mutex_t lock;
    bool armed;
    bool in_child;       /* a fork of the armed process: its files are the parent's */
    const char *library; /* where knell lies */
    struct kn_settings settings;
    struct kn_identity id;
    char stem[KN_STEM_BYTES];
    struct kn_spool spool;
    struct kn_journal journal;
    struct kn_process process;
    struct kn_capture *capture;
    struct kn_process live_process; /* as process, for reports that no signal made */
    struct kn_capture *live;        /* NULL: none yet */
} arm = {.lock = PTHREAD_MUTEX_INITIALIZER,
    .spool = {.dir.fd = -1, .live.fd = -1, .fresh.fd = -1},
    .journal = {.file.fd = -1}};

static void disarm(void);
static int cover(void); /* with what the loader knows in arm.process */

static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

/* Who reads this wants to know why a report does not come. */
static void say_settings(void)
{
    const struct kn_settings *s = &arm.settings;
    const char *key_end = strrchr(s->dsn, '@');
    kn_debug("knell " KNELL_VERSION " starts: application %s, release %s, environment %s",
        s->app, s->release, s->environment);
    if (!s->has_dsn)
        kn_debug("no DSN was given here: the uploader's configuration decides where to");
    else if (!s->dsn[0])
        kn_debug("the DSN is empty: reports are kept, nothing is sent");
    else if (key_end)
        kn_debug("reports go to %.*s://***@%s", (int)strcspn(s->dsn, ":"), s->dsn,
            key_end + 1);
    else
        kn_debug("reports go to %s", s->dsn);
    kn_debug("share of errors %g, of transactions %g; sessions %s, logs %s",
        s->told.sample_rate, s->told.traces_sample_rate, s->told.sessions ? "on" : "off",
        s->told.logs ? "are sent" : "stay in reports");
}

static void say_armed(void)
{
    kn_debug("spool %s, files %s.*", arm.spool.path, arm.stem);
    kn_debug("journal of %u bytes: %u breadcrumbs of %u bytes, scopes of %u threads",
        arm.journal.n_bytes, arm.settings.told.max_breadcrumbs,
        arm.settings.told.breadcrumb_bytes, arm.settings.told.max_thread_scopes);
    kn_debug("handlers armed for SEGV BUS FPE ILL ABRT TRAP SYS, %u modules, room for %u "
             "threads, other threads are stopped by signal %d",
        arm.process.modules.n, arm.settings.max_threads, arm.process.park_signal);
}

/* glibc made its own locks usable again before it called us, but for the loader's, which
 * a thread that is not here may hold: what it said to the parent holds. */
static void cover_child(void)
{
    const struct kn_process parent = arm.process;
    arm.process.modules = (struct kn_modules){0};
    disarm();
    arm.armed = false;
    arm.process.modules = parent.modules;
    arm.process.cxx = parent.cxx;
    arm.process.abort_message = parent.abort_message;
    arm.settings.told.sessions = arm.settings.told.sessions_of_children;
    kn_identity_init(&arm.id);
    int r = cover();
    if (r)
        kn_tell_failed(r, "covering a fork child");
}

/* A report of this process would be the parent's: let go of its files, keep its facts.
 * The handler makes a file of its own when it needs one. */
static void in_fork_child(void)
{
    (void)pthread_mutex_init(&arm.lock, NULL);
    if (!arm.armed) {
        kn_journal_fork_parent();
        return;
    }
    arm.in_child = true;
    kn_gate_fork_child();
    kn_previous_fork_child();
    kn_journal_fork_child(&arm.journal);
    kn_tell_fork_child();
    kn_nudge_fork_child();
    arm.process.journal = arm.journal.head;
    arm.process.image = arm.journal.head;
    arm.process.words = arm.journal.words;
    kn_file_close(&arm.process.dump);
    arm.process.dump_map = NULL; /* not there in a child */
    arm.process.has_file = false;
    arm.process.proc.fd = -1; /* the parent's folder; left open, it is close-on-exec */
    arm.process.pid = getpid();
    if (arm.settings.told.cover_forks) {
        int cancel = kn_cancel_hold();
        cover_child();
        kn_cancel_allow(cancel);
    }
}

static void watch_forks(void)
{
    (void)pthread_atfork(kn_journal_fork_prepare, kn_journal_fork_parent, in_fork_child);
}

static void launch(void)
{
    int r = kn_launch_uploader(&arm.settings, arm.library, arm.spool.path);
    if (r)
        kn_debug("cannot start the uploader: %s", strerrordesc_np(-r));
    else
        kn_debug("uploader started, none other for %d s", KN_STAY_S - KN_STAY_MARGIN_S);
}

static void disarm(void)
{
    kn_tell_stop();
    /* Threads that crash while others end the program are usual. */
    bool has_turn = kn_gate_wait(arm.process.deadline_ms);
    /* In this order: a handler of ours that finds nothing armed sends its signal to the
     * one that was there before. */
    if (arm.process.park_signal)
        kn_uninstall(&arm.process);
    kn_entry_arm(NULL);
    if (!has_turn) {
        /* A report is being written, for far too long or by this very thread, which exits
         * from within: what it needs stays, and its files do. */
        arm.capture = NULL;
        arm.in_child = false;
        return;
    }
    kn_gate_leave();
    kn_mend_watch(KN_MENDED_JOURNAL, NULL, 0);
    if (!arm.in_child) {
        if (arm.process.dump.fd >= 0)
            kn_spool_remove_live(&arm.spool, arm.stem, KNELL_SPOOL_SUFFIX);
        if (arm.journal.head)
            kn_journal_retire(&arm.journal, &arm.spool, arm.stem);
    }
    kn_process_done(&arm.process);
    kn_modules_done(&arm.process.modules);
    kn_process_free_capture(arm.capture);
    arm.capture = NULL;
    kn_spool_done(&arm.spool);
    arm.process = (struct kn_process){0};
    arm.journal = (struct kn_journal){.file.fd = -1};
    arm.in_child = false;
}

/* What a set-user-ID program holds is not for the one who started it. */
static bool is_privileged(void)
{
    return getauxval(AT_SECURE) || prctl(PR_GET_DUMPABLE) == 0;
}

static int open_files(void)
{
    int r = kn_spool_init(&arm.settings, &arm.spool);
    if (r)
        return r;
    (void)kn_quota_keep(arm.spool.fresh.fd, &kn_quota_default);
    kn_spool_forget_earlier(&arm.spool, arm.stem);
    r = kn_journal_create(
        &arm.journal, &arm.spool, arm.stem, &arm.settings, &arm.id, &arm.process.modules);
    if (r)
        return r;
    r = kn_process_reserve(&arm.process, &arm.spool, arm.stem);
    if (r)
        return r;
    kn_process_init(
        &arm.process, &arm.settings, &arm.id, &arm.spool, &arm.journal, arm.stem);
    return 0;
}

static int install(void)
{
    int r = kn_install_choose_signal();
    if (r < 0)
        return r;
    arm.process.park_signal = r;
    kn_mend_watch(KN_MENDED_JOURNAL, arm.journal.head, arm.journal.n_bytes);
    r = kn_process_new_capture(&arm.process, arm.settings.max_threads, &arm.capture);
    if (r)
        return r;
    kn_entry_arm(arm.capture);
    return kn_install(&arm.process);
}

/* With settings made: everything else. */
static int cover(void)
{
    kn_identity_stem(&arm.id, arm.stem);
    int r = open_files();
    if (!r)
        r = install();
    if (r < 0) {
        disarm();
        return r;
    }
    (void)kn_altstack_enter();
    (void)pthread_once(&fork_once, watch_forks);
    kn_journal_set_state(&arm.journal, KNELL_RUN_RUNNING);
    say_settings();
    say_armed();
    __atomic_store_n(&arm.armed, true, __ATOMIC_RELEASE);
    kn_tell_start(&arm.journal, &arm.spool, arm.stem, &arm.settings, &arm.id);
    return 0;
}

static int start(const struct knell_options *options)
{
    if (arm.armed && !arm.in_child)
        return -EALREADY;
    if (arm.armed)
        disarm(); /* a fork child that wants to be covered by itself */
    arm.armed = false;
    int r = kn_settings_init(&arm.settings, options);
    if (r)
        return r;
    kn_debug_switch(arm.settings.debug);
    if (!arm.settings.allow_setuid && is_privileged())
        return -EPERM;
    kn_identity_init(&arm.id);
    r = kn_process_ask_loader(&arm.process, arm.id.executable);
    if (r)
        return r;
    if (!arm.settings.release[0])
        kn_modules_release(
            &arm.process.modules, arm.settings.release, sizeof arm.settings.release);
    return cover();
}

static void send_what_waits(void)
{
    if (!arm.settings.start_uploader)
        kn_debug("no uploader is started: it is switched off");
    else if (!kn_spool_has_work(&arm.spool, arm.stem))
        kn_debug("no uploader is started: nothing waits");
    else if (kn_nudge_due())
        launch();
}

/* Without a destination there is nothing to be done for a report of the living. */
static bool may_send(void)
{
    return arm.settings.start_uploader && !(arm.settings.has_dsn && !arm.settings.dsn[0]);
}

void kn_nudge(void)
{
    int saved = errno, cancel = kn_cancel_hold();
    /* Whoever holds it comes here too, or knell starts or stops. */
    if (!pthread_mutex_trylock(&arm.lock)) {
        if (arm.armed && !arm.in_child && may_send() && kn_nudge_due())
            launch();
        (void)pthread_mutex_unlock(&arm.lock);
    }
    kn_cancel_allow(cancel);
    errno = saved;
}

/* What is left of a report that could not be written, and why it could not. */
static int give_up_live(const struct kn_capture *c, int r)
{
    if (strcmp(arm.live_process.live_name, arm.process.live_name) != 0)
        kn_spool_remove_live(&arm.spool, arm.live_process.live_name, "");
    for (uint32_t i = 0; r == -EIO && i < c->n_notes; i++) {
        int reason = c->notes[i].reason;
        if (reason == ENOSPC || reason == EDQUOT || reason == EFBIG)
            r = -reason;
    }
    return r == -EIO && c->sink.fd < 0 ? c->sink.fd : r;
}

int kn_arm_live(struct kn_live_report *report)
{
    int r = -ENODEV;
    (void)pthread_mutex_lock(&arm.lock);
    if (arm.armed) {
        arm.live_process = arm.process;
        arm.live_process.has_file = false;
        arm.live_process.dump.fd = -1;
        r = arm.live ? 0
                     : kn_process_new_capture(
                           &arm.live_process, arm.settings.max_threads, &arm.live);
    }
    if (!r) {
        kn_capture_reset(arm.live);
        arm.live->uc = report->uc;
        arm.live->item = report->item;
        arm.live->n_item = report->n_item;
        arm.live->alone = !report->all_threads;
        arm.live->time_ns = report->time_ns;
        struct kn_muted muted;
        kn_mute(&muted);
        r = kn_capture_live(arm.live);
        kn_unmute(&muted);
        if (r)
            r = give_up_live(arm.live, r);
        memcpy(report->event_id, arm.live_process.event_id, sizeof report->event_id);
    }
    (void)pthread_mutex_unlock(&arm.lock);
    return r;
}

int knell_start(const struct knell_options *options)
{
    int saved = errno, cancel = kn_cancel_hold();
    const char *library = kn_launch_library();
    (void)pthread_mutex_lock(&arm.lock);
    arm.library = library;
    int r = start(options);
    if (r && r != -EALREADY)
        kn_tell_failed(r, "knell_start");
    if (r)
        kn_debug("not armed: %s", strerrordesc_np(-r));
    else
        send_what_waits();
    (void)pthread_mutex_unlock(&arm.lock);
    if (!r)
        kn_otel_remember(arm.settings.otel_attributes, arm.settings.otel_service);
    kn_cancel_allow(cancel);
    errno = saved;
    return r;
}

void knell_stop(void)
{
    int saved = errno, cancel = kn_cancel_hold();
    /* It may be waiting for the lock, to report a hang. */
    kn_watchdog_stop();
    (void)pthread_mutex_lock(&arm.lock);
    if (arm.armed) {
        kn_debug("knell stops: a clean end");
        kn_tell_stop(); /* armed still: a child that another thread forks is one of ours
                         */
        if (!arm.in_child && may_send() && kn_spool_has_fresh(&arm.spool) &&
            kn_nudge_due())
            launch();
        kn_launch_reap();
        __atomic_store_n(&arm.armed, false, __ATOMIC_RELEASE);
        disarm();
    }
    (void)pthread_mutex_unlock(&arm.lock);
    kn_cancel_allow(cancel);
    errno = saved;
}

/* exit(3) is a clean exit, whoever calls it. A child of vfork(2) does not get here. */
__attribute__((destructor)) static void at_exit(void)
{
    knell_stop();
}

int knell_rearm(void)
{
    int saved = errno;
    (void)pthread_mutex_lock(&arm.lock);
    int r = arm.armed ? kn_install_again(&arm.process) : -ENODEV;
    (void)pthread_mutex_unlock(&arm.lock);
    errno = saved;
    return r;
}

bool kn_arm_behind(int signo, const struct sigaction *set, struct sigaction *get)
{
    /* Not in a child of vfork(2): it shares this memory. */
    return __atomic_load_n(&arm.armed, __ATOMIC_ACQUIRE) && getpid() == arm.process.pid &&
           kn_install_behind(&arm.process, signo, set, get);
}

void kn_arm_ends(bool ends)
{
    /* Not in a child of vfork(2): it shares this memory. */
    struct knell_journal_head *head = arm.journal.head;
    if (!__atomic_load_n(&arm.armed, __ATOMIC_ACQUIRE) || getpid() != arm.process.pid ||
        !head)
        return;
    uint32_t from = ends ? KNELL_RUN_RUNNING : KNELL_RUN_CLEAN;
    uint32_t to = ends ? KNELL_RUN_CLEAN : KNELL_RUN_RUNNING;
    (void)__atomic_compare_exchange_n(
        &head->state, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

void kn_arm_cover_child(void)
{
    int saved = errno, cancel = kn_cancel_hold();
    (void)pthread_mutex_lock(&arm.lock);
    if (arm.armed && arm.in_child && getpid() == arm.process.pid)
        cover_child();
    (void)pthread_mutex_unlock(&arm.lock);
    kn_cancel_allow(cancel);
    errno = saved;
}

int knell_thread_enter(void)
{
    return kn_altstack_enter();
}

void knell_thread_leave(void)
{
    kn_altstack_leave();
}
