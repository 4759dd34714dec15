#include "test.h"
#include "tmpdir.h"

#include "uploader/spool/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { SOMEBODY = 54321 };

static struct spool_name name_of(uint64_t time_ms, uint8_t id)
{
    return (struct spool_name){.time_ms = time_ms, .event_id = {id}, .signo = 11};
}

static void put(const char *spool, const char *state, const struct spool_name *n)
{
    char path[256], file[KNELL_SPOOL_NAME_BYTES + 1];
    spool_name_format(n, file);
    snprintf(path, sizeof path, "%s/%s", state, file);
    test_write_file(spool, path, "MDMP", 4);
}

static struct spool *make(const char **ret_path)
{
    struct spool *s = NULL;
    char path[512];
    snprintf(path, sizeof path, "%s/deep/er", test_tmpdir());
    CHECK_INT(spool_open(path, true, &s), 0);
    if (s && ret_path)
        *ret_path = s->path;
    return s;
}

static void makes_seven_private_folders(void)
{
    const char *path;
    struct spool *s = make(&path);
    CHECK_INT(test_count_files(path, ""), 7);
    for (enum spool_state i = SPOOL_LIVE; i < SPOOL_N_STATES; i++) {
        struct stat st;
        CHECK_INT(fstat(s->state_fd[i], &st), 0);
        CHECK_INT(st.st_mode & 07777, 0700);
        CHECK_INT(spool_state_parse(spool_state_name(i)), i);
    }
    CHECK_INT(spool_state_parse("other"), -EINVAL);
    spool_close(s);
}

static void a_missing_spool_is_not_made_by_a_reader(void)
{
    struct spool *s = NULL;
    char path[512];
    snprintf(path, sizeof path, "%s/none", test_tmpdir());
    CHECK_INT(spool_open(path, false, &s), -ENOENT);
    test_write_file(path, "readme", "x", 1);
    CHECK_INT(spool_open(path, false, &s), 0);
    struct spool_list l = {0};
    CHECK_INT(spool_list_add(s, SPOOL_NEW, &l), 0);
    CHECK_INT(l.n, 0);
    spool_close(s);
}

static void a_spool_that_others_may_write_is_refused(void)
{
    const char *dir = test_tmpdir();
    struct spool *s = NULL;
    CHECK_INT(chmod(dir, 0777), 0);
    CHECK_INT(spool_open(dir, true, &s), -EPERM);
    CHECK_INT(chmod(dir, 0700), 0);
}

static void a_state_that_is_a_link_is_refused(void)
{
    const char *dir = test_tmpdir(), *other = test_tmpdir();
    char link[512];
    snprintf(link, sizeof link, "%s/new", dir);
    CHECK_INT(symlink(other, link), 0);
    struct spool *s = NULL;
    CHECK(spool_open(dir, true, &s) < 0);
}

static void one_uploader_at_a_time(void)
{
    const char *path;
    struct spool *a = make(&path), *b = NULL;
    CHECK_INT(spool_open(path, true, &b), 0);
    CHECK_INT(spool_lock(a), 0);
    CHECK_INT(spool_lock(b), -EBUSY);
    spool_unlock(a);
    CHECK_INT(spool_lock(b), 0);
    spool_close(b);
    CHECK_INT(spool_lock(a), 0);
    spool_close(a);
}

static void lists_by_time_and_skips_what_is_none_of_ours(void)
{
    const char *path;
    struct spool *s = make(&path);
    for (uint8_t i = 0; i < 200; i++) {
        struct spool_name n = name_of(1000 + (i * 7u) % 200, i);
        put(path, "new", &n);
    }
    test_write_file(path, "new/notes.txt", "x", 1);
    test_write_file(path, "new/.hidden", "x", 1);
    struct spool_list l = {0};
    CHECK_INT(spool_list_add(s, SPOOL_NEW, &l), 0);
    CHECK_INT(l.n, 200);
    spool_list_sort(&l);
    for (size_t i = 1; i < l.n; i++)
        CHECK(l.names[i - 1].time_ms < l.names[i].time_ms);
    spool_list_done(&l);
    spool_close(s);
}

static void a_move_overwrites_nothing(void)
{
    const char *path;
    struct spool *s = make(&path);
    struct spool_name n = name_of(5, 1), later = n;
    later.attempts = 1;
    put(path, "new", &n);
    CHECK_INT(spool_move(s, SPOOL_NEW, &n, SPOOL_WAIT, &later), 0);
    CHECK_INT(spool_move(s, SPOOL_NEW, &n, SPOOL_WORK, NULL), -ENOENT);
    put(path, "new", &later);
    CHECK_INT(spool_move(s, SPOOL_WAIT, &later, SPOOL_NEW, NULL), -EEXIST);
    CHECK_INT(spool_sync(s, SPOOL_WAIT), 0);
    CHECK_INT(test_count_files(path, "wait"), 1);
    spool_close(s);
}

