/* SIGKILL at any instant while many threads write breadcrumbs, tags of three sizes,
 * scopes and transactions: journal and segment open, and nothing torn is shown. KILLS in
 * the environment says how often; 40 times otherwise. */
#include "test.h"
#include "tmpdir.h"
#include "uploader/event/envelope.h"
#include "uploader/report/journal.h"
#include "uploader/worker/segment.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <fcntl.h>
#include <knell/knell.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { N_THREADS = 8 };

static const size_t sizes[] = {0, 90, 199}; /* at least so long */
static uint32_t *tids;                      /* of the threads; shared with the child */

/* Texts that contradict themselves when a part of another one gets in. */
static void text_of(char *out, size_t room, int thread, unsigned long i)
{
    int n = snprintf(out, room, "%d %lu %lu %lu %lu ", thread, i, i, i, i);
    size_t size = sizes[i % 3];
    if (n > 0 && (size_t)n < size) {
        memset(out + n, 'a' + thread, size - (size_t)n);
        out[size] = 0;
    }
}

static bool is_sound(const char *text, int *thread, unsigned long *i)
{
    char whole[256];
    if (sscanf(text, "%d %lu", thread, i) != 2)
        return false;
    text_of(whole, sizeof whole, *thread, *i);
    return !strcmp(whole, text);
}

static void *say(void *arg)
{
    int thread = (int)(intptr_t)arg;
    char text[256], key[16];
    tids[thread] = (uint32_t)gettid();
    (void)snprintf(key, sizeof key, "thread%d", thread);
    for (unsigned long i = 0;; i++) {
        text_of(text, sizeof text, thread, i);
        const struct knell_data d = knell_text("again", text);
        knell_add_breadcrumb_data(KNELL_LEVEL_INFO, "kill", text, &d, 1);
        knell_set_tag(i % 2 ? "shared" : key, text);
        (void)knell_scope_push();
        knell_set_tag("scoped", text);
        (void)knell_scope_push();
        knell_set_extra(knell_text("deeper", text));
        knell_set_tag("scoped", text);
        knell_scope_pop();
        knell_set_tag("after", text);
        knell_scope_pop();
        knell_span_finish(knell_transaction_start(text, "kill", NULL), KNELL_SPAN_OK);
    }
    return NULL;
}

static _Noreturn void child(const char *spool, int ready)
{
    struct knell_options o = KNELL_OPTIONS_INIT;
    o.spool_dir = spool;
    o.dsn = "";
    o.start_uploader = KNELL_OFF;
    o.breadcrumb_bytes = 512;
    o.traces_sample_rate = 1;
    if (knell_start(&o))
        _exit(1);
    for (int i = 0; i < N_THREADS; i++) {
        pthread_t t;
        if (pthread_create(&t, NULL, say, (void *)(intptr_t)i))
            _exit(2);
    }
    if (write(ready, "", 1) != 1)
        _exit(3);
    for (;;)
        pause();
}

/* What a report of this thread would say. */
static void check_thread(const uint8_t *image, size_t n, int of)
{
    struct arena *arena = arena_new(64 << 20);
    const struct journal *j = NULL;
    int thread;
    unsigned long i;
    CHECK_INT(journal_read(arena, image, n, tids[of], &j), 0);
    for (uint32_t k = 0; j && k < j->n_facts; k++) {
        const struct journal_fact *f = &j->facts[k];
        bool own = !strcmp(f->key, "scoped") || !strcmp(f->key, "deeper") ||
                   !strcmp(f->key, "after");
        CHECK(is_sound(f->value.text, &thread, &i) && (!own || thread == of));
    }
    /* The open span's name is cut to the room it has. */
    if (j && *j->trace_name)
        CHECK(atoi(j->trace_name) == of);
    arena_free(arena);
}

