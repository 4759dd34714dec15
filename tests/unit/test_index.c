#include "test.h"
#include "tmpdir.h"
#include "uploader/spool/index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

static struct spool *make_spool(void)
{
    struct spool *s = NULL;
    CHECK_INT(spool_open(test_tmpdir(), true, &s), 0);
    return s;
}

static struct index_entry entry(uint8_t id)
{
    struct index_entry e = {.event_id = {id, 1, 2, 3},
        .pid = 4711,
        .tid = 4719,
        .code = -6,
        .address = 0x18,
        .time_us = 1795212847123456,
        .uptime_ms = 266400000,
        .line = 212,
        .n_threads = 5,
        .report_bytes = 123456,
        .kind = INDEX_KIND_CRASH,
        .app = "exampled",
        .release = "exampled@2.4.1",
        .function = "conn_read",
        .file = "src/con\tn\\x.c",
        .cause = "line\nbreak \\t"};
    e.tags[0] = "region=eu";
    e.tags[1] = "tab\tin=tag";
    e.n_tags = 2;
    return e;
}

static void entries_come_back_as_they_were(void)
{
    struct spool *s = make_spool();
    struct index_entry in[2] = {entry(1), entry(2)}, out;
    in[1].code = 2;
    in[1].n_tags = 0;
    CHECK_INT(index_append(s, in, 2), 0);
    struct index *x = NULL;
    CHECK_INT(index_load(s, &x), 0);
    CHECK_INT(index_count(x), 2);
    CHECK_INT(index_find(x, in[0].event_id, &out), 0);
    CHECK_INT(out.pid, 4711);
    CHECK_INT(out.tid, 4719);
    CHECK_INT(out.code, -6);
    CHECK_INT(out.address, 0x18);
    CHECK_INT(out.time_us, 1795212847123456);
    CHECK_INT(out.uptime_ms, 266400000);
    CHECK_INT(out.line, 212);
    CHECK_INT(out.n_threads, 5);
    CHECK_INT(out.report_bytes, 123456);
    CHECK_INT(out.kind, INDEX_KIND_CRASH);
    CHECK_STR(out.app, "exampled");
    CHECK_STR(out.release, "exampled@2.4.1");
    CHECK(out.environment == NULL && out.module == NULL);
    CHECK_STR(out.function, "conn_read");
    CHECK_STR(out.file, "src/con\tn\\x.c");
    CHECK_STR(out.cause, "line\nbreak \\t");
    CHECK_INT(out.n_tags, 2);
    CHECK_STR(out.tags[0], "region=eu");
    CHECK_STR(out.tags[1], "tab\tin=tag");
    CHECK_INT(index_find(x, in[1].event_id, &out), 0);
    CHECK_INT(out.code, 2);
    CHECK_INT(out.n_tags, 0);
    const uint8_t other[SPOOL_EVENT_ID_BYTES] = {9};
    CHECK_INT(index_find(x, other, &out), -ENODATA);
    index_free(x);
    spool_close(s);
}

static void the_later_line_counts(void)
{
    struct spool *s = make_spool();
    struct index_entry e = entry(1), out;
    CHECK_INT(index_append(s, &e, 1), 0);
    e.function = "later";
    CHECK_INT(index_append(s, &e, 1), 0);
    struct index *x = NULL;
    CHECK_INT(index_load(s, &x), 0);
    CHECK_INT(index_count(x), 1);
    CHECK_INT(index_find(x, e.event_id, &out), 0);
    CHECK_STR(out.function, "later");
    e.function = "in memory";
    CHECK_INT(index_add(x, &e), 0);
    CHECK_INT(index_find(x, e.event_id, &out), 0);
    CHECK_STR(out.function, "in memory");
    index_free(x);
    spool_close(s);
}