static int open_it(struct spool *s, const char *file, uint64_t max)
{
    int fd = -1;
    int r = spool_open_file(s, SPOOL_NEW, file, max, &fd, NULL);
    close_p(&fd);
    return r;
}

static void hostile_files_are_not_opened(void)
{
    const char *path;
    struct spool *s = make(&path);
    int dir = s->state_fd[SPOOL_NEW];
    test_write_file(path, "new/good", "abc", 3);
    test_write_file(path, "other", "abc", 3);
    CHECK_INT(open_it(s, "good", 3), 0);
    CHECK_INT(open_it(s, "good", 2), -E2BIG);
    CHECK_INT(open_it(s, "none", 3), -ENOENT);
    CHECK_INT(symlinkat("good", dir, "link"), 0);
    CHECK_INT(open_it(s, "link", 3), -ELOOP);
    CHECK_INT(mkfifoat(dir, "fifo", 0600), 0);
    CHECK_INT(open_it(s, "fifo", 3), -EBADF); /* and did not wait for a writer */
    CHECK_INT(mkdirat(dir, "dir", 0700), 0);
    CHECK_INT(open_it(s, "dir", 3), -EBADF);
    CHECK_INT(linkat(s->fd, "other", dir, "hard", 0), 0);
    CHECK_INT(open_it(s, "hard", 3), -EMLINK);
    test_write_file(path, "new/open", "abc", 3);
    CHECK_INT(fchmodat(dir, "open", 0666, 0), 0);
    CHECK_INT(open_it(s, "open", 3), -EPERM);
    if (geteuid() == 0) {
        test_write_file(path, "new/theirs", "abc", 3);
        CHECK_INT(fchownat(dir, "theirs", 12345, 12345, 0), 0);
        CHECK_INT(open_it(s, "theirs", 3), -EPERM);
    }
    int fd = openat(dir, "sparse", O_CREAT | O_WRONLY, 0600);
    CHECK_INT(ftruncate(fd, 4ll << 30), 0);
    close(fd);
    CHECK_INT(open_it(s, "sparse", 256u << 20), -E2BIG);
    spool_close(s);
}

static void reads_a_file_once_and_whole(void)
{
    const char *path;
    struct spool *s = make(&path);
    test_write_file(path, "new/x", "hello", 5);
    test_write_file(path, "new/empty", "", 0);
    int fd = -1;
    uint8_t *p = NULL;
    size_t n = 99;
    CHECK_INT(spool_open_file(s, SPOOL_NEW, "x", 100, &fd, NULL), 0);
    CHECK_INT(spool_read_all(fd, 100, &p, &n), 0);
    CHECK_INT(n, 5);
    CHECK(p && !memcmp(p, "hello", 5));
    free(p);
    CHECK_INT(spool_read_all(fd, 4, &p, &n), -E2BIG);
    close(fd);
    CHECK_INT(spool_open_file(s, SPOOL_NEW, "empty", 100, &fd, NULL), 0);
    CHECK_INT(spool_read_all(fd, 100, &p, &n), 0);
    CHECK_INT(n, 0);
    free(p);
    close(fd);
    spool_close(s);
}

static void quarantine_says_why_in_one_line(void)
{
    const char *path;
    struct spool *s = make(&path);
    struct spool_name n = name_of(5, 1);
    char file[KNELL_SPOOL_NAME_BYTES + 1], why[512], text[64] = "";
    put(path, "new", &n);
    spool_name_format(&n, file);
    CHECK_INT(spool_quarantine(s, SPOOL_NEW, file, "bad\n\x1b[31mheader"), 0);
    snprintf(why, sizeof why, "%s/bad/%.*s.why", path, KNELL_SPOOL_NAME_BYTES - 4, file);
    FILE *f = fopen(why, "r");
    CHECK(f && fgets(text, sizeof text, f));
    CHECK_STR(text, "bad  [31mheader\n");
    if (f)
        fclose(f);
    CHECK_INT(test_count_files(path, "bad"), 2);
    spool_close(s);
}

static void replaces_a_file_whole(void)
{
    const char *path;
    struct spool *s = make(&path);
    CHECK_INT(spool_replace_file(s->fd, "state", "one", 3), 0);
    CHECK_INT(spool_replace_file(s->fd, "state", "second", 6), 0);
    char text[16] = "";
    int fd = openat(s->fd, "state", O_RDONLY);
    CHECK_INT(read(fd, text, sizeof text - 1), 6);
    CHECK_STR(text, "second");
    close(fd);
    CHECK_INT(test_count_files(path, ""), 8);
    spool_close(s);
}

