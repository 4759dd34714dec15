#include "test.h"
#include "tmpdir.h"

#include "uploader/report/obituary.h"
#include "uploader/spool/adopt.h"

#include <errno.h>
#include <fcntl.h>
#include <knell/journal.h>
#include <knell/knell.h>
#include <knell/minidump.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define EVENT "00112233445566778899aabbccddeeff"
#define STEM "ef126bac-4711-123456-" EVENT

static const char *proc; /* a made-up /proc */

/* A daemon that closes every descriptor keeps its locks: its mappings hold them. Where
 * /proc cannot be read, nothing else says that it lives. */
static void a_living_process_without_descriptors_is_left_alone(void)
{
    struct spool *s = NULL;
    struct adopt_result a = {0};
    int ready[2], status;
    char byte;
    CHECK_INT(spool_open(test_tmpdir(), true, &s), 0);
    CHECK(!pipe(ready));
    pid_t pid = fork();
    if (!pid) {
        struct knell_options o = KNELL_OPTIONS_INIT;
        o.spool_dir = s->path;
        o.dsn = "";
        o.start_uploader = KNELL_OFF;
        if (knell_start(&o) || write(ready[1], "", 1) != 1)
            _exit(1);
        closefrom(3);
        (void)raise(SIGSTOP);
        for (;;)
            pause();
    }
    CHECK_INT(read(ready[0], &byte, 1), 1);
    CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    CHECK_INT(adopt_all(s, obituary_write, NULL, "/proc/none", &a), 0);
    CHECK_INT(a.n_dumps + a.n_obituaries, 0);
    CHECK_INT(test_count_files(s->path, "live"), 2);
    CHECK_INT(test_count_files(s->path, "new"), 0);
    (void)kill(pid, SIGKILL);
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK_INT(adopt_all(s, obituary_write, NULL, "/proc/none", &a), 0);
    CHECK_INT(a.n_obituaries, 1);
    spool_close(s);
}

static struct spool *make(void)
{
    struct spool *s = NULL;
    CHECK_INT(spool_open(test_tmpdir(), true, &s), 0);
    if (!proc) {
        proc = test_tmpdir();
        test_write_file(proc, "sys/kernel/random/boot_id",
            "ef126bac-0000-4000-8000-000000000000\n", 37);
    }
    return s;
}

/* A committed dump: header, directory, exception and signal streams. */
static void put_dump(struct spool *s, const char *file, bool committed, uint32_t rva)
{
    struct {
        struct knell_md_header h;
        struct knell_md_directory d[2];
        struct knell_md_exception e;
        struct knell_signal_record s;
    } m = {0};
    uint32_t at = sizeof m.h + sizeof m.d;
    if (committed)
        m.h = (struct knell_md_header){.magic = KNELL_MINIDUMP_MAGIC,
            .version = KNELL_MINIDUMP_VERSION,
            .n_streams = 2,
            .directory_rva = rva ? rva : sizeof m.h,
            .time_s = 1700000000};
    m.d[0] = (struct knell_md_directory){KNELL_STREAM_EXCEPTION, {sizeof m.e, at}};
    m.d[1] = (struct knell_md_directory){
        KNELL_STREAM_SIGNAL, {sizeof m.s, at + (uint32_t)sizeof m.e}};
    m.e.code = 11;
    m.s.pc = 0x555555554123;
    char path[160];
    snprintf(path, sizeof path, "live/%s", file);
    test_write_file(s->path, path, &m, sizeof m);
}

static void put_journal(struct spool *s, const char *file, uint32_t state)
{
    struct knell_journal_head h = {.magic = KNELL_JOURNAL_MAGIC,
        .version = KNELL_JOURNAL_VERSION,
        .head_bytes = sizeof h,
        .total_bytes = sizeof h,
        .state = state};
    char path[160];
    snprintf(path, sizeof path, "live/%s", file);
    test_write_file(s->path, path, &h, sizeof h);
}

static unsigned n_asked;
static int answer;

static int obituary(void *ctx, const uint8_t *image, size_t n,
    const struct spool_live_name *live, const uint8_t *slot, size_t n_slot,
    struct spool_name *name, uint8_t **ret, size_t *ret_n)
{
    CHECK(ctx == &n_asked);
    n_asked++;
    CHECK(n == sizeof(struct knell_journal_head) && image[0] == 'K');
    CHECK_INT(live->pid, 4711);
    CHECK_INT(slot != NULL, n_slot > 0);
    if (answer)
        return answer;
    name->signature = 9;
    *ret = malloc(4);
    memcpy(*ret, "MDMP", 4);
    *ret_n = 4;
    return 0;
}

