/* SIGKILL at any instant while many threads write: the journal opens, and nothing torn is
 * shown. KILLS in the environment says how often; 40 times otherwise. */
#include "test.h"
#include "tmpdir.h"
#include "uploader/report/journal.h"

#include <dirent.h>
#include <fcntl.h>
#include <knell/knell.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { N_THREADS = 8 };

/* Texts that contradict themselves when a part of another one gets in. */
static void text_of(char *out, size_t n, int thread, unsigned long i)
{
    (void)snprintf(out, n, "%d %lu %lu %lu %lu", thread, i, i, i, i);
}

static bool is_sound(const char *text, int *thread, unsigned long *i)
{
    unsigned long b, c, d;
    return sscanf(text, "%d %lu %lu %lu %lu", thread, i, &b, &c, &d) == 5 && *i == b &&
           b == c && c == d;
}

static void *say(void *arg)
{
    int thread = (int)(intptr_t)arg;
    char text[128], key[16];
    (void)snprintf(key, sizeof key, "thread%d", thread);
    for (unsigned long i = 0;; i++) {
        text_of(text, sizeof text, thread, i);
        const struct knell_data d = knell_text("again", text);
        knell_add_breadcrumb_data(KNELL_LEVEL_INFO, "kill", text, &d, 1);
        knell_set_tag(i % 2 ? "shared" : key, text);
        (void)knell_scope_push();
        knell_set_tag("scoped", text);
        knell_scope_pop();
    }
    return NULL;
}

static _Noreturn void child(const char *spool, int ready)
{
    struct knell_options o = KNELL_OPTIONS_INIT;
    o.spool_dir = spool;
    o.dsn = "";
    o.start_uploader = KNELL_OFF;
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

static void check_journal(const uint8_t *image, size_t n)
{
    struct arena *arena = arena_new(64 << 20);
    const struct journal *j = NULL;
    int thread;
    unsigned long i, last[N_THREADS] = {0};
    CHECK_INT(journal_read(arena, image, n, 0, &j), 0);
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
    int n_journals = 0;
    for (const struct dirent *e; d && (e = readdir(d));) {
        (void)snprintf(path, sizeof path, "%s/live/%s", spool, e->d_name);
        if (strstr(e->d_name, ".jnl")) {
            struct stat st;
            int fd = open(path, O_RDONLY | O_CLOEXEC);
            CHECK(!fstat(fd, &st));
            uint8_t *image = malloc((size_t)st.st_size);
            CHECK_INT(read(fd, image, (size_t)st.st_size), st.st_size);
            check_journal(image, (size_t)st.st_size);
            free(image);
            (void)close(fd);
            n_journals++;
        }
        if (e->d_name[0] != '.')
            (void)unlink(path);
    }
    if (d)
        (void)closedir(d);
    CHECK_INT(n_journals, 1);
}

static void killed_at_any_instant(void)
{
    const char *spool = test_tmpdir(), *kills = getenv("KILLS");
    int n = kills ? atoi(kills) : 40;
    unsigned seed = (unsigned)time(NULL);
    printf("seed %u, %d kills\n", seed, n);
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
