/* Which spools are meant, and that reports come newest first however few are asked for.
 */
#include "uploader/inspect/store.h"

#include "test.h"
#include "tmpdir.h"

#include <errno.h>
#include <fcntl.h>
#include <knell/journal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void put(const char *spool, enum spool_state state, uint64_t time_ms, uint8_t id)
{
    struct spool_name n = {.time_ms = time_ms, .signo = 11, .event_id = {id}};
    char file[KNELL_SPOOL_NAME_BYTES + 1], path[KNELL_SPOOL_NAME_BYTES + 16];
    spool_name_format(&n, file);
    (void)snprintf(path, sizeof path, "%s/%s", spool_state_name(state), file);
    test_write_file(spool, path, "x", 1);
}

static char *make_spool(const char *name)
{
    struct spool *s;
    char *path;
    if (asprintf(&path, "%s/%s", test_tmpdir(), name) < 0)
        abort();
    CHECK_INT(spool_open(path, true, &s), 0);
    spool_close(s);
    return path;
}

static int open_with(const struct options *o, struct session *s, struct store *t)
{
    session_init(s, o, 0);
    return store_open(s, t);
}

static void done(struct session *s, struct store *t)
{
    store_close(t);
    CHECK_INT(session_done(s), EXIT_OK);
}

static void the_newest_come_first(void)
{
    enum { N = 700 };
    char *path = make_spool("spool");
    struct session s;
    struct store t;
    for (unsigned i = 0; i < N; i++) /* in no order; two of each time */
        put(path, i % 2 ? SPOOL_NEW : SPOOL_SENT, 1000 + i * 7 % N / 2, (uint8_t)i);
    const struct options o = {.config = "/dev/null", .spool = path, .last = -1};
    /* One by one, from the middle of what is sorted at once, and all at once. */
    static const size_t first[] = {0, 300, N - 1};
    for (size_t k = 0; k < sizeof first / sizeof *first; k++) {
        CHECK_INT(open_with(&o, &s, &t), 0);
        CHECK_INT(t.n_reports, N);
        (void)store_newest(&t, first[k]);
        const struct report *kept = store_newest(&t, 3);
        const struct report was = *kept;
        bool in_order = true;
        for (size_t i = 1; i < N; i++) {
            uint64_t before = store_newest(&t, i - 1)->name.time_ms;
            in_order = in_order && before >= store_newest(&t, i)->name.time_ms;
        }
        CHECK(in_order);
        CHECK_INT(t.n_sorted, N);
        CHECK(kept == store_newest(&t, 3));
        CHECK(!memcmp(&was, kept, sizeof was)); /* it stayed where it was */
        done(&s, &t);
    }
    CHECK_INT(open_with(&o, &s, &t), 0);
    (void)store_newest(&t, 19);
    CHECK_INT(t.n_sorted, 20);
    done(&s, &t);
    free(path);
}

static void states_are_left_out(void)
{
    char *path = make_spool("spool");
    struct session s;
    struct store t;
    put(path, SPOOL_NEW, 1, 1);
    put(path, SPOOL_HOLD, 2, 2);
    put(path, SPOOL_BAD, 3, 3);
    struct options o = {.config = "/dev/null", .spool = path, .last = -1};
    o.states = 1u << SPOOL_HOLD | 1u << SPOOL_BAD;
    CHECK_INT(open_with(&o, &s, &t), 0);
    CHECK_INT(t.n_reports, 2);
    CHECK_INT(store_newest(&t, 0)->state, SPOOL_BAD);
    done(&s, &t);
    free(path);
}

static void every_spool_is_found(void)
{
    const char *home = test_tmpdir();
    char root[512], strange[600];
    struct session s;
    struct store t;
    (void)snprintf(root, sizeof root, "%s/knell", home);
    (void)unsetenv("KNELL_SPOOL");
    (void)setenv("XDG_STATE_HOME", home, 1);
    char **paths = NULL;
    struct options o = {.config = "/dev/null", .last = -1};
    int before = store_paths(&o, &paths); /* of this machine's own */
    store_paths_free(paths, before);
    static const char *const apps[] = {"b/new", "a/new", ".hidden/new", "none"};
    for (size_t i = 0; i < sizeof apps / sizeof *apps; i++) {
        (void)snprintf(strange, sizeof strange, "%s/%s", root, apps[i]);
        CHECK_INT(spool_make_path(strange), 0);
    }
    int n = store_paths(&o, &paths);
    CHECK_INT(n, before + 2);
    store_paths_free(paths, n);
    (void)setenv("KNELL_SPOOL", "/given", 1);
    n = store_paths(&o, &paths);
    CHECK_INT(n, 1);
    if (n == 1)
        CHECK_STR(paths[0], "/given");
    store_paths_free(paths, n);
    o.all = true;
    n = store_paths(&o, &paths);
    CHECK_INT(n, before + 3);
    store_paths_free(paths, n);
    o.all = false;
    CHECK_INT(open_with(&o, &s, &t), -ENOENT); /* and a message */
    done(&s, &t);
    (void)unsetenv("KNELL_SPOOL");
}

static void others_may_not_write_to_it(void)
{
    char *path = make_spool("spool");
    struct session s;
    struct store t;
    CHECK_INT(chmod(path, 0777), 0);
    const struct options o = {.config = "/dev/null", .spool = path, .last = -1};
    CHECK_INT(open_with(&o, &s, &t), -EPERM);
    done(&s, &t);
    free(path);
}

static void put_journal(const char *spool, uint8_t id, uint32_t state, int32_t signo)
{
    const struct spool_live_name n = {
        .boot = 1, .pid = 1, .start_ticks = id, .event_id = {id}, .journal = true};
    const struct knell_journal_head head = {
        .magic = KNELL_JOURNAL_MAGIC, .state = state, .crash_signo = signo};
    char file[SPOOL_LIVE_NAME_BYTES + 1], path[SPOOL_LIVE_NAME_BYTES + 16];
    spool_live_name_format(&n, file);
    (void)snprintf(path, sizeof path, KNELL_SPOOL_LIVE "/%s", file);
    test_write_file(spool, path, &head, sizeof head);
}

/* Deaths of another boot that are no report yet; one was reported by its handler, one
 * ended as it should. */
static void deaths_without_a_report_are_counted(void)
{
    char *path = make_spool("spool");
    struct session s;
    struct store t;
    put_journal(path, 1, KNELL_RUN_RUNNING, 0);
    put_journal(path, 2, KNELL_RUN_RUNNING, 11);
    put_journal(path, 3, KNELL_RUN_CLEAN, 0);
    const struct options o = {.config = "/dev/null", .spool = path, .last = -1};
    CHECK_INT(open_with(&o, &s, &t), 0);
    CHECK_INT(t.n_unadopted, 1);
    done(&s, &t);
    free(path);
}

TEST_MAIN(TEST(deaths_without_a_report_are_counted), TEST(the_newest_come_first),
    TEST(states_are_left_out), TEST(every_spool_is_found),
    TEST(others_may_not_write_to_it))
