#include "test.h"

#include "uploader/spool/limits.h"

#include <stdlib.h>

enum { N = 1000 };
#define NOW 1700000000000ull
static struct limits_file files[N];
static size_t n;

static void add(
    enum spool_state state, uint64_t signature, uint64_t age_s, uint64_t bytes)
{
    struct limits_file *f = &files[n++];
    *f = (struct limits_file){.state = (uint8_t)state, .n_bytes = bytes};
    f->name.time_ms = NOW - age_s * 1000;
    f->settled_ms = f->name.time_ms;
    f->name.signature = signature;
    f->name.event_id[0] = (uint8_t)n;
    f->name.event_id[1] = (uint8_t)(n >> 8);
}

static const struct limits roomy = {.max_reports = 100,
    .max_bytes = 1 << 20,
    .max_age_ms = 30ull * 86400000,
    .retain_sent_ms = 14ull * 86400000,
    .retain_bad_ms = 14ull * 86400000,
    .keep_first = 3,
    .keep_last = 1};

static size_t left(enum spool_state state, uint64_t signature)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        k += files[i].state == state && files[i].name.signature == signature &&
             !files[i].reason;
    return k;
}

static bool kept(uint64_t signature, uint64_t age_s)
{
    for (size_t i = 0; i < n; i++) {
        if (files[i].name.signature == signature &&
            files[i].name.time_ms == NOW - age_s * 1000)
            return !files[i].reason;
    }
    return false;
}

static void nothing_goes_while_there_is_room(void)
{
    n = 0;
    for (unsigned i = 0; i < 100; i++)
        add(SPOOL_NEW + i % 6, i, i, 100);
    CHECK_INT(limits_choose(files, n, &roomy, NOW), 0);
    CHECK_INT(limits_choose(files, 0, &roomy, NOW), 0);
}

static void the_aged_go_first(void)
{
    n = 0;
    add(SPOOL_WAIT, 1, 31 * 86400, 1);
    add(SPOOL_NEW, 2, 31 * 86400, 1);
    add(SPOOL_HOLD, 3, 310 * 86400, 1);
    add(SPOOL_WORK, 4, 310 * 86400, 1);
    add(SPOOL_SENT, 5, 15 * 86400, 1);
    add(SPOOL_BAD, 6, 15 * 86400, 1);
    add(SPOOL_WAIT, 7, 29 * 86400, 1);
    CHECK_INT(limits_choose(files, n, &roomy, NOW), 4);
    CHECK_INT(left(SPOOL_HOLD, 3) + left(SPOOL_WORK, 4) + left(SPOOL_WAIT, 7), 3);
}

static void a_clock_in_the_past_ages_nothing(void)
{
    n = 0;
    for (unsigned i = 0; i < 50; i++)
        add(SPOOL_SENT, i, 0, 1);
    CHECK_INT(limits_choose(files, n, &roomy, NOW - 10ull * 365 * 86400000), 0);
}

static void a_crash_loop_keeps_its_first_three_and_newest(void)
{
    n = 0;
    for (unsigned i = 0; i < 500; i++)
        add(SPOOL_NEW, 77, i, 100); /* age i */
    for (unsigned i = 0; i < 90; i++)
        add(SPOOL_WAIT, 1000 + i, 10000 + i, 100);
    struct limits l = roomy;
    l.max_reports = 94;
    CHECK_INT(limits_choose(files, n, &l, NOW), 590 - 94);
    CHECK_INT(left(SPOOL_NEW, 77), 4);
    CHECK(kept(77, 499) && kept(77, 498) && kept(77, 497) && kept(77, 0));
    for (unsigned i = 0; i < 90; i++)
        CHECK_INT(left(SPOOL_WAIT, 1000 + i), 1);
}

static void settled_ones_make_room_before_queued_ones(void)
{
    n = 0;
    for (unsigned i = 0; i < 50; i++) {
        add(SPOOL_SENT, i, i, 100);
        add(SPOOL_BAD, i, i, 100);
        add(SPOOL_NEW, i, i, 100);
    }
    struct limits l = roomy;
    l.max_reports = 60;
    CHECK_INT(limits_choose(files, n, &l, NOW), 90);
    size_t queued = 0, sent = 0;
    for (unsigned i = 0; i < 50; i++) {
        queued += left(SPOOL_NEW, i);
        sent += left(SPOOL_SENT, i);
    }
    CHECK_INT(queued, 50);
    CHECK_INT(sent, 0);
}

static void the_last_of_a_signature_outlives_the_many(void)
{
    n = 0;
    for (unsigned s = 0; s < 20; s++)
        for (unsigned i = 0; i < 4; i++)
            add(SPOOL_WAIT, s, 100 * s + i, 1000);
    struct limits l = roomy;
    l.max_bytes = 20 * 1000;
    CHECK_INT(limits_choose(files, n, &l, NOW), 60);
    for (unsigned s = 0; s < 20; s++)
        CHECK_INT(left(SPOOL_WAIT, s), 1);
    /* Less room than signatures: the oldest go. */
    l.max_bytes = 5 * 1000;
    CHECK_INT(limits_choose(files, n, &l, NOW), 75);
    CHECK_INT(left(SPOOL_WAIT, 0), 1);
    CHECK_INT(left(SPOOL_WAIT, 19), 0);
}