static void check_segment(const uint8_t *bytes, size_t n)
{
    struct worker_options options = {.minidump = WORKER_MINIDUMP_NEVER};
    struct worker_result r = {0};
    struct envelope_view v;
    size_t at = 0;
    int thread, more = 0;
    unsigned long i;
    struct knell_segment_head head;
    memcpy(&head, bytes, n < sizeof head ? 0 : sizeof head);
    if (n < sizeof head || head.magic != KNELL_SEGMENT_MAGIC || !head.n_records)
        return; /* it was just being made; nobody takes it */
    CHECK_INT(segment_process(bytes, n, &options, &r), 0);
    CHECK(r.outcome != WORKER_REFUSED);
    while (r.n_items && (more = envelope_next(r.items, r.n_items, &at, &v)) == 1) {
        cJSON *t = cJSON_ParseWithLength((const char *)v.payload, v.n_payload);
        const cJSON *name = cJSON_GetObjectItemCaseSensitive(t, "transaction");
        CHECK(cJSON_IsString(name) && is_sound(name->valuestring, &thread, &i));
        cJSON_Delete(t);
    }
    CHECK_INT(more, 0);
    worker_result_done(&r);
}

static void check_journal(const uint8_t *image, size_t n)
{
    struct arena *arena = arena_new(64 << 20);
    const struct journal *j = NULL;
    int thread;
    unsigned long i, last[N_THREADS] = {0};
    CHECK_INT(journal_read(arena, image, n, 0, &j), 0);
    for (int k = 0; k < N_THREADS; k++)
        check_thread(image, n, k);
    CHECK_INT(j ? j->head->state : 0, KNELL_RUN_RUNNING);
    for (uint32_t k = 0; j && k < j->n_crumbs; k++) {
        const struct journal_crumb *c = &j->crumbs[k];
        if (!CHECK(is_sound(c->message, &thread, &i)))
            continue;
        CHECK(c->n_pairs == 1 && !strcmp(c->pairs[0].value.text, c->message));
        CHECK_STR(c->category, "kill");
        CHECK(thread >= 0 && thread < N_THREADS && (!last[thread] || i > last[thread]));
        last[thread] = i;
    }
    for (uint32_t k = 0; j && k < j->n_facts; k++)
        CHECK(is_sound(j->facts[k].value.text, &thread, &i));
    /* Each thread was in the middle of one thing at most. */
    CHECK(!j || j->n_torn <= N_THREADS);
    arena_free(arena);
}

static void read_live(const char *spool)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/live", spool);
    DIR *d = opendir(path);
    int n_journals = 0, n_segments = 0;
    for (const struct dirent *e; d && (e = readdir(d));) {
        (void)snprintf(path, sizeof path, "%s/live/%s", spool, e->d_name);
        bool is_journal = strstr(e->d_name, ".jnl"),
             is_segment = strstr(e->d_name, ".seg");
        if (is_journal || is_segment) {
            struct stat st;
            int fd = open(path, O_RDONLY | O_CLOEXEC);
            CHECK(!fstat(fd, &st));
            uint8_t *image = malloc((size_t)st.st_size);
            CHECK_INT(read(fd, image, (size_t)st.st_size), st.st_size);
            if (is_journal)
                check_journal(image, (size_t)st.st_size);
            else
                check_segment(image, (size_t)st.st_size);
            free(image);
            (void)close(fd);
            n_journals += is_journal;
            n_segments += is_segment;
        }
        if (e->d_name[0] != '.')
            (void)unlink(path);
    }
    if (d)
        (void)closedir(d);
    CHECK_INT(n_journals, 1);
    CHECK(n_segments <= 1);
}

static void killed_at_any_instant(void)
{
    const char *spool = test_tmpdir(), *kills = getenv("KILLS");
    int n = kills ? atoi(kills) : 40;
    unsigned seed = (unsigned)time(NULL);
    printf("seed %u, %d kills\n", seed, n);
    tids = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!CHECK(tids != MAP_FAILED))
        return;
    for (int k = 0; k < n; k++) {
        int ready[2], status = 0;
        char byte;
        CHECK(!pipe(ready));
        pid_t pid = fork();
        if (!pid)
            child(spool, ready[1]);
        (void)close(ready[1]);
        CHECK_INT(read(ready[0], &byte, 1), 1);
        (void)close(ready[0]);
        (void)usleep((unsigned)rand_r(&seed) % 8000);
        (void)kill(pid, SIGKILL);
        CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
        read_live(spool);
    }
}

TEST_MAIN(TEST(killed_at_any_instant))
