/* Which lines of source are shown around a frame, and which files are not read. */
#include "uploader/inspect/source.h"

#include "test.h"
#include "tmpdir.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const char text[] = "one\ntwo\nthree\r\nfour\nfive\nsix\nseven\neight\nnine\nten";
static uint64_t later_ms;

static struct crash_frame frame(const char *file, uint32_t line)
{
    later_ms = ((uint64_t)time(NULL) + 60) * 1000;
    return (struct crash_frame){.file = file, .line = line};
}

static void check(const struct crash_frame *f, const char *root, uint32_t first,
    unsigned n, unsigned n_before, const char *line)
{
    struct source x;
    source_read(f, root, later_ms, &x);
    CHECK_INT(x.n, n);
    if (n && x.n == n) {
        CHECK_INT(x.first_line, first);
        CHECK_INT(x.n_before, n_before);
        CHECK_STR(source_line(&x, x.n_before), line);
    }
    source_done(&x);
}

static void lines_around_are_taken(void)
{
    const char *dir = test_tmpdir();
    char path[512];
    (void)snprintf(path, sizeof path, "%s/a.c", dir);
    test_write_file(dir, "a.c", text, sizeof text - 1);
    struct crash_frame f = frame(path, 5);
    check(&f, NULL, 2, 7, 3, "five");
    f.line = 1;
    check(&f, NULL, 1, 4, 0, "one");
    f.line = 3;
    check(&f, NULL, 1, 6, 2, "three");
    f.line = 10; /* without a newline at its end */
    check(&f, NULL, 7, 4, 3, "ten");
    f.line = 11; /* another file than that of the build */
    check(&f, NULL, 0, 0, 0, NULL);
    f.line = 0;
    check(&f, NULL, 0, 0, 0, NULL);
    f.line = UINT32_MAX;
    check(&f, NULL, 0, 0, 0, NULL);
}

static void names_are_put_together(void)
{
    const char *dir = test_tmpdir();
    char above[512];
    (void)snprintf(above, sizeof above, "%s", dir);
    test_write_file(dir, "src/b.c", "int b;\n", 7);
    struct crash_frame f = frame("src/b.c", 1);
    check(&f, NULL, 0, 0, 0, NULL); /* relative to what? */
    f.directory = above;
    check(&f, NULL, 1, 1, 0, "int b;");
    f.directory = "somewhere";
    check(&f, NULL, 0, 0, 0, NULL);
    f.file = "/src/b.c";
    check(&f, above, 1, 1, 0, "int b;");
}

static void what_is_no_file_of_then_is_left(void)
{
    const char *dir = test_tmpdir();
    char path[512], fifo[512];
    struct source x;
    (void)snprintf(path, sizeof path, "%s/c.c", dir);
    (void)snprintf(fifo, sizeof fifo, "%s/fifo", dir);
    test_write_file(dir, "c.c", text, sizeof text - 1);
    struct crash_frame f = frame(path, 5);
    source_read(&f, NULL, 1000, &x); /* a report of 1970 */
    CHECK(x.changed);
    CHECK_INT(x.n, 0);
    source_done(&x);
    CHECK_INT(mkfifo(fifo, 0600), 0);
    f.file = fifo;
    check(&f, NULL, 0, 0, 0, NULL); /* and nobody waits for a writer */
    f.file = dir;
    check(&f, NULL, 0, 0, 0, NULL);
    f.file = "/dev/zero";
    check(&f, NULL, 0, 0, 0, NULL);
    CHECK_INT(truncate(path, (16 << 20) + 1), 0);
    f.file = path;
    check(&f, NULL, 0, 0, 0, NULL);
}

/* A line longer than what is read at once is one line, and shown cut. */
static void long_lines_are_counted_once(void)
{
    enum { N = 5000 };
    const char *dir = test_tmpdir();
    char path[512], *long_text = malloc(N + 16);
    struct source x;
    if (!long_text)
        abort();
    (void)snprintf(path, sizeof path, "%s/d.c", dir);
    memset(long_text, 'x', N);
    memcpy(long_text + N, "\nsecond\n", 8);
    test_write_file(dir, "d.c", long_text, N + 8);
    free(long_text);
    struct crash_frame f = frame(path, 2);
    source_read(&f, NULL, later_ms, &x);
    CHECK_INT(x.n, 2);
    if (x.n == 2) {
        CHECK_STR(source_line(&x, 1), "second");
        CHECK(strlen(source_line(&x, 0)) < 1000);
    }
    source_done(&x);
}

static void what_the_symbolizer_read_is_taken(void)
{
    static const char *const lines[] = {"before", "here", "after"};
    struct crash_frame f = frame("/nowhere/e.c", 8);
    f.context = lines;
    f.n_context = 3;
    f.n_before = 1;
    check(&f, NULL, 7, 3, 1, "here");
    f.n_before = 3; /* its own line is not among them */
    check(&f, NULL, 0, 0, 0, NULL);
}

TEST_MAIN(TEST(lines_around_are_taken), TEST(names_are_put_together),
    TEST(what_is_no_file_of_then_is_left), TEST(long_lines_are_counted_once),
    TEST(what_the_symbolizer_read_is_taken))
