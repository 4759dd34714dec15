#include "test.h"
#include "uploader/inspect/json.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>

struct text {
    char *s;
    size_t n;
    struct json j;
};

static void text_open(struct text *t, bool pretty)
{
    *t = (struct text){.j.pretty = pretty};
    t->j.f = open_memstream(&t->s, &t->n);
}

static const char *text_close(struct text *t)
{
    (void)fclose(t->j.f);
    return t->s;
}

static void fill(struct json *j)
{
    json_object(j, NULL);
    json_int(j, "schema", JSON_SCHEMA);
    json_array(j, "list");
    json_uint(j, NULL, UINT64_MAX);
    json_object(j, NULL);
    json_end_object(j);
    json_array(j, NULL);
    json_end_array(j);
    json_end_array(j);
    json_address(j, "at", 0x18);
    json_text(j, "none", NULL);
    json_bool(j, "yes", true);
    json_number(j, "age", 1.5, 3);
    json_number(j, "nan", (double)NAN, 3);
    json_double(j, "tiny", 1.5e-9);
    json_double(j, "none", -(double)INFINITY);
    json_text_if(j, "left out", "");
    json_end_object(j);
}

static void one_line(void)
{
    struct text t;
    text_open(&t, false);
    fill(&t.j);
    CHECK_STR(text_close(&t), "{\"schema\":1,\"list\":[18446744073709551615,{},[]],"
                              "\"at\":\"0x18\",\"none\":null,\"yes\":true,\"age\":1.500,"
                              "\"nan\":null,\"tiny\":1.5e-09,\"none\":null}\n");
    free(t.s);
}

static void pretty_is_the_same_document(void)
{
    struct text t, u;
    text_open(&t, true);
    fill(&t.j);
    text_open(&u, false);
    fill(&u.j);
    cJSON *a = cJSON_Parse(text_close(&t)), *b = cJSON_Parse(text_close(&u));
    CHECK(a && cJSON_Compare(a, b, true));
    CHECK(strstr(t.s, "\n  \"schema\": 1,\n") != NULL);
    cJSON_Delete(a);
    cJSON_Delete(b);
    free(t.s);
    free(u.s);
}

static void any_bytes_become_harmless_strings(void)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"quote\" back\\slash", "\"quote\\\" back\\\\slash\"\n"},
        {"\033[31m", "\"\\u001b[31m\"\n"},
        {"a\nb\tc", "\"a\\nb\\tc\"\n"},
        {"\xff", "\"\\ufffd\"\n"},
        {"\u202e", "\"\\u202e\"\n"},
        {"\xc2\x9b", "\"\\u009b\"\n"},
        {"\U000e0001", "\"\\udb40\\udc01\"\n"},
        {"gr\u00fc\u00df", "\"gr\u00fc\u00df\"\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct text t;
        text_open(&t, false);
        json_text(&t.j, NULL, cases[i].in);
        (void)fputc('\n', t.j.f);
        CHECK_STR(text_close(&t), cases[i].out);
        cJSON *v = cJSON_Parse(t.s);
        CHECK(cJSON_IsString(v));
        cJSON_Delete(v);
        free(t.s);
    }
}

TEST_MAIN(TEST(one_line), TEST(pretty_is_the_same_document),
    TEST(any_bytes_become_harmless_strings))
