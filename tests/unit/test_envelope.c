#include "test.h"

#include "uploader/event/envelope.h"

#include <errno.h>

static void frames_and_reads_back(void)
{
    struct envelope e = {0};
    struct envelope_item event = {.type = "event", .content_type = "application/json"};
    struct envelope_item file = {
        .type = "attachment", .filename = "a.txt", .attachment_type = "event.attachment"};
    CHECK_INT(envelope_add(&e, &event, "{}", 2), 0);
    CHECK_INT(envelope_add(&e, &file, "x\ny", 3), 0);
    static const char expected[] =
        "{\"type\":\"event\",\"content_type\":\"application/json\",\"length\":2}\n{}\n"
        "{\"type\":\"attachment\",\"filename\":\"a.txt\",\"attachment_type\":"
        "\"event.attachment\",\"length\":3}\nx\ny\n";
    CHECK_INT(e.n, sizeof expected - 1);
    CHECK(!memcmp(e.bytes, expected, sizeof expected - 1));
    struct envelope_view v;
    size_t at = 0;
    CHECK_INT(envelope_next(e.bytes, e.n, &at, &v), 1);
    CHECK_STR(v.type, "event");
    CHECK_INT(v.n_payload, 2);
    CHECK_INT(envelope_next(e.bytes, e.n, &at, &v), 1);
    CHECK_STR(v.filename, "a.txt");
    CHECK(!memcmp(v.payload, "x\ny", 3));
    CHECK_INT(envelope_next(e.bytes, e.n, &at, &v), 0);
    for (size_t cut = 1; cut < e.n; cut++) { /* every cut is an error or fewer items */
        int r, items = 0;
        for (at = 0; (r = envelope_next(e.bytes, cut, &at, &v)) == 1;)
            items++;
        CHECK(r == -EBADMSG || items < 2 || cut == e.n - 1);
    }
    envelope_done(&e);
}

static void refuses_what_cannot_stand_there(void)
{
    struct envelope e = {.max_bytes = 100};
    struct envelope_item item = {.type = "event"};
    CHECK_INT(envelope_add(&e, &item, "", 0), -EINVAL);
    item.filename = "../x";
    CHECK_INT(envelope_add(&e, &item, "x", 1), -EINVAL);
    item.filename = "a\"b";
    CHECK_INT(envelope_add(&e, &item, "x", 1), -EINVAL);
    item.filename = NULL;
    item.type = "a\nb";
    CHECK_INT(envelope_add(&e, &item, "x", 1), -EINVAL);
    item.type = "event";
    static const char big[200];
    CHECK_INT(envelope_add(&e, &item, big, sizeof big), -E2BIG);
    CHECK_INT(e.n, 0);
    envelope_done(&e);
}

static void refuses_foreign_framing(void)
{
    static const char *const bad[] = {"x", "\n", "{}\n", "{\"type\":\"event\"}\nx\n",
        "{\"type\":\"event\",\"length\":5}\nx\n",
        "{\"type\":\"event\",\"length\":99999999999999999999}\nx\n",
        "{\"type\":\"event\",\"length\":1}\nxy\n",
        "{\"type\":\"event\",\"length\":-1}\nx\n", "{\"length\":1}\nx\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct envelope_view v;
        size_t at = 0;
        CHECK_INT(
            envelope_next((const uint8_t *)bad[i], strlen(bad[i]), &at, &v), -EBADMSG);
    }
}

TEST_MAIN(TEST(frames_and_reads_back), TEST(refuses_what_cannot_stand_there),
    TEST(refuses_foreign_framing))
