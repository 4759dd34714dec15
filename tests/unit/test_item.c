#include "test.h"

#include "uploader/inspect/item.h"

#include <knell/types.h>

static void every_detail_is_shown_but_empty_ones(void)
{
    static const struct journal_pair pairs[] = {
        {.key = "type", .value = {.type = KNELL_VALUE_TEXT, .text = "QueryFailed"}},
        {.key = "message", .value = {.type = KNELL_VALUE_TEXT, .text = "refused"}},
        {.key = "details", .value = {.type = KNELL_VALUE_TEXT, .text = ""}},
        {.key = "query", .value = {.type = KNELL_VALUE_TEXT, .text = "select 1"}},
        {.key = "attempt", .value = {.type = KNELL_VALUE_INT, .integer = -2}},
        {.key = "load", .value = {.type = KNELL_VALUE_DOUBLE, .real = 0.5}},
        {.key = "cached", .value = {.type = KNELL_VALUE_BOOL, .integer = 1}},
        {.key = "evidence 1", .value = {.type = KNELL_VALUE_TEXT, .text = "a trace"}}};
    static const char *const notes[] = {
        "query: select 1", "attempt: -2", "load: 0.5", "cached: true", "- a trace"};
    struct explain e = {0};
    const struct item x = {.head = {.kind = KNELL_ITEM_ERROR, .level = KNELL_LEVEL_ERROR},
        .pairs = pairs,
        .n_pairs = sizeof pairs / sizeof *pairs};
    item_explain(&x, &e);
    CHECK_STR(e.cause, "refused");
    CHECK_INT(e.n_notes, sizeof notes / sizeof *notes);
    for (size_t i = 0; i < sizeof notes / sizeof *notes && i < e.n_notes; i++)
        CHECK_STR(e.notes[i], notes[i]);
}

TEST_MAIN(TEST(every_detail_is_shown_but_empty_ones))
