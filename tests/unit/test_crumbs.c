#include "crash/crumbs.h"
#include "test.h"
#include "uploader/report/journal.h"

#include <knell/knell.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { SLOT = 128, SLOTS = 16 };

/* A journal of one ring, as a report would hold it. */
struct image {
    struct knell_journal_head head;
    struct knell_journal_block ring;
    uint8_t slots[SLOTS * SLOT];
};

static struct image *new_image(void)
{
    struct image *i = calloc(1, sizeof *i);
    i->head = (struct knell_journal_head){.magic = KNELL_JOURNAL_MAGIC,
        .version = KNELL_JOURNAL_VERSION,
        .head_bytes = sizeof i->head,
        .total_bytes = sizeof *i};
    i->head.areas[0] = (struct knell_journal_area){.type = KNELL_AREA_BLOCKS,
        .offset = offsetof(struct image, ring),
        .n_bytes = sizeof *i - offsetof(struct image, ring)};
    i->ring = (struct knell_journal_block){.type = KNELL_BLOCK_CRUMBS,
        .n_bytes = (uint32_t)(sizeof i->ring + sizeof i->slots),
        .n_slots = SLOTS,
        .slot_bytes = SLOT};
    return i;
}

static const struct journal *read_image(struct arena *arena, const struct image *i)
{
    const struct journal *j = NULL;
    CHECK_INT(journal_read(arena, (const uint8_t *)i, sizeof *i, 0, &j), 0);
    return j;
}

static void keeps_the_newest(void)
{
    struct image *i = new_image();
    struct arena *arena = arena_new(8 << 20);
    char text[32];
    for (int n = 0; n < 50; n++) {
        (void)snprintf(text, sizeof text, "message %d", n);
        struct kn_crumb c = {.time_ns = (uint64_t)n + 1,
            .tid = 7,
            .level = KNELL_LEVEL_WARNING,
            .category = "db",
            .message = text};
        CHECK_INT(kn_crumb_put(&i->ring, &c), 0);
    }
    const struct journal *j = read_image(arena, i);
    CHECK_INT(j->n_crumbs, SLOTS);
    CHECK_STR(j->crumbs[0].message, "message 34");
    CHECK_STR(j->crumbs[SLOTS - 1].message, "message 49");
    CHECK_STR(j->crumbs[SLOTS - 1].category, "db");
    CHECK_INT(j->crumbs[SLOTS - 1].level, KNELL_LEVEL_WARNING);
    CHECK_INT(j->crumbs[SLOTS - 1].tid, 7);
    CHECK_INT(j->n_torn, 0);
    CHECK_INT(j->last_sign_ns, 50);
    arena_free(arena);
    free(i);
}

static void keeps_typed_data_and_cuts(void)
{
    struct image *i = new_image();
    struct arena *arena = arena_new(8 << 20);
    const struct knell_data data[] = {knell_text("sql", "select"), knell_int("rows", -3),
        knell_double("ms", 1.5), knell_bool("hit", 1)};
    struct kn_crumb c = {.message = "m", .values = data, .n_values = 4};
    CHECK_INT(kn_crumb_put(&i->ring, &c), 0);
    char longer[300];
    memset(longer, 'x', sizeof longer);
    memcpy(longer + 94, "\xc3\xa9", 3); /* the limit falls into this character */
    longer[299] = '\0';
    c = (struct kn_crumb){.time_ns = 1, .category = "1", .message = longer};
    memset(longer + 96, 'y', 100);
    CHECK_INT(kn_crumb_put(&i->ring, &c), KN_CRUMB_WAS_CUT);
    const struct journal *j = read_image(arena, i);
    CHECK_INT(j->n_crumbs, 2);
    const struct journal_pair *p = j->crumbs[0].pairs;
    CHECK_INT(j->crumbs[0].n_pairs, 4);
    CHECK_STR(p[0].key, "sql");
    CHECK_STR(p[0].value.text, "select");
    CHECK_INT(p[1].value.integer, -3);
    CHECK(p[2].value.real == 1.5);
    CHECK_INT(p[3].value.type, KNELL_VALUE_BOOL);
    CHECK_INT(strlen(j->crumbs[1].message), 94);
    CHECK(j->crumbs[1].cut);
    arena_free(arena);
    free(i);
}