static struct adopt_result run(struct spool *s)
{
    struct adopt_result r = {0};
    CHECK_INT(adopt_all(s, obituary, &n_asked, proc, &r), 0);
    return r;
}

static struct spool_name only_new(struct spool *s)
{
    struct spool_list l = {0};
    struct spool_name n = {0};
    CHECK_INT(spool_list_add(s, SPOOL_NEW, &l), 0);
    CHECK_INT(l.n, 1);
    if (l.n)
        n = l.names[0];
    spool_list_done(&l);
    return n;
}

static void a_committed_dump_becomes_a_report(void)
{
    struct spool *s = make();
    put_dump(s, STEM ".dmp", true, 0);
    put_journal(s, STEM ".jnl", KNELL_RUN_CRASHING);
    struct adopt_result r = run(s);
    CHECK_INT(r.n_dumps, 1);
    CHECK_INT(test_count_files(s->path, "live"), 0);
    struct spool_name n = only_new(s);
    CHECK_INT(n.signo, 11);
    CHECK_INT(n.time_ms, 1700000000000);
    CHECK(n.signature != 0);
    char id[33];
    spool_event_id_format(n.event_id, id);
    CHECK_STR(id, EVENT);
    CHECK_INT(run(s).n_dumps, 0);
    spool_close(s);
}

/* The run in a child that is ended by flock(2). Returns its wait status, of an exit the
 * number of those alive. */
static int run_without_locks(struct spool *s)
{
    const struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_flock, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    const struct sock_fprog program = {
        .len = sizeof code / sizeof *code, .filter = (void *)(uintptr_t)code};
    int status = -1;
    pid_t pid = fork();
    if (!pid) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
            prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
            _exit(1); /* no filters here: nothing is shown */
        _exit((int)run(s).n_alive);
    }
    CHECK_INT(waitpid(pid, &status, 0), pid);
    return status;
}

static void a_running_process_is_left_alone(void)
{
    struct spool *s = make();
    put_dump(s, STEM ".dmp", true, 0);
    int fd = openat(s->state_fd[SPOOL_LIVE], STEM ".dmp", O_RDONLY);
    CHECK_INT(flock(fd, LOCK_EX), 0);
    CHECK_INT(run(s).n_alive, 1);
    close(fd);
    /* No lock, but the process is there: it closed all its descriptors. */
    static const char stat[] =
        "4711 (a) b) ) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 "
        "18 123456 20 21\n";
    test_write_file(proc, "4711/stat", stat, sizeof stat - 1);
    CHECK_INT(run(s).n_alive, 1);
    /* One that is about to lock its files must not find them locked. */
    CHECK_INT(run_without_locks(s), 1 << 8);
    /* Another process with that pid. */
    static const char later[] = "4711 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 "
                                "18 123457 20 21\n";
    test_write_file(proc, "4711/stat", later, sizeof later - 1);
    CHECK_INT(run(s).n_dumps, 1);
    spool_close(s);
}

static void an_unclean_journal_gets_an_obituary(void)
{
    struct spool *s = make();
    n_asked = 0;
    answer = -ENOMEM; /* not now */
    put_dump(s, STEM ".dmp", false, 0);
    put_journal(s, STEM ".jnl", KNELL_RUN_RUNNING);
    run(s);
    CHECK_INT(n_asked, 1);
    CHECK_INT(test_count_files(s->path, "live"), 2);
    answer = 0;
    CHECK_INT(run(s).n_obituaries, 1);
    CHECK_INT(test_count_files(s->path, "live"), 0);
    CHECK_INT(only_new(s).signature, 9);
    spool_close(s);
}

/* Cut off between the obituary and the removal of its journal, and in the meantime
 * somebody has put the report elsewhere. */
static void an_obituary_is_written_once(void)
{
    struct spool *s = make();
    answer = 0;
    put_journal(s, STEM ".jnl", KNELL_RUN_RUNNING);
    CHECK_INT(run(s).n_obituaries, 1);
    struct spool_name n = only_new(s);
    CHECK_INT(spool_move(s, SPOOL_NEW, &n, SPOOL_HOLD, NULL), 0);
    CHECK_INT(spool_has_event(s, n.event_id), 1);
    put_journal(s, STEM ".jnl", KNELL_RUN_RUNNING);
    CHECK_INT(run(s).n_obituaries, 0);
    CHECK_INT(test_count_files(s->path, "new"), 0);
    CHECK_INT(test_count_files(s->path, "live"), 0);
    n.event_id[0]++;
    CHECK_INT(spool_has_event(s, n.event_id), 0);
    spool_close(s);
}

