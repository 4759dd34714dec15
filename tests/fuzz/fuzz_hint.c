/* Heads and bodies of servers' answers: nothing that they ask for is beyond the limits,
 * and no answer makes a report wait for ever or not at all. */
#include "fuzz.h"
#include "uploader/deliver/otlp_answer.h"
#include "uploader/deliver/retry.h"

#include <stdlib.h>

static void take(struct fuzz_input *in, char *out, size_t max)
{
    struct fuzz_input part = fuzz_part(in);
    size_t n = part.n < max - 1 ? part.n : max - 1;
    memcpy(out, part.p ? part.p : (const uint8_t *)"", n);
    out[n] = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct retry_limits limits = {.base_ms = 60000,
        .max_ms = 6 * 3600000,
        .hint_max_s = 86400,
        .hint_default_s = 60,
        .configuration_ms = 3600000};
    struct answer a = {.failure = ANSWER_OK};
    struct retry_decision d;
    struct fuzz_input in = {data, n};
    if (n < 4)
        return 0;
    a.status = 100 + (data[0] | data[1] << 8) % 500;
    a.otlp = data[2] & 1;
    a.body_cut = data[2] & 2;
    in.p += 4;
    in.n -= 4;
    take(&in, a.retry_after, sizeof a.retry_after);
    take(&in, a.rate_limits, sizeof a.rate_limits);
    take(&in, a.body, sizeof a.body);
    a.n_body = strlen(a.body);
    retry_decide(&a, &limits, 1800000000, data[3] % 100, data[2], &d);
    for (int c = 0; c < HINT_N_CATEGORIES; c++) {
        if (d.limits.seconds[c] > limits.hint_max_s)
            abort();
    }
    if (d.wait_ms > limits.hint_max_s * 1100 || d.host_ms > limits.hint_max_s * 1000 ||
        (d.verdict == RETRY_AGAIN && !d.wait_ms) ||
        (d.verdict == RETRY_LIMITED && !d.limits.seconds[HINT_ERROR]))
        abort();
    (void)otlp_answer_rejected(a.body);
    return 0;
}
