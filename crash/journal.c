#include "crash/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <knell/spool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void fill_head(struct knell_journal_head *h, uint32_t n_bytes,
    const struct kn_settings *settings, const struct kn_identity *id)
{
    h->version = KNELL_JOURNAL_VERSION;
    h->head_bytes = sizeof *h;
    h->total_bytes = n_bytes;
    h->state = KNELL_RUN_STARTING;
    memcpy(h->event_id, id->event_id, sizeof h->event_id);
    memcpy(h->boot_id, id->boot_id, sizeof h->boot_id);
    h->pid = id->pid;
    h->start_ticks = id->start_ticks;
    h->start_realtime_ns = h->heartbeat_ns = id->start_realtime_ns;
    h->start_boottime_ns = id->start_boottime_ns;
    h->oom_kills_at_start = id->oom_kills;
    kn_copy_text(h->app, sizeof h->app, settings->app);
    kn_copy_text(h->release, sizeof h->release, settings->release);
    kn_copy_text(h->environment, sizeof h->environment, settings->environment);
    kn_copy_text(h->dist, sizeof h->dist, settings->dist);
    kn_copy_text(h->server_name, sizeof h->server_name, id->server_name);
    kn_copy_text(h->executable, sizeof h->executable, id->executable);
    kn_copy_text(h->cgroup, sizeof h->cgroup, id->cgroup);
    kn_copy_text(h->kernel, sizeof h->kernel, id->kernel);
    kn_copy_text(h->libc, sizeof h->libc, id->libc);
    kn_copy_text(h->sdk, sizeof h->sdk, "knell " KNELL_VERSION);
    /* Last: a reader that sees the magic sees a whole head. */
    __atomic_store_n(&h->magic, KNELL_JOURNAL_MAGIC, __ATOMIC_RELEASE);
}

/* The areas that only the reader of the file itself needs, behind all others. The modules
 * are written as into any file: their pages need not be resident. */
static int add_areas(struct kn_journal *j, size_t at, const struct kn_modules *modules)
{
    size_t n = kn_modules_area_bytes(modules);
    struct knell_journal_area *all = j->head->areas;
    all[KNELL_AREA_CRASH - 1] = (struct knell_journal_area){.type = KNELL_AREA_CRASH,
        .offset = (uint32_t)at,
        .n_bytes = sizeof(struct knell_journal_crash)};
    j->words = (struct knell_journal_crash *)(void *)((uint8_t *)j->head + at);
    /* Have its pages now: the disk may not answer when they are needed. */
    for (size_t i = 0; i < sizeof *j->words; i += 4096)
        (void)*((const volatile uint8_t *)j->words + i);
    (void)*((const volatile uint8_t *)(j->words + 1) - 1);
    at += sizeof(struct knell_journal_crash);
    all[KNELL_AREA_MODULES - 1] = (struct knell_journal_area){
        .type = KNELL_AREA_MODULES, .offset = (uint32_t)at, .n_bytes = (uint32_t)n};
    void *area = calloc(1, n);
    if (!area)
        return -ENOMEM;
    kn_modules_area(modules, area);
    ssize_t wrote = pwrite(j->file.fd, area, n, (off_t)at);
    free(area);
    return wrote == (ssize_t)n ? 0 : wrote < 0 ? -errno : -EIO;
}

int kn_journal_create(struct kn_journal *ret, const struct kn_spool *spool,
    const char *stem, const struct kn_settings *settings, const struct kn_identity *id,
    const struct kn_modules *modules)
{
    const size_t n_areas = kn_areas_bytes(&settings->told);
    const size_t n =
        n_areas + sizeof(struct knell_journal_crash) + kn_modules_area_bytes(modules);
    struct kn_journal j = {.n_bytes = (uint32_t)n};
    int fd, r = kn_spool_create_live(spool, stem, KNELL_JOURNAL_SUFFIX, &fd);
    if (r)
        return r;
    j.file = kn_file_of(fd);
    r = j.file.fd < 0 ? -errno : kn_spool_allocate(fd, j.n_bytes);
    if (r)
        goto fail;
    void *map = mmap(NULL, j.n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        r = -errno;
        goto fail;
    }
    /* Touched here and there: no page but those is wanted, and nothing read ahead. */
    (void)madvise(map, j.n_bytes, MADV_RANDOM);
    j.head = (struct knell_journal_head *)map;
    j.areas = kn_areas_new(j.head, &settings->told);
    if (!j.areas) {
        (void)munmap(map, j.n_bytes);
        r = -ENOMEM;
        goto fail;
    }
    r = add_areas(&j, n_areas, modules);
    if (r)
        goto fail;
    fill_head(j.head, j.n_bytes, settings, id);
    *ret = j;
    return 0;
fail:
    kn_file_close(&j.file);
    kn_spool_remove_live(spool, stem, KNELL_JOURNAL_SUFFIX);
    return r;
}

void kn_journal_set_state(struct kn_journal *j, uint32_t state)
{
    if (j->head)
        __atomic_store_n(&j->head->state, state, __ATOMIC_RELEASE);
}

void kn_journal_retire(
    struct kn_journal *j, const struct kn_spool *spool, const char *stem)
{
    if (j->head == (kn_areas_current() ? kn_areas_current()->head : NULL))
        kn_areas_publish(NULL);
    kn_journal_set_state(j, KNELL_RUN_CLEAN);
    kn_spool_remove_live(spool, stem, KNELL_JOURNAL_SUFFIX);
    kn_file_close(&j->file);
    j->head = NULL;
}
