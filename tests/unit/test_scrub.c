#include "test.h"

#include "uploader/event/scrub.h"

#include <stdio.h>
#include <stdlib.h>

static void takes_secrets_out_of_text(void)
{
    static const struct {
        const char *from, *to;
    } cases[] = {
        {"plain words stay", "plain words stay"},
        {"password=hunter2 user=ann", "password=[Filtered] user=ann"},
        {"db_password: \"hunter2\"", "db_password: \"[Filtered]\""},
        {"{\"api_key\": \"abc\", \"n\": 1}", "{\"api_key\": \"[Filtered]\", \"n\": 1}"},
        {"Authorization: Bearer abcdef012345", "Authorization: Bearer [Filtered]"},
        {"daemon --token s3cr3t -v", "daemon --token [Filtered] -v"},
        {"daemon --auth-token=s3cr3t", "daemon --auth-token=[Filtered]"},
        {"postgres://bob:pw@db/x", "postgres://bob:[Filtered]@db/x"},
        {"https://key@sentry.example/1", "https://key@sentry.example/1"},
        {"open /home/ann/data failed", "open /home/[Filtered]/data failed"},
        {"AKIAABCDEFGHIJKLMNOP", "[Filtered]"},
        {"card 4111 1111 1111 1111.", "card **** **** **** ****."},
        {"serial 4111 1111 1111 1112", "serial 4111 1111 1111 1112"},
        {"a=1;token=x;token=y", "a=1;token=[Filtered];token=[Filtered]"},
        {"eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl!", "[Filtered]!"},
        {"", ""},
    };
    struct scrub *s;
    char note[64];
    CHECK_INT(scrub_new(NULL, &s, note, sizeof note), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *out = NULL;
        CHECK_INT(scrub_text(s, cases[i].from, &out), 0);
        CHECK_STR(out, cases[i].to);
        free(out);
    }
    scrub_free(s);
    scrub_free(NULL);
}

static void knows_the_persons_own_patterns(void)
{
    struct scrub *s;
    char note[64], *out;
    CHECK_INT(scrub_new("CUST-[0-9]+\n(\nx*", &s, note, sizeof note), 0);
    CHECK_STR(note, "not a pattern: (");
    CHECK_INT(scrub_text(s, "order of CUST-4711 and cust-1", &out), 0);
    CHECK_STR(out, "order of [Filtered] and [Filtered]");
    free(out);
    scrub_free(s);
}

static void goes_through_json(void)
{
    static const char text[] =
        "{\"a\":{\"password\":\"x\",\"list\":[\"token=abc\",1,true,null]},"
        "\"path\":\"/home/bob/y\"}";
    struct scrub *s;
    char note[64];
    CHECK_INT(scrub_new(NULL, &s, note, sizeof note), 0);
    cJSON *json = cJSON_Parse(text);
    CHECK_INT(scrub_json(s, json), 0);
    char *out = cJSON_PrintUnformatted(json);
    CHECK_STR(out, "{\"a\":{\"password\":\"[Filtered]\",\"list\":[\"token=[Filtered]\",1,"
                   "true,null]},\"path\":\"/home/[Filtered]/y\"}");
    cJSON_free(out);
    cJSON_Delete(json);
    json = cJSON_Parse(
        "[\"/home/bob/y\",\"/home/bob\",\"x/home/bob/y\",{\"k\":\"/Users/a/b\"}]");
    CHECK_INT(scrub_homes(json), 0);
    out = cJSON_PrintUnformatted(json);
    CHECK_STR(out, "[\"/home/[Filtered]/y\",\"/home/bob\",\"x/home/bob/y\","
                   "{\"k\":\"/Users/[Filtered]/b\"}]");
    cJSON_free(out);
    cJSON_Delete(json);
    scrub_free(s);
}

TEST_MAIN(TEST(takes_secrets_out_of_text), TEST(knows_the_persons_own_patterns),
    TEST(goes_through_json))
