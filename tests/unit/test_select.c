/* Which reports of a spool the words and options of a command line mean, on a spool whose
 * reports are all in the index: an opened one would be unreadable and match nothing. */
#include "uploader/inspect/select.h"

#include "test.h"
#include "tmpdir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { N = 600, MAX_WORDS = 12, NOW_S = 1795212847, MINUTE_MS = 60000 };

static const char *spool_path;

/* Number @i is @i minutes old; ids begin with its number in four digits. */
static struct spool_name name_of(unsigned i)
{
    struct spool_name n = {.time_ms = NOW_S * UINT64_C(1000) - i * (uint64_t)MINUTE_MS,
        .signature = UINT64_C(0xabc000000000) + i % 3,
        .signo = i == 9  ? 0
                 : i % 2 ? 11
                         : 6};
    n.event_id[0] = (uint8_t)(i >> 8);
    n.event_id[1] = (uint8_t)i;
    return n;
}

static void make_spool(void)
{
    static const enum spool_state states[] = {SPOOL_NEW, SPOOL_WAIT, SPOOL_SENT};
    static struct index_entry entries[N];
    struct spool *s;
    spool_path = test_tmpdir();
    CHECK_INT(spool_open(spool_path, true, &s), 0);
    for (unsigned k = 0; k < N; k++) {
        unsigned i = k * 7 % N; /* 600 and 7 have no factor in common: in no order */
        struct spool_name name = name_of(i);
        char file[KNELL_SPOOL_NAME_BYTES + 1];
        spool_name_format(&name, file);
        int fd = openat(s->state_fd[states[i % 3]], file, O_CREAT | O_WRONLY, 0600);
        CHECK(fd >= 0 && close(fd) == 0);
        struct index_entry *e = &entries[k];
        *e = (struct index_entry){.kind = i == 9 ? INDEX_KIND_ERROR : INDEX_KIND_CRASH,
            .pid = 4000 + i,
            .code = i == 9  ? 0
                    : i % 2 ? 1
                            : -6,
            .app = i % 5 ? "exampled" : "plugind",
            .release = i < 300 ? "exampled@2.4.1" : "2.4.0",
            .environment = i == 3 ? "staging" : "production",
            .dist = i == 4 ? "arm" : NULL,
            .server = "node-017",
            .executable = "/usr/sbin/exampled",
            .thread = i == 5 ? "worker/3" : NULL,
            .function = i == 6 ? "conn_read" : "die",
            .file = i == 6 ? "src/conn.c" : NULL,
            .module = "exampled",
            .tags = {i == 7 ? "region=eu" : "region=us", "plain"},
            .n_tags = 2};
        memcpy(e->event_id, name.event_id, sizeof e->event_id);
    }
    CHECK_INT(index_append(s, entries, N), 0);
    spool_close(s);
}

struct result {
    int err;
    size_t n;
    unsigned first, last; /* of the selection, newest first; by age in minutes */
    bool more, by_id, in_order;
};

/* What a command line selects; blanks between its words. */
static struct result pick(const char *line, bool unique)
{
    char text[256], *argv[MAX_WORDS + 1] = {(char *)(uintptr_t) "knell"}, *rest = NULL;
    int argc = 1;
    (void)snprintf(text, sizeof text, "%s", line);
    for (char *w = strtok_r(text, " ", &rest); w && argc < MAX_WORDS;
         w = strtok_r(NULL, " ", &rest))
        argv[argc++] = w;
    struct options o;
    struct result r = {.err = options_parse(argc, argv, NOW_S * INT64_C(1000), true, &o)};
    if (r.err)
        return r;
    struct session s;
    struct store t;
    struct selection x = {0};
    o.spool = spool_path;
    o.quiet = true;
    session_init(&s, &o, NOW_S * INT64_C(1000));
    CHECK_INT(store_open(&s, &t), 0);
    r.err = select_reports(&s, &t, -1, unique, &x);
    r.n = x.n;
    r.more = x.more;
    r.by_id = x.by_id;
    r.in_order = true;
    for (size_t i = 0; i < x.n; i++) {
        unsigned age = (unsigned)x.reports[i]->name.event_id[0] << 8 |
                       x.reports[i]->name.event_id[1];
        r.in_order &= !i || age > r.last;
        r.first = i ? r.first : age;
        r.last = age;
    }
    selection_done(&x);
    store_close(&t);
    CHECK_INT(session_done(&s), EXIT_OK);
    return r;
}

