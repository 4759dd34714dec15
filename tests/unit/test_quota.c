#include "test.h"
#include "tmpdir.h"

#include "crash/quota.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void put(const char *dir, unsigned time_s, unsigned signature)
{
    char name[128];
    snprintf(name, sizeof name, "%010u000-%012x-%032x-s11.a00.n0000000000.dmp", time_s,
        signature, time_s);
    test_write_file(dir, name, "MDMP", 4);
}

static bool has(const char *dir, unsigned time_s, unsigned signature)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%010u000-%012x-%032x-s11.a00.n0000000000.dmp", dir,
        time_s, signature, time_s);
    return access(path, F_OK) == 0;
}

static int keep(const char *dir, uint32_t max_reports, uint64_t max_bytes)
{
    int fd = open(dir, O_PATH | O_DIRECTORY);
    int r = kn_quota_keep(fd, &(struct kn_quota){max_reports, max_bytes, NULL});
    close(fd);
    return r;
}

static void leaves_alone_what_fits(void)
{
    const char *dir = test_tmpdir();
    CHECK_INT(keep(dir, 10, 1 << 20), 0);
    for (unsigned i = 0; i < 10; i++)
        put(dir, i, i);
    CHECK_INT(keep(dir, 10, 1 << 20), 0);
    CHECK_INT(test_count_files(dir, ""), 10);
}

static void a_crash_loop_keeps_its_first_three_and_its_newest(void)
{
    const char *dir = test_tmpdir();
    for (unsigned i = 0; i < 200; i++)
        put(dir, 1000 + i, 7);
    for (unsigned i = 0; i < 16; i++)
        put(dir, i, 100 + i);
    test_write_file(dir, "notes", "mine", 4);
    test_write_file(dir, ".hidden", "mine", 4);
    CHECK_INT(keep(dir, 20, 1 << 20), 196);
    CHECK_INT(test_count_files(dir, ""), 22);
    CHECK(
        has(dir, 1000, 7) && has(dir, 1001, 7) && has(dir, 1002, 7) && has(dir, 1199, 7));
    for (unsigned i = 0; i < 16; i++)
        CHECK(has(dir, i, 100 + i));
}

static void only_those_asked_for_count(void)
{
    const char *dir = test_tmpdir();
    char name[128];
    for (unsigned i = 0; i < 30; i++) {
        put(dir, i, i);
        snprintf(
            name, sizeof name, "%010u000-%012x-%032x-s00.a00.n0000000000.seg", i, 0, i);
        test_write_file(dir, name, "SEGK", 4);
    }
    int fd = open(dir, O_PATH | O_DIRECTORY);
    const struct kn_quota few = {10, 1 << 20, ".seg"};
    CHECK_INT(kn_quota_keep(fd, &few), 20);
    CHECK_INT(kn_quota_keep(fd, &few), 0);
    close(fd);
    CHECK_INT(test_count_files(dir, ""), 40);
    for (unsigned i = 0; i < 30; i++)
        CHECK(has(dir, i, i));
}

static void one_of_each_signature_outlives_the_others(void)
{
    const char *dir = test_tmpdir();
    for (unsigned s = 0; s < 5; s++)
        for (unsigned i = 0; i < 4; i++)
            put(dir, 10 * s + i, s);
    CHECK_INT(keep(dir, 5, 1 << 20), 15);
    for (unsigned s = 0; s < 5; s++)
        CHECK(has(dir, 10 * s + 3, s));
    CHECK_INT(keep(dir, 2, 1 << 20), 3);
    CHECK(has(dir, 43, 4) && has(dir, 33, 3));
}

static void bytes_count_too(void)
{
    const char *dir = test_tmpdir();
    char path[128], big[40000];
    memset(big, 'x', sizeof big);
    for (unsigned i = 0; i < 5; i++) {
        snprintf(
            path, sizeof path, "%010u000-%012x-%032x-s11.a00.n0000000000.dmp", i, i, i);
        test_write_file(dir, path, big, sizeof big);
    }
    CHECK(keep(dir, 100, 100000) >= 3);
    CHECK(has(dir, 4, 4));
    CHECK(!has(dir, 0, 0));
}

/* What a report was given and did not use comes back before any report goes. */
static void reserved_room_comes_back_first(void)
{
    const char *dir = test_tmpdir();
    put(dir, 1, 1);
    put(dir, 2, 2);
    DIR *d = opendir(dir);
    for (const struct dirent *e; (e = readdir(d));) {
        int fd = openat(dirfd(d), e->d_name, O_WRONLY);
        if (fd < 0)
            continue;
        if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1 << 20))
            test_skip("this file system reserves nothing");
        (void)close(fd);
    }
    (void)closedir(d);
    CHECK_INT(keep(dir, 10, 256 * 1024), 0);
    CHECK_INT(test_count_files(dir, ""), 2);
}

TEST_MAIN(TEST(leaves_alone_what_fits), TEST(reserved_room_comes_back_first),
    TEST(a_crash_loop_keeps_its_first_three_and_its_newest),
    TEST(only_those_asked_for_count), TEST(one_of_each_signature_outlives_the_others),
    TEST(bytes_count_too))
