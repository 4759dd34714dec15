#include "test.h"

#include "uploader/deliver/frame.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define ITEMS                                                                            \
    "{\"type\":\"event\",\"length\":2}\n{}\n"                                            \
    "{\"type\":\"attachment\",\"length\":3,\"filename\":\"x\"}\na\nb\n"                  \
    "{\"type\":\"session\",\"length\":2}\n{}"
static const struct frame_head head = {.event_id = "00112233445566778899aabbccddeeff",
    .dsn = "http://k@h/1",
    .sent_at_ms = 1700000000123};
#define HEAD                                                                             \
    "{\"event_id\":\"00112233445566778899aabbccddeeff\",\"sent_at\":"                    \
    "\"2023-11-14T22:13:20.123Z\",\"dsn\":\"http://k@h/1\",\"sdk\":{\"name\":\"knell\"," \
    "\"version\":\"0.1.0\"}}\n"

static void check(unsigned without, const char *extra, const char *want)
{
    uint8_t *p = NULL;
    size_t n = 0;
    CHECK_INT(frame_envelope(&head, ITEMS, strlen(ITEMS), without, extra, &p, &n), 0);
    CHECK_INT(n, strlen(want));
    CHECK(p && !memcmp(p, want, n));
    free(p);
}

static void puts_the_head_before_the_items(void)
{
    check(0, NULL, HEAD ITEMS "\n");
    check(0, "{\"type\":\"client_report\",\"length\":2}\n{}\n",
        HEAD ITEMS "\n{\"type\":\"client_report\",\"length\":2}\n{}\n");
}

static void leaves_attachments_out(void)
{
    check(1u << HINT_ATTACHMENT, NULL,
        HEAD "{\"type\":\"event\",\"length\":2}\n{}\n"
             "{\"type\":\"session\",\"length\":2}\n{}\n");
    check(~0u, NULL, HEAD "{\"type\":\"event\",\"length\":2}\n{}\n");
    CHECK_INT(frame_kinds(ITEMS, strlen(ITEMS)),
        1u << HINT_ERROR | 1u << HINT_ATTACHMENT | 1u << HINT_SESSION);
    static const char logs[] = "{\"type\":\"log\",\"length\":2}\n{}\n";
    uint8_t *p = NULL;
    size_t n;
    CHECK_INT(
        frame_envelope(&head, logs, strlen(logs), 1u << HINT_LOG, "x", &p, &n), -ENODATA);
    CHECK(frame_attachment_bytes(ITEMS, strlen(ITEMS)) > 40);
}

static void refuses_what_is_not_framed(void)
{
    static const char *const bad[] = {"x", "{\"type\":\"event\"}\n{}\n",
        "{\"length\":5}\n{}\n", "{\"length\":1}\n{}\n",
        "{\"length\":99999999999999999999999}\n{}\n", "{\"length\":-1}\n{}\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t *p = NULL;
        size_t n;
        CHECK_INT(
            frame_envelope(&head, bad[i], strlen(bad[i]), 0, NULL, &p, &n), -EBADMSG);
    }
}

TEST_MAIN(TEST(puts_the_head_before_the_items), TEST(leaves_attachments_out),
    TEST(refuses_what_is_not_framed))
