/* A command line, words with a NUL between, and what it selects of a small spool. */
#include "fuzz.h"
#include "uploader/inspect/select.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_WORDS = 24, MAX_BYTES = 4096, REPORTS = 3 };

static struct store store;

/* Reports of which the index knows two; nothing lies on the disk. */
static void make_store(void)
{
    static struct store_spool spools[1];
    static struct report reports[REPORTS];
    char dir[] = "/tmp/knell-fuzz.XXXXXX";
    if (!mkdtemp(dir) || spool_open(dir, true, &spools[0].spool) ||
        index_load(spools[0].spool, &spools[0].index))
        abort();
    static const char *const state_dirs[] = {
        "live", "new", "work", "wait", "hold", "sent", "bad"};
    for (size_t i = 0; i < sizeof state_dirs / sizeof *state_dirs; i++)
        (void)unlinkat(spools[0].spool->fd, state_dirs[i], AT_REMOVEDIR);
    (void)rmdir(dir);
    for (unsigned i = 0; i < REPORTS; i++) {
        reports[i] = (struct report){.state = SPOOL_NEW,
            .name = {.time_ms = 1000 * (REPORTS - i), .signature = i, .signo = 11}};
        memset(reports[i].name.event_id, (int)(0x11 * i), SPOOL_EVENT_ID_BYTES);
        struct index_entry e = {.kind = INDEX_KIND_CRASH,
            .code = 1,
            .pid = 4711,
            .app = "exampled",
            .release = "exampled@2.4.1",
            .environment = "production",
            .executable = "/usr/bin/exampled",
            .function = "conn_read",
            .file = "src/conn.c",
            .module = "exampled",
            .thread = "worker/0",
            .tags = {"region=eu"},
            .n_tags = 1};
        memcpy(e.event_id, reports[i].name.event_id, sizeof e.event_id);
        if (i && index_add(spools[0].index, &e))
            abort();
    }
    store = (struct store){
        .spools = spools, .n_spools = 1, .reports = reports, .n_reports = REPORTS};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char text[MAX_BYTES + 1], *words[MAX_WORDS + 2] = {(char *)(uintptr_t) "knell"};
    int n_words = 1;
    if (!store.spools) {
        make_store();
        /* Complaints go nowhere; a sanitizer's words do not go through this stream. */
        stderr = fopen("/dev/null", "we");
        if (!stderr)
            abort();
    }
    if (n > MAX_BYTES)
        return 0;
    memcpy(text, data, n);
    text[n] = 0;
    for (char *w = text; w < text + n && n_words <= MAX_WORDS; w += strlen(w) + 1)
        words[n_words++] = w;
    struct options o;
    struct selection x = {0};
    if (options_parse(n_words, words, INT64_C(1795212847123), true, &o))
        return 0;
    o.spool = o.config = NULL;
    struct session s = {.options = o};
    int err = select_reports(&s, &store, -1, true, &x);
    if (!err && ((!x.n && o.last) || x.n > REPORTS))
        abort();
    selection_done(&x);
    return 0;
}
