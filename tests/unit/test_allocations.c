/* Each allocation of reading, walking, naming and processing a report fails in turn:
 * every time a clean -ENOMEM, until one run needs no more. */
#include "dump.h"
#include "test.h"

#include "uploader/report/frames.h"
#include "uploader/report/parse.h"
#include "uploader/report/unwind.h"
#include "uploader/worker/process.h"
#include "uploader/worker/sanitize.h"

#include <errno.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWN_ALLOCATOR 0 /* the sanitizer's is in its place */
#else
#define OWN_ALLOCATOR 1
#endif

/* The n-th call from now fails; 0: none. */
static long fail_in;

#if OWN_ALLOCATOR
/* Also for the libraries that are linked. */
#define EVERYWHERE __attribute__((visibility("default")))
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static int fails(void)
{
    return fail_in > 0 && --fail_in == 0;
}

EVERYWHERE void *malloc(size_t n)
{
    return fails() ? NULL : __libc_malloc(n);
}

EVERYWHERE void *calloc(size_t n, size_t size)
{
    return fails() ? NULL : __libc_calloc(n, size);
}

EVERYWHERE void *realloc(void *p, size_t n)
{
    return fails() ? NULL : __libc_realloc(p, n);
}
#endif

static int read_and_walk(const uint8_t *bytes, size_t n)
{
    struct crash *c = NULL;
    uint8_t *clean = NULL;
    int err = report_read(bytes, n, &c, NULL);
    if (!err)
        err = report_unwind(c, NULL);
    if (!err)
        err = report_symbolize(c, NULL);
    if (!err)
        err = sanitize_report(c, &clean);
    free(clean);
    crash_free(c);
    return err;
}

static int make_all(const uint8_t *bytes, size_t n)
{
    static const struct worker_options o = {
        .otlp = true, .minidump = WORKER_MINIDUMP_ATTACH};
    struct worker_result r = {0};
    int err = worker_process(bytes, n, &o, &r);
    if (!err)
        err = r.outcome == WORKER_READY ? 0 : -EBADMSG;
    worker_result_done(&r);
    return err;
}

static void fail_each(int (*run)(const uint8_t *, size_t), long step_from)
{
    struct dump *d = dump_example();
    size_t n;
    const uint8_t *bytes = dump_finish(d, &n);
    long i = 1, runs = 0, left = 0;
    int err = -ENOMEM;
    for (; !left && i < 1000000; i += 1 + (i > step_from ? i / 32 : 0), runs++) {
        fail_in = i;
        err = run(bytes, n);
        left = fail_in; /* more than 0: there was no i-th one */
        fail_in = 0;
        CHECK(err == 0 || err == -ENOMEM); /* some are done without: no image, no CFI */
    }
    CHECK_INT(err, 0);
    CHECK(runs > 10);
    dump_free(d);
}

static void reading_and_walking(void)
{
    if (!OWN_ALLOCATOR) {
        test_skip("a sanitizer's allocator cannot be made to fail");
        return;
    }
    fail_each(read_and_walk, 1000);
}

static void all_of_the_worker(void)
{
    if (!OWN_ALLOCATOR) {
        test_skip("a sanitizer's allocator cannot be made to fail");
        return;
    }
    fail_each(make_all, 100);
}

TEST_MAIN(TEST(reading_and_walking), TEST(all_of_the_worker))