static void never_shows_torn(void)
{
    struct image *i = new_image();
    struct kn_crumb c = {.message = "whole and sound", .time_ns = 9};
    CHECK_INT(kn_crumb_put(&i->ring, &c), 0);
    struct image damaged;
    /* Any single byte of the record changed, or its sequence number. */
    size_t n = sizeof(struct knell_journal_crumb) + strlen(c.message);
    for (size_t at = 0; at < n; at++) {
        struct arena *arena = arena_new(8 << 20);
        damaged = *i;
        damaged.slots[at] ^= 0x41;
        CHECK_INT(read_image(arena, &damaged)->n_crumbs, 0);
        arena_free(arena);
    }
    free(i);
}

static void busy_slot_is_left_alone(void)
{
    struct image *i = new_image();
    uint64_t busy = 1;
    memcpy(i->slots, &busy, sizeof busy); /* a writer is held up in it */
    struct kn_crumb c = {.message = "m"};
    CHECK_INT(kn_crumb_put(&i->ring, &c), KN_CRUMB_LOST);
    CHECK_INT(kn_crumb_put(&i->ring, &c), 0);
    free(i);
}

/* A category is as long as it may be, a slot as small: the category alone can fill it. */
static void stays_in_its_slot(void)
{
    static char category[KNELL_KEY_MAX + 1], message[5001];
    const struct knell_data data[] = {knell_text("key", message), knell_int("n", 1)};
    for (uint32_t slot_bytes = 64; slot_bytes <= 128; slot_bytes += 8) {
        for (size_t n = 0; n <= KNELL_KEY_MAX; n++) {
            struct image *i = new_image();
            i->ring.slot_bytes = slot_bytes;
            i->ring.n_slots = 2;
            memset(i->slots, 0xa5, sizeof i->slots);
            memset(i->slots, 0, 2 * slot_bytes);
            memset(category, 'c', n);
            memset(message, 'm', sizeof message - 1);
            category[n] = '\0';
            struct kn_crumb c = {
                .category = category, .message = message, .values = data, .n_values = 2};
            CHECK_INT(kn_crumb_put(&i->ring, &c), KN_CRUMB_WAS_CUT);
            CHECK_INT(kn_crumb_put(&i->ring, &c), KN_CRUMB_WAS_CUT);
            size_t n_past = 0;
            for (size_t at = 2 * slot_bytes; at < sizeof i->slots; at++)
                n_past += i->slots[at] != 0xa5;
            CHECK_INT(n_past, 0);
            struct arena *arena = arena_new(8 << 20);
            const struct journal *j = read_image(arena, i);
            CHECK_INT(j->n_crumbs, 2);
            size_t room = slot_bytes - sizeof(struct knell_journal_crumb);
            CHECK_INT(strlen(j->crumbs[1].category), n < room ? n : room);
            CHECK_INT(strlen(j->crumbs[1].message), n < room ? room - n : 0);
            arena_free(arena);
            free(i);
        }
    }
}

static void *write_many(void *arg)
{
    struct image *i = arg;
    char text[64];
    for (int n = 0; n < 20000; n++) {
        (void)snprintf(text, sizeof text, "%d %d %d %d", n, n, n, n);
        struct kn_crumb c = {.time_ns = (uint64_t)n, .message = text};
        int r = kn_crumb_put(&i->ring, &c);
        CHECK(r == 0 || r == KN_CRUMB_LOST);
    }
    return NULL;
}

static void many_writers_one_ring(void)
{
    struct image *i = new_image();
    pthread_t t[4];
    for (int k = 0; k < 4; k++)
        CHECK_INT(pthread_create(&t[k], NULL, write_many, i), 0);
    for (int k = 0; k < 4; k++)
        CHECK_INT(pthread_join(t[k], NULL), 0);
    struct arena *arena = arena_new(8 << 20);
    const struct journal *j = read_image(arena, i);
    CHECK_INT(j->n_torn, 0);
    CHECK(j->n_crumbs > 0);
    for (uint32_t k = 0; k < j->n_crumbs; k++) {
        int a, b, c, d;
        CHECK_INT(sscanf(j->crumbs[k].message, "%d %d %d %d", &a, &b, &c, &d), 4);
        CHECK(a == b && b == c && c == d);
    }
    arena_free(arena);
    free(i);
}

TEST_MAIN(TEST(keeps_the_newest), TEST(keeps_typed_data_and_cuts), TEST(never_shows_torn),
    TEST(busy_slot_is_left_alone), TEST(stays_in_its_slot), TEST(many_writers_one_ring))