/* Landlock without a rule: as a policy of the machine's that nobody thought of. */
static bool forbid_reading(void)
{
    const uint64_t read_file = 1 << 2;
    int rules =
        (int)syscall(SYS_landlock_create_ruleset, &read_file, sizeof read_file, 0);
    return rules >= 0 && !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
           !syscall(SYS_landlock_restrict_self, rules, 0);
}

static int open_in_child(const struct spool *s, const char *file, uid_t uid)
{
    int status = 0, fd = -1;
    pid_t pid = fork();
    if (!pid) {
        if (uid ? setresuid(uid, uid, uid) : !forbid_reading())
            _exit(0);
        _exit(-spool_open_file(s, SPOOL_NEW, file, 100, &fd, NULL));
    }
    CHECK_INT(waitpid(pid, &status, 0), pid);
    return -WEXITSTATUS(status);
}

/* A mode is the file's fault; what forbids to read a file whose mode allows it is not. */
static void a_policy_is_no_fault_of_the_file(void)
{
    const char *path;
    struct spool *s = make(&path);
    test_write_file(path, "new/plain", "MDMP", 4);
    int r = open_in_child(s, "plain", 0);
    if (!r)
        test_skip("no Landlock");
    else
        CHECK_INT(r, -EACCES);
    CHECK(!spool_fault(-EACCES));
    CHECK(spool_fault(-EPERM));
    if (geteuid() == 0) {
        CHECK_INT(fchmod(s->state_fd[SPOOL_NEW], 0755), 0);
        CHECK_INT(fchmodat(s->state_fd[SPOOL_NEW], "plain", 0600, 0), 0);
        CHECK_INT(open_in_child(s, "plain", SOMEBODY), -EPERM);
        CHECK_INT(fchownat(s->state_fd[SPOOL_NEW], "plain", SOMEBODY, 0, 0), 0);
        CHECK_INT(fchmodat(s->state_fd[SPOOL_NEW], "plain", 0200, 0), 0);
        CHECK_INT(open_in_child(s, "plain", SOMEBODY), -EPERM);
    }
    spool_close(s);
}

static uid_t owner_of(const struct spool *s, const char *file)
{
    struct stat st = {0};
    CHECK_INT(fstatat(s->fd, file, &st, AT_SYMLINK_NOFOLLOW), 0);
    return st.st_uid;
}

/* An uploader that runs as the owner goes on with them. */
static void what_root_makes_is_the_owners(void)
{
    if (geteuid() != 0) {
        test_skip("not root");
        return;
    }
    const char *path;
    struct spool *s = make(&path);
    CHECK_INT(fchown(s->fd, SOMEBODY, SOMEBODY), 0);
    CHECK_INT(fchown(s->state_fd[SPOOL_NEW], SOMEBODY, SOMEBODY), 0);
    CHECK(!spool_is_locked(s) && faccessat(s->fd, KNELL_SPOOL_LOCK, F_OK, 0) < 0);
    CHECK_INT(spool_lock(s), 0);
    CHECK(spool_is_locked(s));
    CHECK_INT(owner_of(s, KNELL_SPOOL_LOCK), SOMEBODY);
    CHECK_INT(spool_replace_file(s->state_fd[SPOOL_NEW], "report", "x", 1), 0);
    CHECK_INT(owner_of(s, "new/report"), SOMEBODY);
    CHECK_INT(spool_make_folder(s->fd, "marks"), 0);
    CHECK_INT(owner_of(s, "marks"), SOMEBODY);
    CHECK_INT(spool_make_folder(s->fd, "marks"), 0);
    /* But nothing that was there, whatever it is. */
    CHECK_INT(symlinkat("/etc/passwd", s->fd, "link"), 0);
    CHECK_INT(spool_keep_file(s->fd, "link", O_RDWR), -ELOOP);
    test_write_file(path, "roots", "x", 1);
    int fd = spool_keep_file(s->fd, "roots", O_RDWR);
    CHECK(fd >= 0 && !close(fd));
    CHECK_INT(owner_of(s, "roots"), 0);
    spool_close(s);
}

TEST_MAIN(TEST(what_root_makes_is_the_owners), TEST(makes_seven_private_folders),
    TEST(a_missing_spool_is_not_made_by_a_reader),
    TEST(a_spool_that_others_may_write_is_refused),
    TEST(a_state_that_is_a_link_is_refused), TEST(one_uploader_at_a_time),
    TEST(lists_by_time_and_skips_what_is_none_of_ours), TEST(a_move_overwrites_nothing),
    TEST(hostile_files_are_not_opened), TEST(a_policy_is_no_fault_of_the_file),
    TEST(reads_a_file_once_and_whole), TEST(quarantine_says_why_in_one_line),
    TEST(replaces_a_file_whole))
