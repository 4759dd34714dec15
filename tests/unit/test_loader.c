/* A report opened and put in few words; what cannot be read says why, and what was read
 * once is not read again. */
#include "uploader/inspect/loader.h"

#include "dump.h"
#include "test.h"
#include "tmpdir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct trial {
    struct session s;
    struct store t;
    const char *spool;
};

static void put(const char *spool, const char *state, uint8_t id, const void *p, size_t n)
{
    struct spool_name name = {.time_ms = 1000 + id, .signo = 11, .event_id = {id}};
    char file[KNELL_SPOOL_NAME_BYTES + 1], path[KNELL_SPOOL_NAME_BYTES + 16];
    spool_name_format(&name, file);
    (void)snprintf(path, sizeof path, "%s/%s", state, file);
    test_write_file(spool, path, p, n);
}

static void begin(struct trial *x, const void *bytes, size_t n)
{
    struct spool *made;
    *x = (struct trial){.spool = test_tmpdir()};
    CHECK_INT(spool_open(x->spool, true, &made), 0);
    spool_close(made);
    put(x->spool, "new", 1, bytes, n);
    const struct options o = {.config = "/dev/null", .spool = x->spool, .last = -1};
    session_init(&x->s, &o, 0);
    CHECK_INT(store_open(&x->s, &x->t), 0);
    CHECK_INT(x->t.n_reports, 1);
}

static void end(struct trial *x)
{
    store_close(&x->t);
    CHECK_INT(session_done(&x->s), EXIT_OK);
}

static void a_report_in_few_words(void)
{
    struct trial x;
    struct dump *made = dump_example();
    size_t n;
    const uint8_t *bytes = dump_finish(made, &n);
    begin(&x, bytes, n);
    struct index_entry e;
    loader_facts(&x.s, &x.t, store_newest(&x.t, 0), &e);
    CHECK_INT(e.kind, INDEX_KIND_CRASH);
    CHECK_INT(e.report_bytes, n);
    CHECK_INT(e.n_threads, 2);
    CHECK(e.app && e.release && e.executable && e.cause);
    /* The index has learnt it: the file is not needed any more. */
    CHECK_INT(index_count(x.t.spools[0].index), 1);
    end(&x);
    CHECK_INT(test_count_files(x.spool, "new"), 1);
    put(x.spool, "new", 1, "", 0);
    const struct options o = {.config = "/dev/null", .spool = x.spool, .last = -1};
    session_init(&x.s, &o, 0);
    CHECK_INT(store_open(&x.s, &x.t), 0);
    loader_facts(&x.s, &x.t, store_newest(&x.t, 0), &e);
    CHECK_INT(e.kind, INDEX_KIND_CRASH);
    CHECK_INT(e.report_bytes, n);
    end(&x);
    dump_free(made);
}

static void what_is_no_report_says_why(void)
{
    struct trial x;
    struct index_entry e;
    begin(&x, "MDMPgarbage", 11);
    loader_facts(&x.s, &x.t, store_newest(&x.t, 0), &e);
    CHECK_INT(e.kind, INDEX_KIND_UNKNOWN);
    CHECK(e.cause && strstr(e.cause, "unreadable") && strstr(e.cause, "header"));
    end(&x);
    /* It may be readable later: nothing was learnt for good. */
    char path[512];
    (void)snprintf(path, sizeof path, "%s/" SPOOL_INDEX_FILE, x.spool);
    CHECK_INT(access(path, F_OK), -1);
}

/* The uploader moves reports while somebody looks. */
static void what_moved_is_found_again(void)
{
    struct trial x;
    struct loaded l;
    struct dump *made = dump_example();
    size_t n;
    const uint8_t *bytes = dump_finish(made, &n);
    begin(&x, bytes, n);
    struct report *r = store_newest(&x.t, 0);
    const struct spool *spool = x.t.spools[0].spool;
    struct spool_name as = r->name;
    as.attempts = 3;
    as.not_before_s = 1800000000;
    CHECK_INT(spool_move(spool, SPOOL_NEW, &r->name, SPOOL_WAIT, &as), 0);
    CHECK_INT(loader_open(&x.s, &x.t, r, &l, NULL), 0);
    CHECK_INT(l.n_bytes, n);
    CHECK_INT(r->state, SPOOL_WAIT);
    CHECK_INT(r->name.attempts, 3);
    loader_done(&l);
    CHECK_INT(spool_move(spool, SPOOL_WAIT, &r->name, SPOOL_SENT, NULL), 0);
    CHECK_INT(loader_open(&x.s, &x.t, r, &l, NULL), 0);
    CHECK_INT(r->state, SPOOL_SENT);
    loader_done(&l);
    char file[KNELL_SPOOL_NAME_BYTES + 1];
    CHECK_INT(unlinkat(spool->state_fd[SPOOL_SENT], report_file(r, file), 0), 0);
    CHECK_INT(loader_open(&x.s, &x.t, r, &l, NULL), -ENOENT);
    loader_done(&l);
    end(&x);
    dump_free(made);
}

static void a_link_is_not_followed(void)
{
    struct trial x;
    struct loaded l;
    begin(&x, "", 0);
    struct report *r = store_newest(&x.t, 0);
    const int fresh = x.t.spools[0].spool->state_fd[SPOOL_NEW];
    char file[KNELL_SPOOL_NAME_BYTES + 1];
    CHECK_INT(unlinkat(fresh, report_file(r, file), 0), 0);
    CHECK_INT(symlinkat("/etc/passwd", fresh, file), 0);
    CHECK_INT(loader_open(&x.s, &x.t, r, &l, NULL), -ELOOP);
    loader_done(&l);
    CHECK_INT(unlinkat(fresh, file, 0), 0);
    CHECK_INT(mkfifoat(fresh, file, 0600), 0);
    CHECK(loader_open(&x.s, &x.t, r, &l, NULL) < 0); /* and nobody waits */
    loader_done(&l);
    end(&x);
}

/* Cut anywhere, a report is read in part or refused, and given back either way. */
static void every_cut_is_borne(void)
{
    struct dump *made = dump_example();
    size_t n;
    const uint8_t *bytes = dump_finish(made, &n);
    for (size_t cut = 0; cut < n; cut += n / 40 + 1) {
        struct trial x;
        struct index_entry e;
        begin(&x, bytes, cut);
        loader_facts(&x.s, &x.t, store_newest(&x.t, 0), &e);
        CHECK_INT(e.event_id[0], 1);
        end(&x);
        test_tmpdir_done(x.spool);
    }
    dump_free(made);
}

TEST_MAIN(TEST(a_report_in_few_words), TEST(what_is_no_report_says_why),
    TEST(what_moved_is_found_again), TEST(a_link_is_not_followed),
    TEST(every_cut_is_borne))
