#include "test.h"
#include "tmpdir.h"

#include "uploader/spool/tend.h"

#include <errno.h>
#include <fcntl.h>
#include <knell/minidump.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const char file[] =
    "0000000001000-000000000001-00000000000000000000000000000001-s11.a00.n0000000000.dmp";

struct dump {
    struct knell_md_header h;
    struct knell_signal_record s;
    struct knell_md_directory d;
};

/* A dump with room behind it. Returns false where the file system cannot reserve. */
static bool put(struct spool *s, const struct dump *d, off_t size)
{
    char path[32 + sizeof file];
    (void)snprintf(path, sizeof path, "new/%s", file);
    test_write_file(s->path, path, d, sizeof *d);
    int fd = openat(s->state_fd[SPOOL_NEW], file, O_WRONLY);
    bool done = !fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1 << 20) && !ftruncate(fd, size) &&
                !fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1 << 20);
    CHECK(done || errno == EOPNOTSUPP);
    (void)close(fd);
    return done;
}

static struct dump make(void)
{
    struct dump d = {.h = {.magic = KNELL_MINIDUMP_MAGIC,
                         .version = KNELL_MINIDUMP_VERSION,
                         .n_streams = 1,
                         .directory_rva = offsetof(struct dump, d)},
        .d = {KNELL_STREAM_SIGNAL,
            {sizeof(struct knell_signal_record), offsetof(struct dump, s)}}};
    return d;
}

static struct stat trimmed(const struct dump *d, off_t size)
{
    struct spool *s = NULL;
    struct stat st = {0};
    CHECK_INT(spool_open(test_tmpdir(), true, &s), 0);
    if (put(s, d, size)) {
        CHECK_INT(tend_trim(s), 0);
        CHECK_INT(fstatat(s->state_fd[SPOOL_NEW], file, &st, 0), 0);
    } else {
        test_skip("this file system reserves nothing");
    }
    spool_close(s);
    return st;
}

static void gives_back_what_was_not_used(void)
{
    struct dump d = make();
    struct stat st = trimmed(&d, 128 * 1024);
    if (!st.st_nlink)
        return;
    CHECK_INT(st.st_size, sizeof d);
    CHECK(st.st_blocks * 512 < 1 << 16);
}

static void leaves_alone_what_it_does_not_know(void)
{
    struct dump foreign = make(), beyond = make(), none = make();
    foreign.d.type = KNELL_STREAM_EXCEPTION;
    beyond.h.directory_rva = 4u << 20;
    none.h.magic = 0;
    const struct dump *all[] = {&foreign, &beyond, &none};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct stat st = trimmed(all[i], 128 * 1024);
        CHECK(!st.st_nlink || st.st_size == 128 * 1024);
    }
}

/* A stream that lies behind the directory would be cut off. */
static void leaves_alone_what_ends_later(void)
{
    struct dump d = make();
    d.d.at.rva = 64 * 1024;
    struct stat st = trimmed(&d, 128 * 1024);
    CHECK(!st.st_nlink || st.st_size == 128 * 1024);
}

/* Of a small filesystem 64 MiB may be all there is. */
static void asks_for_a_share_of_the_filesystem_at_most(void)
{
    struct spool *s = NULL;
    struct statvfs v;
    uint64_t bytes = 0, files = 0;
    CHECK_INT(spool_open(test_tmpdir(), true, &s), 0);
    CHECK_INT(fstatvfs(s->fd, &v), 0);
    tend_shortage(s, UINT64_MAX, UINT64_MAX, &bytes, &files);
    CHECK(bytes <= (uint64_t)v.f_blocks * v.f_frsize / 20);
    CHECK(files <= v.f_files / 20);
    spool_close(s);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {TEST(gives_back_what_was_not_used),
        TEST(leaves_alone_what_it_does_not_know), TEST(leaves_alone_what_ends_later),
        TEST(asks_for_a_share_of_the_filesystem_at_most)};
    return test_run(tests, sizeof tests / sizeof *tests, argc, argv);
}