static void each_key_selects(void)
{
    static const struct {
        const char *line;
        size_t n;
        unsigned first;
    } cases[] = {
        {"list", N, 0},
        {"list exampled", N, 0}, /* the executable's name, too */
        {"list plugind", N / 5, 0},
        {"list --app plugind", N / 5, 0},
        {"list app=exampled", N - N / 5, 1},
        {"list --exe /usr/sbin/exampled", N, 0},
        {"list /usr/sbin/exampled", N, 0},
        {"list exe=sbin/exampled", N, 0},
        {"list --release 2.4.1", 300, 0},
        {"list --release exampled@2.4.1", 300, 0},
        {"list release=2.4.0", 300, 300},
        {"list --env staging", 1, 3},
        {"list environment=staging", 1, 3},
        {"list dist=arm", 1, 4},
        {"list server=node-017", N, 0},
        {"list thread=worker/3", 1, 5},
        {"list function=conn_read", 1, 6},
        {"list file=src/conn.c", 1, 6},
        {"list file=conn.c", 1, 6},
        {"list module=exampled", N, 0},
        {"list --tag region=eu", 1, 7},
        {"list tag.region=eu", 1, 7},
        {"list kind=error", 1, 9},
        {"list --signal SEGV", N / 2 - 1, 1},
        {"list --signal 6", N / 2, 0},
        {"list signal=SIGABRT", N / 2, 0},
        {"list --code MAPERR", N / 2 - 1, 1},
        {"list --code USER", 0, 0}, /* an error has no code at all */
        {"list code=0", 0, 0},
        {"list code=TKILL", N / 2, 0},
        {"list --state new", N / 3, 0},
        {"list --state wait,sent", N / 3 * 2, 1},
        {"list state=sent", N / 3, 2},
        {"list --sig abc000000001", N / 3, 1},
        {"list sig=abc", N, 0},
        {"list pid=4008", 1, 8},
        {"list 4008", 1, 8},
        {"list 000800", 1, 8},
        {"list 000a0000", 1, 10},
        {"list 000a0000 0008", 2, 8},
        {"list id=000800", 1, 8},
        {"list 000800 000900", 2, 8},
        {"list 000800 4010", 2, 8},
        {"list 4008 plugind", 0, 0}, /* both must hold: 8 is another program's */
        {"list 4010 plugind", 1, 10},
        {"list --since -10m", 11, 0},
        {"list --until -590m", 10, 590},
        {"list --since -10m --until -5m --signal SEGV", 2, 5},
        {"list -n 3", 3, 0},
        {"list -n 0", 0, 0},
        {"list -1", 1, 0},
        {"list -n 300", 300, 0}, /* more than are sorted one by one */
        {"list -n 9999", N, 0},
        {"list -n 2 --app plugind", 2, 0},
        {"list -r -n 3", 3, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct result r = pick(cases[i].line, true);
        bool none = !cases[i].n && !strstr(cases[i].line, "-n 0");
        if (r.err != (none ? -ENODATA : 0) || r.n != cases[i].n || !r.in_order ||
            (r.n && r.first != cases[i].first)) {
            (void)fprintf(stderr, "%s: err %d, %zu reports from %u on\n", cases[i].line,
                r.err, r.n, r.first);
            CHECK(false);
        }
    }
}

static void a_limit_says_that_there_is_more(void)
{
    CHECK(pick("list -n 3", true).more);
    CHECK(!pick("list -n 600", true).more);
    CHECK(pick("list -n 119 plugind", true).more);
    CHECK(!pick("list -n 120 plugind", true).more);
}

static void what_makes_no_sense_is_an_error(void)
{
    CHECK_INT(pick("show 0008 nonsense=1", true).err, -EINVAL);
    CHECK_INT(pick("show signal=NONE", true).err, -EINVAL);
    CHECK_INT(pick("show state=elsewhere", true).err, -EINVAL);
    CHECK_INT(pick("show pid=none", true).err, -EINVAL);
    CHECK_INT(pick("show =", true).err, -EINVAL);
    CHECK_INT(pick("show nobody", true).err, -ENODATA);
    CHECK_INT(pick("show 0001", true).err, 0);
    CHECK_INT(pick("rm 0000", true).err, 0);
    CHECK_INT(pick("rm id=00", true).err, -EINVAL); /* the start of 256 ids */
    CHECK_INT(pick("rm id=00", false).err, 0);
}

static void words_that_name_single_reports_are_known(void)
{
    CHECK(pick("rm 0008 4010", true).by_id);
    CHECK(!pick("rm 0008 exampled", true).by_id);
    CHECK(!pick("rm 0008 --signal ABRT", true).by_id);
    CHECK(!pick("list", true).by_id);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {TEST(each_key_selects),
        TEST(a_limit_says_that_there_is_more), TEST(what_makes_no_sense_is_an_error),
        TEST(words_that_name_single_reports_are_known)};
    make_spool();
    return test_run(tests, sizeof tests / sizeof *tests, argc, argv);
}
