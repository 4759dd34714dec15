/*
 * The power fails after each thing that the real programs do to the disk, and what was
 * not synced is gone: bytes, halves of bytes, all names, any one name. An uploader's pass
 * on each such disk finds the report whole in one place or at an earlier stage of its
 * way, never lost, never half, and what counts as sent has arrived.
 *
 * usage: test_power_loss [STEP [SCENARIO...]]     every STEP-th state (7)
 */
#include "disk.h"
#include "scenario.h"
#include "test.h"
#include "tmpdir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_SEEN = 8192, MAX_NAMES = 40 };

static const char *const loss_names[DISK_N_LOSSES] = {
    "nothing lost", "bytes lost", "bytes halved", "names lost", "one name lost"};

/* Servers keep what they got: to a folder on the same disk it must be kept as well. */
static const char *const chosen[] = {"handler", "upload_to_a_folder", "upload_committed",
    "upload_obituary", "upload_left_over", "upload_strangers", "hold", "release",
    "retry_wait", "retry_bad", "rm", "rm_bad", "import", "consent", "verify_repair",
    "verify_repair_dead"};

struct watch {
    struct disk *disk;
    struct scenario_seen seen;
    uint64_t scenario;     /* its number */
    unsigned committed_at; /* operations when the handler's sync had returned */
};

static long step = 7;

static enum trace_verdict visit(void *ctx, struct trace_call *c)
{
    struct watch *w = ctx;
    bool told = (c->number == SYS_write || c->number == SYS_writev) && c->args[0] <= 2;
    scenario_see(&w->seen, c);
    if (!told)
        disk_see(w->disk, c);
    bool synced = c->after && (c->number == SYS_fsync || c->number == SYS_fdatasync);
    if (synced && w->seen.committed && !w->committed_at)
        w->committed_at = disk_count(w->disk);
    return TRACE_GO;
}

static bool is_new_state(uint64_t digest)
{
    static uint64_t seen[MAX_SEEN];
    static size_t n_seen;
    for (size_t i = 0; i < n_seen; i++) {
        if (seen[i] == digest)
            return false;
    }
    if (n_seen < MAX_SEEN)
        seen[n_seen++] = digest;
    return true;
}

/* What people were told is done stays done. */
static bool check_promises(const struct scenario *sc, const struct stage *s)
{
    int n;
    unsigned states = s->event_id[0] ? stage_states(s, s->event_id, &n) : 0;
    if (!strcmp(sc->name, "consent") || !strcmp(sc->name, "hold"))
        return CHECK(states == 1u << SPOOL_HOLD);
    if (!strcmp(sc->name, "import"))
        return CHECK_INT(stage_count(s, SPOOL_HOLD), 1);
    return true;
}

static bool check_state(
    const struct scenario *sc, const struct watch *w, struct stage *s, unsigned at)
{
    struct scenario_seen seen = {0};
    seen.told = seen.committed = w->committed_at && at >= w->committed_at;
    /* Before its sync a dump may be half there; then it is put away, or an obituary. */
    bool may_be_bad = sc->dies && !seen.committed;
    bool ok = true;
    if (may_be_bad)
        (void)stage_upload(s);
    else
        ok = scenario_recover(sc, s, &seen, scenario_requests());
    if (sc->kind != STAGE_SENT && stage_count(s, SPOOL_SENT))
        ok &= CHECK(stage_arrived(s, NULL, NULL) >= 1);
    if (at == disk_count(w->disk))
        ok &= check_promises(sc, s);
    return ok;
}

static bool try_state(const struct scenario *sc, const struct watch *w,
    const struct stage *from, unsigned at, enum disk_loss loss, unsigned which)
{
    static long n;
    struct stage *s = stage_new(STAGE_EMPTY, NULL);
    memcpy(s->event_id, from->event_id, sizeof s->event_id);
    bool exists = disk_make(w->disk, at, loss, which, s->dir);
    uint64_t mark = (uint64_t)(at == disk_count(w->disk)) << 1 |
                    (w->committed_at && at >= w->committed_at) | w->scenario << 2;
    bool wanted = exists && is_new_state(stage_digest(s) + mark * 0x9e3779b97f4a7c15u) &&
                  n++ % step == 0;
    int failures = test_failures();
    if (wanted)
        (void)check_state(sc, w, s, at);
    if (test_failures() > failures) {
        printf("%s: power lost after \"%s\" (%u of %u), %s %u\n", sc->name,
            disk_describe(w->disk, at), at, disk_count(w->disk), loss_names[loss], which);
        stage_show(s);
    }
    stage_free(s);
    return exists;
}

static void run_scenario(const struct scenario *given)
{
    struct scenario sc = *given;
    sc.server = sc.both = false;
    struct stage *s = scenario_set_up(&sc);
    struct watch w = {.disk = disk_new(s->dir, test_tmpdir()),
        .scenario = (uint64_t)(given - scenarios)};
    struct trace_result r;
    unsigned tries = 0;
    scenario_run(&sc, s, visit, &w, &r);
    for (unsigned at = 0; at <= disk_count(w.disk); at++) {
        for (int loss = 0; loss < DISK_LOSES_ONE_NAME; loss++)
            tries += try_state(&sc, &w, s, at, (enum disk_loss)loss, 0);
        for (unsigned k = 0; k < MAX_NAMES; k++) {
            if (!try_state(&sc, &w, s, at, DISK_LOSES_ONE_NAME, k))
                break;
            tries++;
        }
    }
    CHECK(disk_count(w.disk) > 0);
    printf(
        "%s: %u operations, %u states of the disk\n", sc.name, disk_count(w.disk), tries);
    disk_free(w.disk);
    stage_free(s);
}

static bool is_ours(const struct scenario *sc)
{
    for (size_t i = 0; i < sizeof chosen / sizeof *chosen; i++) {
        if (!strcmp(sc->name, chosen[i]))
            return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        step = atol(argv[1]);
    if (!trace_works()) {
        printf("ptrace is not allowed here\n");
        return 77;
    }
    return scenario_each(argc, argv, 2, is_ours, run_scenario);
}
