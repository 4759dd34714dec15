#include "uploader/inspect/tar.h"

#include "test.h"
#include "tmpdir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BLOCK = 512 };

struct bundle {
    uint8_t bytes[16 * BLOCK];
    size_t n;
};

/* Two entries, the second of 700 bytes. */
static void make(struct bundle *b)
{
    char path[256], text[700];
    (void)snprintf(path, sizeof path, "%s/bundle", test_tmpdir());
    struct output o = {.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    memset(text, 'x', sizeof text);
    CHECK_INT(tar_put(&o, "report/one", "hello", 5), 0);
    CHECK_INT(tar_put(&o, "symbols/two", text, sizeof text), 0);
    CHECK_INT(tar_end(&o), 0);
    ssize_t n = pread(o.fd, b->bytes, sizeof b->bytes, 0);
    b->n = n > 0 ? (size_t)n : 0;
    (void)close(o.fd);
}

static void what_is_written_is_read(void)
{
    struct bundle b;
    struct tar_entry e;
    size_t at = 0;
    make(&b);
    CHECK_INT(b.n, 7 * BLOCK);
    CHECK_INT(tar_next(b.bytes, b.n, &at, &e), 1);
    CHECK_STR(e.name, "report/one");
    CHECK_INT(e.n, 5);
    CHECK(memcmp(e.bytes, "hello", 5) == 0);
    CHECK_INT(tar_next(b.bytes, b.n, &at, &e), 1);
    CHECK_STR(e.name, "symbols/two");
    CHECK_INT(e.n, 700);
    CHECK_INT(tar_next(b.bytes, b.n, &at, &e), 0);
}

static void other_programs_read_it(void)
{
    struct bundle b;
    make(&b);
    const char *dir = test_tmpdir();
    char command[400];
    test_write_file(dir, "bundle.tar", b.bytes, b.n);
    (void)snprintf(command, sizeof command,
        "cd '%s' && tar xf bundle.tar && test \"$(cat report/one)\" = hello && "
        "test \"$(wc -c <symbols/two)\" = 700",
        dir);
    CHECK_INT(system(command), 0);
}

/* The head's sum made right again after a change. */
static void seal(uint8_t *head)
{
    unsigned sum = 8 * ' ';
    for (unsigned i = 0; i < BLOCK; i++)
        sum += i >= 148 && i < 156 ? 0 : head[i];
    (void)snprintf((char *)head + 148, 8, "%06o", sum);
    head[155] = ' ';
}

static int read_changed(unsigned at, const char *bytes, size_t n, bool sealed)
{
    struct bundle b;
    struct tar_entry e;
    size_t from = 0;
    make(&b);
    memcpy(b.bytes + at, bytes, n);
    if (sealed)
        seal(b.bytes);
    return tar_next(b.bytes, b.n, &from, &e);
}

static void what_is_no_plain_file_is_refused(void)
{
    CHECK_INT(read_changed(0, "r", 1, true), 1); /* nothing changed */
    CHECK_INT(read_changed(0, "R", 1, false), -EBADMSG);
    for (const char *type = "123456LKxgS"; *type; type++)
        CHECK_INT(read_changed(156, type, 1, true), -EBADMSG);
    CHECK_INT(read_changed(257, "posix", 5, true), -EBADMSG);
}

static void sizes_are_checked(void)
{
    static const char *const sizes[] = {"77777777777", "00000007001", "-0000000005",
        "           ", "0000000000x", "\200\0\0\0\377\377\377\377\377\377\377"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        CHECK_INT(read_changed(124, sizes[i], 11, true), -EBADMSG);
}

static void a_torn_bundle_is_refused(void)
{
    struct bundle b;
    make(&b);
    for (size_t n = 1; n < 5 * BLOCK; n += 100) {
        struct tar_entry e;
        size_t at = 0;
        int more = 1;
        uint8_t *cut = malloc(n); /* so that a sanitizer sees a read beyond it */
        memcpy(cut, b.bytes, n);
        while (more == 1)
            more = tar_next(cut, n, &at, &e);
        CHECK(more == -EBADMSG || at == n);
        free(cut);
    }
}

TEST_MAIN(TEST(what_is_written_is_read), TEST(other_programs_read_it),
    TEST(what_is_no_plain_file_is_refused), TEST(sizes_are_checked),
    TEST(a_torn_bundle_is_refused))
