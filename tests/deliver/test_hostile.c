/*
 * A spool that somebody filled with everything but sound reports: links, FIFOs, sockets,
 * devices, folders, four gigabytes of nothing, other people's files, names made to harm,
 * and a small report cut at every byte and with every bit turned. The real knell-upload
 * puts each of them away with a reason, does not hang, does not end early, and takes no
 * more memory than it may; the sound report among them arrives.
 *
 * usage: test_hostile [STEP]     every STEP-th cut and bit of the small report (61)
 */
#include "dump.h"
#include "stage.h"
#include "test.h"
#include "tmpdir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a pass may take at most, the worker included; the report itself may have 64 MiB.
 */
enum { MAX_RESIDENT_KIB = 64 << 10, MAX_LARGEST_KIB = 300 << 10, SOMEBODY = 54321 };

static size_t step = 61;
static unsigned n_names;

/* A name of the grammar, each with an event id of its own. */
static const char *next_name(char out[static KNELL_SPOOL_NAME_BYTES + 1])
{
    struct spool_name n = {
        .time_ms = 1700000000000 + n_names, .signature = n_names, .signo = 11};
    n.event_id[0] = 0xab;
    for (int i = 0; i < 4; i++)
        n.event_id[15 - i] = (uint8_t)(n_names >> 8 * i);
    n_names++;
    spool_name_format(&n, out);
    return out;
}

static void path_of(const struct stage *s, const char *file, char out[static 1024])
{
    (void)snprintf(out, 1024, "%s/%s", s->spool, file);
}

static void sparse(const char *path, off_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    CHECK(fd >= 0 && ftruncate(fd, n) == 0);
    close(fd);
}

