/* The image of a journal, and the pairs of an item. */
#include "fuzz.h"
#include "uploader/event/scope.h"
#include "uploader/report/journal.h"
#include "uploader/report/last_words.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena *a = arena_new(64 << 20);
    const struct journal *j = NULL;
    const struct journal_pair *pairs;
    struct build b = {0};
    uint32_t tid = 0;
    if (n >= sizeof tid)
        memcpy(&tid, data + n - sizeof tid, sizeof tid);
    cJSON *event = cJSON_CreateObject();
    if (a && event && !journal_read(a, data, n, tid, &j)) {
        scope_to_event(&b, event, j);
        scope_trace(&b, event, j, "");
    }
    struct last_words words;
    uint8_t *report = NULL;
    size_t n_report;
    if (j && last_words_find(data, n, j->head, &words) &&
        !last_words_report(&words, j->head, data, n, &report, &n_report))
        free(report);
    if (a && journal_pairs(a, data, n, &pairs) > JOURNAL_MAX_PAIRS)
        abort();
    cJSON_Delete(event);
    arena_free(a);
    return 0;
}
