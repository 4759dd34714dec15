#include "test.h"
#include "tmpdir.h"

#include "uploader/spool/queue.h"

#include <stdio.h>

static void put(
    const char *spool, uint64_t time_ms, uint64_t signature, uint64_t not_before)
{
    struct spool_name n = {
        .time_ms = time_ms, .signature = signature, .not_before_s = not_before};
    char path[160], file[KNELL_SPOOL_NAME_BYTES + 1];
    memcpy(n.event_id, &time_ms, sizeof time_ms);
    spool_name_format(&n, file);
    snprintf(path, sizeof path, "new/%s", file);
    test_write_file(spool, path, "x", 1);
}

static bool known(void *ctx, uint64_t signature)
{
    return signature == *(uint64_t *)ctx;
}

static void new_bugs_first_by_turns_with_the_oldest(void)
{
    struct spool *s = NULL;
    CHECK_INT(spool_open(test_tmpdir(), true, &s), 0);
    /* Signature 1 went out before; 2 and 3 never did. */
    put(s->path, 10, 1, 0);
    put(s->path, 11, 1, 0);
    put(s->path, 20, 2, 0);
    put(s->path, 21, 2, 0);
    put(s->path, 30, 3, 0);
    struct queue q = {0};
    uint64_t one = 1;
    CHECK_INT(queue_add(&q, s, SPOOL_NEW, 1000, false), 0);
    CHECK_INT(queue_sort(&q, known, &one), 0);
    static const uint64_t want[] = {30, 10, 20, 11, 21};
    for (size_t i = 0; i < 5; i++) {
        const struct queue_entry *e = queue_next(&q);
        CHECK(e != NULL);
        if (e)
            CHECK_INT(e->name.time_ms, want[i]);
    }
    CHECK(!queue_next(&q));
    queue_done(&q);
    spool_close(s);
}

static void what_is_not_due_stays(void)
{
    struct spool *s = NULL;
    CHECK_INT(spool_open(test_tmpdir(), true, &s), 0);
    enum { NOW = 1700000000 };
    put(s->path, 1, 1, NOW + 100);
    put(s->path, 2, 1, NOW);
    put(s->path, 3, 1, NOW + 50);
    put(s->path, 4, 1, NOW + 10 * 365 * 86400ull); /* a clock jumped */
    struct queue q = {0};
    CHECK_INT(queue_add(&q, s, SPOOL_NEW, NOW, false), 0);
    CHECK_INT(q.n, 2);
    CHECK_INT(q.n_not_due, 2);
    CHECK_INT(q.next_due_s, NOW + 50);
    queue_done(&q);
    CHECK_INT(queue_add(&q, s, SPOOL_NEW, NOW, true), 0);
    CHECK_INT(q.n, 4);
    queue_done(&q);
    spool_close(s);
}

TEST_MAIN(TEST(new_bugs_first_by_turns_with_the_oldest), TEST(what_is_not_due_stays))