static void memory_takes_any_number(void)
{
    struct spool *s = make_spool();
    struct index *x = NULL;
    struct index_entry e = entry(0), out;
    CHECK_INT(index_load(s, &x), 0);
    for (unsigned i = 0; i < 3000; i++) {
        e.event_id[0] = (uint8_t)i;
        e.event_id[1] = (uint8_t)(i >> 8);
        e.pid = i;
        CHECK_INT(index_add(x, &e), 0);
    }
    CHECK_INT(index_count(x), 3000);
    bool all = true;
    for (unsigned i = 0; i < 3000; i++) {
        e.event_id[0] = (uint8_t)i;
        e.event_id[1] = (uint8_t)(i >> 8);
        all = all && index_find(x, e.event_id, &out) == 0 && out.pid == i;
    }
    CHECK(all);
    index_free(x);
    spool_close(s);
}

/* A file of many blocks is read from its end, and only as far as it must be. */
static void the_newest_are_found_without_the_rest(void)
{
    enum { N = 5000 };
    struct spool *s = make_spool();
    static struct index_entry all[N];
    struct index_entry out, again = entry(0);
    for (unsigned i = 0; i < N; i++) {
        all[i] = entry((uint8_t)i);
        all[i].event_id[1] = (uint8_t)(i >> 8);
        all[i].pid = i;
    }
    again.event_id[1] = 0;
    again.pid = 999999;
    CHECK_INT(index_append(s, all, N), 0);
    CHECK_INT(index_append(s, &again, 1), 0);
    struct index *x = NULL;
    CHECK_INT(index_load(s, &x), 0);
    bool found = true;
    for (unsigned i = N - 1; i > 0; i--)
        found = found && index_find(x, all[i].event_id, &out) == 0 && out.pid == i;
    CHECK(found);
    CHECK_INT(index_find(x, all[0].event_id, &out), 0);
    CHECK_INT(out.pid, 999999); /* the later line, though the other was read last */
    CHECK_INT(index_count(x), N);
    index_free(x);

    CHECK_INT(index_load(s, &x), 0);
    CHECK_INT(index_find(x, all[N - 1].event_id, &out), 0);
    char path[512];
    (void)snprintf(path, sizeof path, "%s/" SPOOL_INDEX_FILE, s->path);
    CHECK_INT(truncate(path, 0), 0);
    CHECK_INT(index_find(x, all[N - 2].event_id, &out), 0);
    CHECK_INT(index_find(x, all[1].event_id, &out), -ENODATA);
    CHECK_INT(index_add(x, &all[1]), 0);
    CHECK_INT(index_find(x, all[1].event_id, &out), 0);
    CHECK_INT(index_find(x, all[N - 1].event_id, &out), 0);
    index_free(x);
    spool_close(s);
}

/* Every way to cut or flip one byte of a file either leaves an entry as it was or makes
 * it unknown. */
