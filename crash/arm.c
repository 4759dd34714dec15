#include "crash/altstack.h"
#include "crash/identity.h"
#include "crash/journal.h"
#include "crash/modules.h"
#include "crash/settings.h"
#include "crash/spool.h"
#include "crash/tell.h"
#include <errno.h>
#include <knell/knell.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

/* What knell_start() made and knell_stop() takes down; under the lock. */
static struct {
    pthread_mutex_t lock;
    bool armed;
    struct kn_settings settings;
    struct kn_identity id;
    char stem[KN_STEM_BYTES];
    struct kn_spool spool;
    struct kn_modules modules;
    struct kn_journal journal;
} arm = {.lock = PTHREAD_MUTEX_INITIALIZER,
    .spool = {.dir = -1, .live = -1, .fresh = -1},
    .journal = {.fd = -1}};

struct kn_journal *kn_journal_current(void)
{
    return __atomic_load_n(&arm.armed, __ATOMIC_ACQUIRE) ? &arm.journal : NULL;
}

static void disarm(void)
{
    kn_tell_stop();
    if (arm.journal.head)
        kn_journal_retire(&arm.journal, &arm.spool, arm.stem);
    kn_modules_done(&arm.modules);
    kn_spool_done(&arm.spool);
}

/* What a set-user-ID program holds is not for the one who started it. */
static bool is_privileged(void)
{
    return getauxval(AT_SECURE) || prctl(PR_GET_DUMPABLE) == 0;
}

static int start(const struct knell_options *options)
{
    if (arm.armed)
        return -EALREADY;
    int r = kn_settings_init(&arm.settings, options);
    if (r)
        return r;
    if (!arm.settings.allow_setuid && is_privileged())
        return -EPERM;
    kn_identity_init(&arm.id);
    kn_identity_stem(&arm.id, arm.stem);
    r = kn_modules_init(&arm.modules, arm.id.executable);
    if (r >= 0)
        r = kn_spool_init(&arm.settings, &arm.spool);
    if (r < 0)
        goto fail;
    if (!arm.settings.release[0])
        kn_modules_release(
            &arm.modules, arm.settings.release, sizeof arm.settings.release);
    r = kn_journal_create(&arm.journal, &arm.spool, arm.stem, &arm.settings, &arm.id);
    if (r)
        goto fail;
    (void)kn_altstack_enter();
    kn_journal_set_state(&arm.journal, KNELL_RUN_RUNNING);
    __atomic_store_n(&arm.armed, true, __ATOMIC_RELEASE);
    kn_tell_start(&arm.journal, &arm.spool, arm.stem, &arm.settings, &arm.id);
    return 0;
fail:
    disarm();
    return r;
}

int knell_start(const struct knell_options *options)
{
    int saved = errno;
    (void)pthread_mutex_lock(&arm.lock);
    int r = start(options);
    if (r && r != -EALREADY)
        kn_tell_failed(r, "knell_start");
    (void)pthread_mutex_unlock(&arm.lock);
    errno = saved;
    return r;
}

void knell_stop(void)
{
    int saved = errno;
    (void)pthread_mutex_lock(&arm.lock);
    if (arm.armed && arm.id.pid == (uint32_t)getpid()) {
        __atomic_store_n(&arm.armed, false, __ATOMIC_RELEASE);
        disarm();
    }
    (void)pthread_mutex_unlock(&arm.lock);
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
