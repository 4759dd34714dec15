#include "crash/list.h"
#include "crash/tags.h"
#include "test.h"
#include "uploader/report/journal.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { CAPACITY = 512 };

struct image {
    struct knell_journal_head head;
    struct knell_journal_scope scope;
    uint8_t lists[2 * CAPACITY];
    struct knell_journal_tag tags[KNELL_GLOBAL_TAGS];
};

static struct image *new_image(struct kn_list *list)
{
    struct image *i = calloc(1, sizeof *i);
    i->head = (struct knell_journal_head){.magic = KNELL_JOURNAL_MAGIC,
        .version = KNELL_JOURNAL_VERSION,
        .head_bytes = sizeof i->head,
        .total_bytes = sizeof *i};
    i->head.areas[0] = (struct knell_journal_area){.type = KNELL_AREA_SCOPE,
        .offset = offsetof(struct image, scope),
        .n_bytes = sizeof i->scope + sizeof i->lists};
    i->head.areas[1] = (struct knell_journal_area){.type = KNELL_AREA_TAGS,
        .offset = offsetof(struct image, tags),
        .n_bytes = sizeof i->tags};
    i->scope.capacity = CAPACITY;
    *list = (struct kn_list){.scope = &i->scope};
    return i;
}

static int put(struct kn_list *list, uint8_t type, const char *key, const char *value)
{
    struct kn_entry e = {.type = type,
        .key = key,
        .n_key = strlen(key),
        .value_type = value ? KNELL_VALUE_TEXT : KNELL_VALUE_NONE,
        .value = value,
        .n_value = value ? strlen(value) : 0};
    return kn_list_put(list, &e);
}

/* The value of a key, or NULL; the arena is the caller's. */
static const char *value_in(const struct journal *j, uint8_t type, const char *key)
{
    for (uint32_t i = 0; i < j->n_facts; i++) {
        if (j->facts[i].type == type && !strcmp(j->facts[i].key, key))
            return j->facts[i].value.text;
    }
    return NULL;
}

static const struct journal *read_image(struct arena *arena, const struct image *i)
{
    const struct journal *j = NULL;
    CHECK_INT(journal_read(arena, (const uint8_t *)i, sizeof *i, 0, &j), 0);
    return j;
}

static void last_value_counts_through_many_rewrites(void)
{
    struct kn_list list;
    struct image *i = new_image(&list);
    struct arena *arena = arena_new(8 << 20);
    char text[16];
    for (int n = 0; n < 1000; n++) {
        (void)snprintf(text, sizeof text, "%d", n);
        CHECK_INT(put(&list, KNELL_ENTRY_TAG, n % 2 ? "odd" : "even", text), 0);
    }
    const struct journal *j = read_image(arena, i);
    CHECK_STR(value_in(j, KNELL_ENTRY_TAG, "odd"), "999");
    CHECK_STR(value_in(j, KNELL_ENTRY_TAG, "even"), "998");
    CHECK_INT(j->n_facts, 2);
    CHECK_INT(j->n_torn, 0);
    arena_free(arena);
    free(i);
}

static void levels_are_forgotten(void)
{
    struct kn_list list;
    struct image *i = new_image(&list);
    struct arena *arena = arena_new(8 << 20);
    CHECK_INT(put(&list, KNELL_ENTRY_TAG, "a", "outer"), 0);
    CHECK_INT(kn_list_push(&list), 0);
    for (int n = 0; n < 200; n++) /* rewrites must keep the level's edge */
        CHECK_INT(put(&list, KNELL_ENTRY_TAG, "a", "inner"), 0);
    CHECK_STR(value_in(read_image(arena, i), KNELL_ENTRY_TAG, "a"), "inner");
    kn_list_pop(&list, 0);
    CHECK_STR(value_in(read_image(arena, i), KNELL_ENTRY_TAG, "a"), "outer");
    for (int n = 0; n < KN_LIST_DEPTH; n++)
        CHECK_INT(kn_list_push(&list), 0);
    CHECK_INT(kn_list_push(&list), -ENOSPC);
    arena_free(arena);
    free(i);
}

static void removal_and_groups(void)
{
    struct kn_list list;
    struct image *i = new_image(&list);
    struct arena *arena = arena_new(8 << 20);
    struct kn_entry e = {.type = KNELL_ENTRY_CONTEXT,
        .key = "pool\0size",
        .n_key = 9,
        .value_type = KNELL_VALUE_TEXT,
        .value = "8",
        .n_value = 1};
    CHECK_INT(kn_list_put(&list, &e), 0);
    CHECK_STR(value_in(read_image(arena, i), KNELL_ENTRY_CONTEXT, "size"), "8");
    CHECK_STR(read_image(arena, i)->facts[0].group, "pool");
    CHECK_INT(put(&list, KNELL_ENTRY_CONTEXT, "pool", NULL), 0);
    CHECK_INT(read_image(arena, i)->n_facts, 0);
    CHECK_INT(put(&list, KNELL_ENTRY_USER, "id", "42"), 0);
    CHECK_INT(put(&list, KNELL_ENTRY_USER, "", NULL), 0);
    CHECK_INT(read_image(arena, i)->n_facts, 0);
    arena_free(arena);
    free(i);
}