static void damage_is_never_believed(void)
{
    struct spool *s = make_spool();
    struct index_entry in[2] = {entry(1), entry(2)}, out;
    CHECK_INT(index_append(s, in, 2), 0);
    char path[512], bytes[4096];
    (void)snprintf(path, sizeof path, "%s/" SPOOL_INDEX_FILE, s->path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ssize_t n = pread(fd, bytes, sizeof bytes, 0);
    CHECK(n > 300);
    unsigned wrong = 0;
    for (ssize_t i = 0; i < 2 * n; i++) {
        char old = bytes[i % n];
        if (i < n) {
            CHECK_INT(ftruncate(fd, i), 0);
        } else {
            bytes[i - n] ^= (char)(1 << (i % 7));
            CHECK_INT(ftruncate(fd, 0), 0);
            CHECK_INT(pwrite(fd, bytes, (size_t)n, 0), n);
        }
        struct index *x = NULL;
        CHECK_INT(index_load(s, &x), 0);
        for (int k = 0; k < 2; k++)
            if (index_find(x, in[k].event_id, &out) == 0 &&
                (!out.app || strcmp(out.app, "exampled") != 0 || out.pid != 4711 ||
                    out.n_tags != 2))
                wrong++;
        index_free(x);
        bytes[i % n] = old;
        if (i < n)
            CHECK_INT(pwrite(fd, bytes, (size_t)n, 0), n);
    }
    CHECK_INT(wrong, 0);
    (void)close(fd);
    spool_close(s);
}

static void a_torn_line_costs_only_itself(void)
{
    struct spool *s = make_spool();
    struct index_entry a = entry(1), b = entry(2), out;
    CHECK_INT(index_append(s, &a, 1), 0);
    char path[512];
    (void)snprintf(path, sizeof path, "%s/" SPOOL_INDEX_FILE, s->path);
    FILE *f = fopen(path, "ae");
    CHECK(f && fputs("1\t0303000000000000000000000000\tgarbage\n\n\t\t\n", f) >= 0);
    CHECK(f && fclose(f) == 0);
    CHECK_INT(index_append(s, &b, 1), 0);
    struct index *x = NULL;
    CHECK_INT(index_load(s, &x), 0);
    CHECK_INT(index_find(x, a.event_id, &out), 0);
    CHECK_INT(index_find(x, b.event_id, &out), 0);
    CHECK_INT(index_count(x), 2);
    index_free(x);
    spool_close(s);
}

static void links_and_strangers_are_refused(void)
{
    struct spool *s = make_spool();
    struct index_entry e = entry(1);
    struct index *x = NULL;
    CHECK_INT(symlinkat("/etc/passwd", s->fd, SPOOL_INDEX_FILE), 0);
    CHECK_INT(index_append(s, &e, 1), -ELOOP);
    CHECK_INT(index_load(s, &x), 0);
    CHECK_INT(index_count(x), 0);
    index_free(x);
    CHECK_INT(unlinkat(s->fd, SPOOL_INDEX_FILE, 0), 0);
    CHECK_INT(mkfifoat(s->fd, SPOOL_INDEX_FILE, 0600), 0);
    CHECK(index_append(s, &e, 1) < 0);
    CHECK_INT(index_load(s, &x), 0);
    index_free(x);
    spool_close(s);
}

/* A report with this event id in sent/. */
static void put_report(const struct spool *s, const struct index_entry *e)
{
    struct spool_name n = {.signo = 11};
    char file[KNELL_SPOOL_NAME_BYTES + 1], path[KNELL_SPOOL_NAME_BYTES + 16];
    memcpy(n.event_id, e->event_id, sizeof n.event_id);
    spool_name_format(&n, file);
    snprintf(path, sizeof path, "sent/%s", file);
    test_write_file(s->path, path, "MDMP", 4);
}

static void compaction_keeps_what_is_there(void)
{
    struct spool *s = make_spool();
    struct index_entry e = entry(1), out;
    CHECK_INT(index_compact(s), 0); /* none */
    CHECK_INT(index_append(s, &e, 1), 0);
    put_report(s, &e);
    CHECK_INT(index_compact(s), 0); /* too small to bother */
    for (unsigned i = 0; i < 1500; i++) {
        e.event_id[0] = 2;
        e.event_id[1] = (uint8_t)i;
        e.event_id[2] = (uint8_t)(i >> 8);
        CHECK_INT(index_append(s, &e, 1), 0);
    }
    CHECK_INT(index_compact(s), 1);
    struct index *x = NULL;
    CHECK_INT(index_load(s, &x), 0);
    CHECK_INT(index_count(x), 1);
    e = entry(1);
    CHECK_INT(index_find(x, e.event_id, &out), 0);
    index_free(x);
    char path[600];
    snprintf(path, sizeof path, "%s/" SPOOL_INDEX_FILE, s->path);
    CHECK_INT(truncate(path, (off_t)INDEX_MAX_BYTES + 1), 0);
    CHECK_INT(index_compact(s), 1);
    CHECK_INT(access(path, F_OK), -1);
    spool_close(s);
}

TEST_MAIN(TEST(entries_come_back_as_they_were), TEST(the_later_line_counts),
    TEST(memory_takes_any_number), TEST(damage_is_never_believed),
    TEST(a_torn_line_costs_only_itself), TEST(links_and_strangers_are_refused),
    TEST(compaction_keeps_what_is_there), TEST(the_newest_are_found_without_the_rest))
