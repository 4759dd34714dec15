#include "uploader/deliver/otlp_answer.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

/* The number behind a key, quoted or not: 64-bit integers are strings in protobuf's JSON.
 */
static uint64_t number_of(const char *p)
{
    uint64_t v = 0;
    p += strspn(p, " \t\r\n");
    if (*p != ':')
        return 0;
    p++;
    p += strspn(p, " \t\r\n\"");
    for (; isdigit((unsigned char)*p); p++) {
        if (__builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
            return UINT64_MAX;
    }
    return v;
}

uint64_t otlp_answer_rejected(const char *body)
{
    static const char *const keys[] = {"\"rejectedLogRecords\"", "\"rejectedSpans\"",
        "\"rejectedDataPoints\"", "\"rejected_log_records\"", "\"rejected_spans\""};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *at = strstr(body, keys[i]);
        uint64_t n = at ? number_of(at + strlen(keys[i])) : 0;
        if (n)
            return n;
    }
    return 0;
}