static void clean_and_dumped_journals_are_removed(void)
{
    static const uint32_t states[] = {KNELL_RUN_CLEAN, KNELL_RUN_DUMPED};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        struct spool *s = make();
        n_asked = 0;
        answer = 0;
        put_journal(s, STEM ".jnl", states[i]);
        if (i == 0)
            put_dump(s, STEM ".dmp", false, 0);
        run(s);
        CHECK_INT(n_asked, 0);
        CHECK_INT(test_count_files(s->path, "live"), 0);
        CHECK_INT(test_count_files(s->path, "new"), 0);
        spool_close(s);
    }
}

/* Nothing was committed, or what was is gone: the journal's last words are left. */
static void an_unfinished_capture_is_asked_about(void)
{
    static const struct {
        uint32_t state;
        bool slot;
    } cases[] = {{KNELL_RUN_CRASHING, true}, {KNELL_RUN_CRASHING, false},
        {KNELL_RUN_DUMPED, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct spool *s = make();
        n_asked = 0;
        answer = 0;
        put_journal(s, STEM ".jnl", cases[i].state);
        if (cases[i].slot)
            put_dump(s, STEM ".dmp", false, 0);
        CHECK_INT(run(s).n_obituaries, 1);
        CHECK_INT(n_asked, 1);
        CHECK_INT(test_count_files(s->path, "live"), 0);
        CHECK_INT(test_count_files(s->path, "new"), 1);
        spool_close(s);
    }
}

static void damaged_files_are_quarantined(void)
{
    struct spool *s = make();
    answer = -EBADMSG;
    put_dump(s, STEM ".dmp", true, 0x7fffffff);
    run(s);
    CHECK_INT(test_count_files(s->path, "bad"), 2);
    test_write_file(s->path, "live/" STEM ".jnl", "what?", 5);
    run(s);
    CHECK_INT(test_count_files(s->path, "bad"), 4);
    CHECK_INT(symlinkat("/etc/passwd", s->state_fd[SPOOL_LIVE], STEM ".dmp"), 0);
    run(s);
    CHECK_INT(test_count_files(s->path, "live"), 0);
    test_write_file(s->path, "live/notes", "mine", 4);
    run(s);
    CHECK_INT(test_count_files(s->path, "live"), 1);
    spool_close(s);
}

static void a_segment_goes_out_when_it_holds_something(void)
{
    struct spool *s = make();
    uint8_t head[64] = "KSEG";
    test_write_file(s->path, "live/" STEM ".seg", head, sizeof head);
    run(s);
    CHECK_INT(test_count_files(s->path, "live"), 0);
    head[12] = 1; /* n_records */
    head[16] = 0xaa;
    test_write_file(s->path, "live/" STEM ".seg", head, sizeof head);
    CHECK_INT(run(s).n_segments, 1);
    CHECK_INT(test_count_files(s->path, "new"), 1);
    spool_close(s);
}

static void every_cut_of_a_dump_is_survived(void)
{
    struct spool *s = make();
    answer = -EBADMSG;
    char path[512];
    snprintf(path, sizeof path, "%s/live/" STEM ".dmp", s->path);
    for (off_t n = 0; n < 260; n += 3) {
        put_dump(s, STEM ".dmp", true, 0);
        CHECK_INT(truncate(path, n), 0);
        run(s);
        CHECK_INT(test_count_files(s->path, "live"), 0);
    }
    spool_close(s);
}

TEST_MAIN(TEST(a_living_process_without_descriptors_is_left_alone),
    TEST(a_committed_dump_becomes_a_report), TEST(a_running_process_is_left_alone),
    TEST(an_unclean_journal_gets_an_obituary), TEST(an_obituary_is_written_once),
    TEST(clean_and_dumped_journals_are_removed), TEST(damaged_files_are_quarantined),
    TEST(a_segment_goes_out_when_it_holds_something),
    TEST(every_cut_of_a_dump_is_survived), TEST(an_unfinished_capture_is_asked_about))