static void unix_socket(const char *path)
{
    /* Bound where the path is short. */
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    (void)snprintf(a.sun_path, sizeof a.sun_path, "%s/socket", test_tmpdir());
    CHECK_INT(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    CHECK_INT(rename(a.sun_path, path), 0);
    close(fd);
}

enum kind {
    LINK_TO_SECRET,
    LINK_TO_NOTHING,
    HARD_LINK,
    FIFO,
    SOCKET,
    DEVICE,
    FOLDER,
    FULL_FOLDER,
    FOUR_GIGABYTES,
    EMPTY,
    ONE_BYTE,
    NOT_OURS,
    FOR_ALL_TO_WRITE,
    N_KINDS,
};
static const char *const kind_names[N_KINDS] = {"link to a secret", "link to nothing",
    "hard link", "FIFO", "socket", "device", "folder", "full folder", "four gigabytes",
    "empty", "one byte", "not ours", "for all to write"};

/* False: it cannot be made by this user. */
static bool make_hostile(const struct stage *s, enum kind kind, const char *path)
{
    char secret[600];
    (void)snprintf(secret, sizeof secret, "%s/secret", s->dir);
    switch (kind) {
    case LINK_TO_SECRET:
        return CHECK_INT(symlink(secret, path), 0);
    case LINK_TO_NOTHING:
        return CHECK_INT(symlink("/nowhere/at/all", path), 0);
    case HARD_LINK:
        return CHECK_INT(link(secret, path), 0);
    case FIFO:
        return CHECK_INT(mkfifo(path, 0600), 0);
    case SOCKET:
        unix_socket(path);
        return true;
    case DEVICE:
        return mknod(path, S_IFCHR | 0600, makedev(1, 5)) == 0; /* /dev/zero */
    case FOLDER:
    case FULL_FOLDER:
        CHECK_INT(mkdir(path, 0700), 0);
        if (kind == FULL_FOLDER)
            test_write_file(path, "file", "x", 1);
        return true;
    case FOUR_GIGABYTES:
        sparse(path, (off_t)4 << 30);
        return true;
    case EMPTY:
    case ONE_BYTE:
    case FOR_ALL_TO_WRITE:
    case NOT_OURS:
        sparse(path, kind == ONE_BYTE);
        if (kind == FOR_ALL_TO_WRITE)
            return CHECK_INT(chmod(path, 0666), 0);
        return kind != NOT_OURS || chown(path, SOMEBODY, SOMEBODY) == 0 ||
               (unlink(path), false);
    case N_KINDS:
        break;
    }
    return false;
}

/* Ends what hangs: a status of 124. All cuts and bits of a report are some 70,000. */
static int upload_with(const struct stage *s, const char *option)
{
    const char *limit_s = step > 1 ? "120" : "7200";
    return stage_run(
        s, (const char *const[]){"/usr/bin/timeout", limit_s, UPLOAD_PROGRAM, "-v",
               "--set=spool.max_reports=1000000", "--set=spool.max_bytes=16G",
               "--set=spool.retain_bad_bytes=16G", "--set=spool.retain_sent_bytes=16G",
               "--set=spool.keep_free=0", option, NULL});
}

static int upload(const struct stage *s)
{
    return upload_with(s, NULL);
}

static long resident_kib(void)
{
    struct rusage u = {0};
    (void)getrusage(RUSAGE_CHILDREN, &u);
    return u.ru_maxrss;
}

static int count_reasons(const struct stage *s)
{
    char command[700];
    int n = -1;
    (void)snprintf(
        command, sizeof command, "ls -1 -q '%s/bad' | grep -c '[.]why$'", s->spool);
    FILE *f = popen(command, "r");
    if (!f || fscanf(f, "%d", &n) != 1)
        n = -1;
    if (f)
        (void)pclose(f);
    return n;
}

static struct stage *begin(void)
{
    struct stage *s = stage_new(STAGE_NEW, NULL);
    test_write_file(s->dir, "secret", "secret", 6);
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/secret", s->dir);
    CHECK_INT(chmod(path, 0600), 0);
    return s;
}

static void check_secret(const struct stage *s)
{
    char path[1024], text[16] = "";
    (void)snprintf(path, sizeof path, "%s/secret", s->dir);
    FILE *f = fopen(path, "re");
    CHECK(f && fgets(text, sizeof text, f));
    CHECK_STR(text, "secret");
    if (f)
        (void)fclose(f);
}

/* @n  hostile files that must be in bad/, each with a reason */
static void end(struct stage *s, int n)
{
    int failures = test_failures();
    CHECK_INT(upload(s), 0);
    CHECK_INT(stage_arrived(s, NULL, NULL), 1);
    CHECK_INT(stage_count(s, SPOOL_SENT), 1);
    CHECK_INT(stage_count(s, SPOOL_NEW) + stage_count(s, SPOOL_WORK), 0);
    CHECK_INT(count_reasons(s), n);
    CHECK_INT(stage_count(s, SPOOL_BAD), 2 * n);
    CHECK_INT(stage_verify(s), 0);
    check_secret(s);
    if (test_failures() > failures)
        stage_show(s);
    stage_free(s);
}

static void files_that_are_none_are_put_away(void)
{
    static const char *const folders[] = {"new", "wait", "work"};
    for (size_t f = 0; f < sizeof folders / sizeof *folders; f++) {
        struct stage *s = begin();
        int n = 0;
        for (int i = 0; i < N_KINDS; i++) {
            char name[KNELL_SPOOL_NAME_BYTES + 1], file[200], path[1024];
            (void)snprintf(file, sizeof file, "%s/%s", folders[f], next_name(name));
            path_of(s, file, path);
            if (make_hostile(s, (enum kind)i, path))
                n++;
            else
                printf("%s: not for this user to make\n", kind_names[i]);
        }
        end(s, n);
    }
}

static void live_files_that_are_none_are_put_away(void)
{
    static const char *const suffixes[] = {".dmp", ".jnl", ".seg"};
    for (size_t k = 0; k < sizeof suffixes / sizeof *suffixes; k++) {
        struct stage *s = begin();
        int n = 0;
        for (int i = 0; i < N_KINDS; i++) {
            char file[200], path[1024];
            /* What says nothing is removed, as what a process killed early leaves. */
            if (i == EMPTY || i == ONE_BYTE)
                continue;
            (void)snprintf(file, sizeof file,
                "live/00000001-%d-1-cd0000000000000000000000000000%02x%s", i + 1, i,
                suffixes[k]);
            path_of(s, file, path);
            n += make_hostile(s, (enum kind)i, path);
        }
        end(s, n);
    }
}

static void harmful_names_are_put_away(void)
{
    static const char *const names[] = {"\033[2J\033]0;owned\007.dmp", "a\nb.dmp",
        "\xff\xfe.dmp", "-rf", "--help.dmp", "$(reboot).dmp", "%s%n%s.dmp", "lock",
        "1700000000000-000000000001-AB000000000000000000000000000001-s11.a00."
        "n0000000000.dmp",
        "1700000000000-000000000001-ab000000000000000000000000000001-s11.a00."
        "n0000000000.dmp.dmp",
        "9999999999999-ffffffffffff-ffffffffffffffffffffffffffffffff-s99.a99."
        "n9999999999.exe",
        "x.why.dmp"};
    struct stage *s = begin();
    char file[300], path[1024], name[256];
    int n = 0;
    for (; n < (int)(sizeof names / sizeof *names); n++) {
        (void)snprintf(file, sizeof file, "new/%s", names[n]);
        path_of(s, file, path);
        sparse(path, 3);
    }
    memset(name, 'x', sizeof name); /* a name as long as can be leaves no room for .why */
    (void)snprintf(file, sizeof file, "new/%.240s.dmp", name);
    path_of(s, file, path);
    sparse(path, 3);
    end(s, n + 1);
}

/* Files that the uploader keeps for itself, made into something else. */
static void its_own_files_are_not_trusted(void)
{
    static const char *const own[] = {"lock", "state", "log", "log.1", "strikes", "index",
        "consent", "done", "symbols"};
    for (size_t f = 0; f < sizeof own / sizeof *own; f++) {
        for (int i = 0; i < N_KINDS; i++) {
            struct stage *s = begin();
            if (step > 1 && (f * N_KINDS + (size_t)i) % 7)
                continue;
            char path[1024];
            int failures = test_failures();
            path_of(s, own[f], path);
            (void)unlink(path);
            if (!make_hostile(s, (enum kind)i, path)) {
                stage_free(s);
                continue;
            }
            int status = upload(s);
            CHECK(
                status == 0 || status == 1 || status == 4 || status == 6 || status == 9);
            status = stage_run(s, (const char *const[]){"/usr/bin/timeout", "60",
                                      KNELL_PROGRAM, "list", NULL});
            CHECK(status >= 0 && status < 10);
            check_secret(s);
            /* With the thing gone all is as it was. */
            char command[1100];
            (void)snprintf(command, sizeof command, "rm -rf %s", path);
            CHECK_INT(system(command), 0);
            CHECK_INT(stage_upload(s), 0);
            CHECK_INT(stage_arrived(s, NULL, NULL), 1);
            CHECK_INT(stage_verify(s), 0);
            if (test_failures() > failures) {
                printf("%s: %s\n", own[f], kind_names[i]);
                stage_show(s);
            }
            stage_free(s);
        }
    }
}

/* Its bytes, its length, and its length to nearly nothing and back, for ever. */
static _Noreturn void scribble(int fd, off_t n)
{
    for (unsigned i = 1;; i = i * 1103515245u + 12345u) {
        uint64_t garbage = i * 0x9e3779b97f4a7c15u;
        if (pwrite(fd, &garbage, sizeof garbage, i % n) < 0 ||
            ftruncate(fd, i % 7 ? n : i % 64) < 0)
            _exit(1);
    }
}

/* Whoever made a report may have kept it open: what is parsed is a copy, taken once
 * (CVE-2015-1869, CVE-2026-54228). */
static void a_writer_that_goes_on_changes_nothing(void)
{
    enum { ROUNDS = 5 };
    for (int round = 0; round < ROUNDS; round++) {
        struct stage *s = begin();
        char command[700], path[1024] = "";
        (void)snprintf(command, sizeof command, "ls '%s'/new/*.dmp", s->spool);
        FILE *f = popen(command, "r");
        if (f && fgets(path, sizeof path, f))
            path[strcspn(path, "\n")] = 0;
        if (f)
            (void)pclose(f);
        int fd = open(path, O_RDWR);
        struct stat st = {0};
        CHECK(fd >= 0 && fstat(fd, &st) == 0);
        pid_t writer = fork();
        if (!writer)
            scribble(fd, st.st_size);
        close(fd);
        int status = upload(s);
        CHECK(status == 0 || status == 6); /* 6: its worker was at a loss this time */
        CHECK_INT(stage_count(s, SPOOL_NEW) + stage_count(s, SPOOL_WORK), 0);
        (void)kill(writer, SIGKILL);
        (void)waitpid(writer, NULL, 0);
        int n;
        (void)stage_states(s, s->event_id, &n);
        CHECK_INT(n, 1);
        stage_free(s);
    }
}

/* @bytes  of a report; written under a name of its own */
static void put_report(const struct stage *s, const uint8_t *bytes, size_t n)
{
    char name[KNELL_SPOOL_NAME_BYTES + 1], file[200];
    (void)snprintf(file, sizeof file, "new/%s", next_name(name));
    test_write_file(s->spool, file, bytes, n);
}

/* Events that say that their report's checksum is wrong. */
static int count_marked(const struct stage *s)
{
    char command[700];
    int n = -1;
    (void)snprintf(
        command, sizeof command, "grep -rl 'checksum at' '%s' | wc -l", s->out);
    FILE *f = popen(command, "r");
    if (!f || fscanf(f, "%d", &n) != 1)
        n = -1;
    if (f)
        (void)pclose(f);
    return n;
}

/* Each of them is refused; none is lost, none ends the pass, and none kills the worker.
 */
static void check_quarantined(struct stage *s, int n)
{
    CHECK_INT(upload(s), 0);
    CHECK_INT(count_reasons(s), n);
    CHECK_INT(stage_count(s, SPOOL_BAD), 2 * n);
    CHECK_INT(stage_count(s, SPOOL_SENT), 1);
    CHECK_INT(
        stage_count(s, SPOOL_WAIT), 0); /* a worker's death would have put it there */
    CHECK_INT(stage_verify(s), 0);
    printf("%d damaged reports, largest process %ld KiB\n", n, resident_kib());
}

/* Where that is asked for each is sent as far as it goes, and says so, or refused. */
static void check_sent_or_quarantined(struct stage *s, int n)
{
    CHECK_INT(upload_with(s, "--set=event.send_changed=yes"), 0);
    int bad = count_reasons(s);
    CHECK_INT(stage_count(s, SPOOL_BAD), 2 * bad);
    CHECK_INT(stage_count(s, SPOOL_SENT) + bad, n + 1);
    CHECK_INT(stage_count(s, SPOOL_WAIT), 0);
    CHECK(bad < n / 10);
    CHECK_INT(count_marked(s), n - bad);
    CHECK_INT(stage_verify(s), 5);
    printf("%d damaged reports: %d refused\n", n, bad);
}

static void every_cut_of_a_report(void)
{
    struct stage *s = begin();
    int failures = test_failures();
    struct dump *d = dump_example();
    size_t n;
    int made = 0;
    const uint8_t *bytes = dump_finish(d, &n);
    for (size_t i = 0; i < n; i += step, made++)
        put_report(s, bytes, i);
    dump_free(d);
    check_quarantined(s, made);
    if (test_failures() > failures)
        stage_show(s);
    stage_free(s);
}

/* The small report, once with each of its bits turned. Returns how many were put. */
static int put_every_bit(const struct stage *s)
{
    struct dump *d = dump_example();
    size_t n;
    int made = 0;
    const uint8_t *bytes = dump_finish(d, &n);
    uint8_t *copy = malloc(n);
    memcpy(copy, bytes, n);
    dump_seal(copy, n);
    for (size_t i = 0; i < 8 * n; i += step, made++) {
        copy[i / 8] ^= (uint8_t)(1u << i % 8);
        put_report(s, copy, n);
        copy[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    free(copy);
    dump_free(d);
    return made;
}

static void every_bit_of_a_report(void)
{
    struct stage *s = begin();
    int failures = test_failures();
    check_quarantined(s, put_every_bit(s));
    if (test_failures() > failures)
        stage_show(s);
    stage_free(s);
}

static void every_bit_of_a_report_that_is_sent_all_the_same(void)
{
    struct stage *s = begin();
    int failures = test_failures();
    check_sent_or_quarantined(s, put_every_bit(s));
    if (test_failures() > failures)
        stage_show(s);
    stage_free(s);
}

static void memory_stays_within_bounds(void)
{
#ifdef KNELL_INSTRUMENTED
    test_skip("a sanitizer takes memory of its own");
#else
    CHECK(resident_kib() > 1000);
    CHECK(resident_kib() < MAX_RESIDENT_KIB);
#endif
}

static void the_largest_report_is_held_once(void)
{
    struct stage *s = begin();
    char name[KNELL_SPOOL_NAME_BYTES + 1], file[200], path[1024];
    (void)snprintf(file, sizeof file, "new/%s", next_name(name));
    path_of(s, file, path);
    sparse(path, KNELL_MAX_REPORT_BYTES);
    end(s, 1);
#ifndef KNELL_INSTRUMENTED
    CHECK(resident_kib() < MAX_LARGEST_KIB);
#endif
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {TEST(files_that_are_none_are_put_away),
        TEST(live_files_that_are_none_are_put_away), TEST(harmful_names_are_put_away),
        TEST(its_own_files_are_not_trusted), TEST(a_writer_that_goes_on_changes_nothing),
        TEST(every_cut_of_a_report), TEST(every_bit_of_a_report),
        TEST(every_bit_of_a_report_that_is_sent_all_the_same),
        TEST(memory_stays_within_bounds), TEST(the_largest_report_is_held_once)};
    bool number = argc > 1 && argv[1][0] >= '1' && argv[1][0] <= '9';
    if (number)
        step = (size_t)atol(argv[1]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    return test_run(tests, sizeof tests / sizeof *tests, number ? argc - 1 : argc,
        number ? argv + 1 : argv);
}