static void what_is_claimed_or_held_is_never_touched(void)
{
    n = 0;
    for (unsigned i = 0; i < 50; i++)
        add(i % 2 ? SPOOL_WORK : SPOOL_HOLD, i, i, 1 << 20);
    add(SPOOL_NEW, 99, 1, 1 << 20);
    struct limits l = roomy;
    l.max_reports = 1;
    CHECK_INT(limits_choose(files, n, &l, NOW), 1);
    CHECK_INT(left(SPOOL_NEW, 99), 0);
}

/* Consent may never come, and what waits for it must not push out all the rest; what a
 * person holds is neither touched nor counted. */
static void held_for_consent_is_a_queue(void)
{
    n = 0;
    for (unsigned i = 0; i < 100; i++) {
        add(SPOOL_HOLD, 77, i, 100);
        files[n - 1].name.not_before_s = SPOOL_HELD_FOR_CONSENT_S;
    }
    for (unsigned i = 0; i < 10; i++)
        add(SPOOL_HOLD, 5, 50, 1 << 20);
    add(SPOOL_SENT, 6, 50, 100);
    struct limits l = roomy;
    l.max_reports = 10;
    CHECK_INT(limits_choose(files, n, &l, NOW), 91);
    CHECK_INT(left(SPOOL_HOLD, 77), 10);
    CHECK(kept(77, 99) && kept(77, 98) && kept(77, 97) && kept(77, 0));
    CHECK_INT(left(SPOOL_HOLD, 5), 10);
    add(SPOOL_HOLD, 8, 31 * 86400, 1);
    files[n - 1].name.not_before_s = SPOOL_HELD_FOR_CONSENT_S;
    CHECK(limits_choose(files, n, &roomy, NOW) > 0);
    CHECK_INT(left(SPOOL_HOLD, 8), 0);
}

static void a_full_disk_frees_what_it_lacks(void)
{
    n = 0;
    for (unsigned i = 0; i < 50; i++)
        add(SPOOL_NEW, 5, i, 1000);
    struct limits l = roomy;
    l.need_bytes = 9500;
    CHECK_INT(limits_choose(files, n, &l, NOW), 10);
    l.need_files = 20;
    CHECK_INT(limits_choose(files, n, &l, NOW), 20);
}

/* Nothing that is here could free that much: what is worth most must not go for it. */
static void a_disk_that_others_fill_leaves_what_counts(void)
{
    n = 0;
    for (unsigned s = 0; s < 5; s++)
        for (unsigned i = 0; i < 10; i++)
            add(i % 2 ? SPOOL_NEW : SPOOL_WAIT, s, 100 * s + i, 1000);
    add(SPOOL_WAIT, 9, 7, 1000);
    struct limits l = roomy;
    l.need_bytes = UINT64_MAX;
    CHECK_INT(limits_choose(files, n, &l, NOW), 5 * 6);
    for (unsigned s = 0; s < 5; s++)
        CHECK(kept(s, 100 * s) && kept(s, 100 * s + 9) && kept(s, 100 * s + 8) &&
              kept(s, 100 * s + 7));
    CHECK_INT(left(SPOOL_WAIT, 9), 1);
    l.need_files = 1000;
    l.max_reports = 8; /* what it takes itself is another matter */
    CHECK_INT(limits_choose(files, n, &l, NOW), n - 8);
}

static void a_hundred_thousand_are_quick_enough(void)
{
    enum { MANY = 100000 };
    struct limits_file *many = calloc(MANY, sizeof *many);
    for (size_t i = 0; many && i < MANY; i++) {
        many[i] = (struct limits_file){.state = SPOOL_NEW, .n_bytes = 10};
        many[i].name.time_ms = NOW - i;
        many[i].name.signature = i % 7;
    }
    CHECK(many && limits_choose(many, MANY, &roomy, NOW) == MANY - 100);
    free(many);
}

/* What a program says beside its reports makes room for them, not the other way round. */
static void segments_go_before_reports(void)
{
    n = 0;
    add(SPOOL_WAIT, 1, 5000, 100);
    add(SPOOL_NEW, 2, 4000, 100);
    for (unsigned i = 0; i < 200; i++) {
        add(SPOOL_WAIT, 0, 1000 - i, 100);
        files[n - 1].name.segment = true;
    }
    CHECK_INT(limits_choose(files, n, &roomy, NOW), 102);
    CHECK(kept(1, 5000));
    CHECK(kept(2, 4000));
    CHECK(!kept(0, 1000)); /* the oldest of them */
    CHECK(kept(0, 801));
}

TEST_MAIN(TEST(nothing_goes_while_there_is_room), TEST(the_aged_go_first),
    TEST(a_clock_in_the_past_ages_nothing),
    TEST(a_crash_loop_keeps_its_first_three_and_newest),
    TEST(settled_ones_make_room_before_queued_ones), TEST(segments_go_before_reports),
    TEST(the_last_of_a_signature_outlives_the_many),
    TEST(what_is_claimed_or_held_is_never_touched), TEST(held_for_consent_is_a_queue),
    TEST(a_full_disk_frees_what_it_lacks),
    TEST(a_disk_that_others_fill_leaves_what_counts),
    TEST(a_hundred_thousand_are_quick_enough))