static void full_is_said_and_keeps_what_was(void)
{
    struct kn_list list;
    struct image *i = new_image(&list);
    struct arena *arena = arena_new(8 << 20);
    char big[CAPACITY + 1] = "";
    memset(big, 'b', CAPACITY);
    CHECK_INT(put(&list, KNELL_ENTRY_EXTRA, "k", "v"), 0);
    CHECK_INT(put(&list, KNELL_ENTRY_EXTRA, "big", big), -ENOSPC);
    CHECK_STR(value_in(read_image(arena, i), KNELL_ENTRY_EXTRA, "k"), "v");
    arena_free(arena);
    free(i);
}

/* The image was copied while the list was cut and written anew: its old length reaches
 * over entries of a later generation. */
static void later_generation_is_not_shown(void)
{
    struct kn_list list;
    struct image *i = new_image(&list);
    struct arena *arena = arena_new(8 << 20);
    CHECK_INT(kn_list_push(&list), 0);
    CHECK_INT(put(&list, KNELL_ENTRY_TAG, "request", "1"), 0);
    uint64_t word = i->scope.word;
    kn_list_pop(&list, 0);
    CHECK_INT(put(&list, KNELL_ENTRY_TAG, "request", "2"), 0);
    i->scope.word = word;
    const struct journal *j = read_image(arena, i);
    CHECK_INT(j->n_facts, 0);
    CHECK_INT(j->n_torn, 1);
    arena_free(arena);
    free(i);
}

static void tags_of_the_global_scope(void)
{
    struct kn_list list;
    struct image *i = new_image(&list);
    struct arena *arena = arena_new(8 << 20);
    CHECK_INT(kn_tag_set(i->tags, "shard", "eu-1"), 0);
    CHECK_INT(kn_tag_set(i->tags, "shard", "eu-2"), 0);
    CHECK_INT(kn_tag_set(i->tags, "bad key!", "a\nb"), 0);
    CHECK_INT(kn_tag_set(i->tags, "gone", "x"), 0);
    CHECK_INT(kn_tag_set(i->tags, "gone", NULL), 0);
    CHECK_INT(kn_tag_set(i->tags, "", "x"), KN_TAG_LOST);
    char longest[500];
    memset(longest, 'k', sizeof longest - 1);
    longest[499] = '\0';
    CHECK_INT(kn_tag_set(i->tags, longest, longest), KN_TAG_WAS_CUT);
    const struct journal *j = read_image(arena, i);
    CHECK_INT(j->n_facts, 3);
    CHECK_STR(value_in(j, KNELL_ENTRY_TAG, "shard"), "eu-2");
    CHECK_STR(value_in(j, KNELL_ENTRY_TAG, "bad_key_"), "a b");
    longest[KNELL_MAX_TAG_KEY] = '\0';
    const char *cut = value_in(j, KNELL_ENTRY_TAG, longest);
    CHECK_INT(cut ? strlen(cut) : 0, KNELL_MAX_TAG_VALUE);

    /* A death while a value is written leaves the one before. */
    for (int n = 0; n < KNELL_GLOBAL_TAGS; n++) {
        struct knell_journal_tag *t = &i->tags[n];
        if (t->n_key != 5)
            continue;
        t->values[(t->seq / 2) & 1].text[0] ^= 1;
        j = read_image(arena, i);
        CHECK_STR(value_in(j, KNELL_ENTRY_TAG, "shard"), "eu-1");
        CHECK_INT(j->n_torn, 1);
    }
    char key[16];
    int lost = 0;
    for (int n = 0; n < 100; n++) {
        (void)snprintf(key, sizeof key, "key%d", n);
        lost += kn_tag_set(i->tags, key, "v") == KN_TAG_LOST;
    }
    CHECK_INT(lost, 100 - (KNELL_GLOBAL_TAGS - 4));
    arena_free(arena);
    free(i);
}

static void *set_tags(void *arg)
{
    struct image *i = arg;
    char key[16], value[64];
    for (int n = 0; n < 20000; n++) {
        (void)snprintf(key, sizeof key, "k%d", n % 7);
        (void)snprintf(value, sizeof value, "%d %d %d", n, n, n);
        CHECK_INT(kn_tag_set(i->tags, key, value), 0);
    }
    return NULL;
}

static void many_threads_set_tags(void)
{
    struct kn_list list;
    struct image *i = new_image(&list);
    pthread_t t[4];
    for (int k = 0; k < 4; k++)
        CHECK_INT(pthread_create(&t[k], NULL, set_tags, i), 0);
    for (int k = 0; k < 4; k++)
        CHECK_INT(pthread_join(t[k], NULL), 0);
    struct arena *arena = arena_new(8 << 20);
    const struct journal *j = read_image(arena, i);
    CHECK_INT(j->n_facts, 7);
    CHECK_INT(j->n_torn, 0);
    for (uint32_t k = 0; k < j->n_facts; k++) {
        int a, b, c;
        CHECK_INT(sscanf(j->facts[k].value.text, "%d %d %d", &a, &b, &c), 3);
        CHECK(a == b && b == c);
    }
    arena_free(arena);
    free(i);
}

TEST_MAIN(TEST(last_value_counts_through_many_rewrites), TEST(levels_are_forgotten),
    TEST(removal_and_groups), TEST(full_is_said_and_keeps_what_was),
    TEST(later_generation_is_not_shown), TEST(tags_of_the_global_scope),
    TEST(many_threads_set_tags))
