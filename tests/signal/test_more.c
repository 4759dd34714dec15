/**
 * What does not fit the table of test_crash: programs that do not know knell, C++, core
 * dumps, the uploader's start, forbidden calls inside the handler.
 *
 * usage: test_more FOLDER_OF_VICTIMS PRELOAD_LIBRARY [NAME...]
 */
#include "run.h"
#include "test.h"
#include "tmpdir.h"

#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/procfs.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    FUNCTION_BYTES = 600, /* no function of the victim is longer */
#if defined __x86_64__
    PC_OF_CORE = 16,
#else
    PC_OF_CORE = 32,
#endif
};

static char folder[512], preload[512];

static const char *victim(const char *name)
{
    static char path[600];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static bool has(const struct crash_text *t, const char *text)
{
    return t->text && memmem(t->text, t->n_bytes, text, strlen(text));
}

static void check_signal(const struct run *r, int signo)
{
    CHECK(r->status >= 0 && WIFSIGNALED(r->status));
    CHECK_INT(WTERMSIG(r->status), signo);
    CHECK_INT(r->n_reports, 1);
    if (CHECK(r->crash))
        CHECK_INT(r->crash->signal.signo, signo);
}

/* The victim runs with -u: it never calls knell. */
static void preloaded(void)
{
    static const struct {
        const char *args;
        int signo;
        unsigned n_frames;
    } cases[] = {{"-t 3 null_write", SIGSEGV, 54}, {"abort", SIGABRT, 5},
        {"overflow_main", SIGSEGV, 60},
        /* threads that nobody told to enter */
        {"-t 3 overflow_bare", SIGSEGV, 60}, {"-t 3 overflow_c11", SIGSEGV, 60},
        /* before and after main() */
        {"in_constructor", SIGSEGV, 54}, {"in_destructor", SIGSEGV, 54}};
    (void)setenv("LD_PRELOAD", preload, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run r;
        run_victim(victim("victim_plain"), cases[i].args, RUN_BARE, &r);
        check_signal(&r, cases[i].signo);
        if (r.crash) {
            CHECK(r.crash->threads[0].n_frames >= cases[i].n_frames);
            CHECK_INT(r.crash->threads[0].tid, r.tid);
            CHECK_STR(r.crash->journal ? r.crash->journal->app : "", "victim_plain");
        }
        run_done(&r);
    }
    (void)unsetenv("LD_PRELOAD");
}

static void uncaught_exception(void)
{
    static const struct {
        const char *args, *type, *what;
    } cases[] = {{"runtime_error", "St13runtime_error", "\nthe pump is dry"},
        {"derived", "N5plant9pump_failE", "\nvirtual what"}, {"number", "i", NULL},
        {"rethrown", "St13runtime_error", "\nthe pump is dry"},
        {"from_a_thread", "St13runtime_error", "\nthe pump is dry"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run r;
        run_victim(victim("victim_cxx"), cases[i].args, 0, &r);
        check_signal(&r, SIGABRT);
        if (r.crash) {
            const struct crash_text *t = &r.crash->cxx_exception;
            size_t n = strlen(cases[i].type);
            CHECK(t->n_bytes >= n && !memcmp(t->text, cases[i].type, n));
            CHECK(!cases[i].what || has(t, cases[i].what));
            CHECK(cases[i].what || t->n_bytes == n);
        }
        run_done(&r);
    }
}

struct core {
    bool found;
    siginfo_t info;     /* NT_SIGINFO */
    uint64_t pc, at;    /* of the first thread; the victim's own function */
    unsigned n_threads; /* NT_PRSTATUS */
};

static void take_note(struct core *c, const Elf64_Nhdr *h, const uint8_t *desc)
{
    struct elf_prstatus status;
    if (h->n_type == NT_PRSTATUS && h->n_descsz == sizeof status) {
        memcpy(&status, desc, sizeof status);
        if (!c->n_threads++)
            c->pc = ((const uint64_t *)status.pr_reg)[PC_OF_CORE];
    } else if (h->n_type == NT_SIGINFO && h->n_descsz == sizeof c->info) {
        memcpy(&c->info, desc, sizeof c->info);
        c->found = true;
    }
}

static struct core read_core(const struct run *r)
{
    char path[600];
    struct core c = {.at = r->at};
    Elf64_Ehdr e;
    Elf64_Phdr p;
    static uint8_t notes[1 << 18];
    (void)snprintf(path, sizeof path, "%s/core", r->dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return c;
    if (pread(fd, &e, sizeof e, 0) != sizeof e ||
        pread(fd, &p, sizeof p, (off_t)e.e_phoff) != sizeof p || p.p_type != PT_NOTE)
        p.p_filesz = 0;
    ssize_t n = pread(fd, notes, p.p_filesz < sizeof notes ? p.p_filesz : sizeof notes,
        (off_t)p.p_offset);
    for (ssize_t at = 0; at + (ssize_t)sizeof(Elf64_Nhdr) < n;) {
        const Elf64_Nhdr *h = (const Elf64_Nhdr *)(const void *)(notes + at);
        const uint8_t *desc = notes + at + sizeof *h + ((h->n_namesz + 3) & ~3u);
        take_note(&c, h, desc);
        at = desc - notes + (ssize_t)((h->n_descsz + 3) & ~3u);
    }
    (void)close(fd);
    return c;
}

static bool makes_core_files(void)
{
    char pattern[256] = {0};
    FILE *f = fopen("/proc/sys/kernel/core_pattern", "r");
    if (f) {
        (void)!fgets(pattern, sizeof pattern, f);
        (void)fclose(f);
    }
    return !strcmp(pattern, "core\n");
}

/* What knell's own process numbers and addresses make differ is taken out. */
static void compare_cores(struct core *a, struct core *b)
{
    CHECK(a->found && b->found);
    CHECK_INT(a->n_threads, b->n_threads);
    if (a->info.si_code <= 0) {
        CHECK(a->info.si_pid > 0);
        a->info.si_pid = b->info.si_pid;
    } else {
        /* Elsewhere it is libc's, or of memory that lies elsewhere. */
        if (a->pc - a->at < FUNCTION_BYTES)
            CHECK_INT(a->pc, b->pc);
        if (a->info.si_addr != b->info.si_addr)
            CHECK((uint64_t)a->info.si_addr > a->at);
        a->info.si_addr = b->info.si_addr;
    }
    CHECK(!memcmp(&a->info, &b->info, sizeof a->info));
}

/* The core dump is the one of the fault itself: same siginfo, same instruction, as many
 * threads; and there is none where there would have been none. */
static void core_dumps(void)
{
    static const char *const cases[] = {"null_write", "-t 5 worker", "abort",
        "double_free", "call_null", "divide", "illegal", "breakpoint", "misaligned",
        "past_end_of_file", "trapped_syscall", "non_canonical", "overflow_main",
        "sp_unmapped", "in_handler_altstack", "sent_segv", "sent_abrt"};
    if (!makes_core_files()) {
        test_skip("core_pattern is not \"core\"");
        return;
    }
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        const unsigned cores = i % 2 ? RUN_CORE : 0;
        struct run r;
        int before = test_failures();
        run_victim(victim("victim"), cases[i / 2], cores, &r);
        struct core with = read_core(&r), bare;
        CHECK_INT(r.n_reports, 1);
        if (r.crash && with.found)
            CHECK_INT(r.crash->signal.pc, with.pc);
        int status = r.status;
        run_done(&r);
        run_victim(victim("victim"), cases[i / 2], cores | RUN_BARE, &r);
        bare = read_core(&r);
        CHECK_INT(r.status, status);
        CHECK_INT(WCOREDUMP(r.status) != 0, cores != 0);
        CHECK_INT(with.n_threads != 0, cores != 0);
        if (cores)
            compare_cores(&with, &bare);
        else
            CHECK(!bare.n_threads);
        run_done(&r);
        if (test_failures() > before)
            printf("  %s\n", cases[i / 2]);
    }
}

/* A stand-in for knell-upload says what it was given; the daemon notices nothing. */
static void uploader_is_started(void)
{
    struct run r;
    (void)setenv("KNELL_UPLOADER", victim("fake_upload"), 1);
    (void)setenv("KNELL_DSN", "http://key@localhost/1", 1);
    (void)setenv("VICTIM_UPLOADS", "1", 1);
    run_victim(victim("victim"), "-w a_report_waits uploads", 0, &r);
    (void)unsetenv("VICTIM_UPLOADS");
    (void)unsetenv("KNELL_UPLOADER");
    (void)unsetenv("KNELL_DSN");
    CHECK(r.status >= 0 && WIFEXITED(r.status));
    if (!CHECK_INT(WEXITSTATUS(r.status), 0))
        printf("%s%s", r.out, r.err);
    CHECK_STR(r.out,
        "dsn=http://key@localhost/1 argc=2 fds=3 signals=0 own_session=1 preload=0\n");
    run_done(&r);
}

/* Nothing that locks or allocates runs before the last commit that matters. */
static void no_forbidden_calls(void)
{
    static const char *const cases[] = {"-t 4 null_write", "-t 4 abort", "double_free",
        "-t 4 overflow_worker", "-w closes_all null_write", "fork_child"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run r;
        run_victim(victim("victim_calls"), cases[i], 0, &r);
        CHECK_INT(r.n_reports, 1);
        CHECK(strstr(r.out, "interposed\n")); /* else the check would see nothing */
        if (!CHECK(!strstr(r.out, "forbidden")))
            printf("%s: %s", cases[i], r.out);
        run_done(&r);
    }
}

/* More threads than fit: those that do, and how many did not. */
static void ten_thousand_threads(void)
{
    struct run r;
    run_victim(victim("victim"), "-t 10000 null_write", 0, &r);
    if (r.status >= 0 && WIFEXITED(r.status) && WEXITSTATUS(r.status) == 99) {
        test_skip(r.err); /* a machine that lets nobody have so many */
        run_done(&r);
        return;
    }
    check_signal(&r, SIGSEGV);
    if (r.crash) {
        uint32_t n_dropped = 0;
        CHECK_INT(r.crash->n_threads, 1000); /* what the victim asked for */
        CHECK_INT(r.crash->threads[0].tid, r.tid);
        for (uint32_t i = 0; i < r.crash->n_notes; i++) {
            if (r.crash->notes[i].step == KNELL_STEP_FREEZE)
                n_dropped += r.crash->notes[i].count;
        }
        CHECK_INT(n_dropped, 9000);
        CHECK(has(&r.crash->facts, "threads=10000\n"));
    }
    run_done(&r);
}

/* One thread aborts while another one's report waits to be written. */
static void second_crash_is_listed(void)
{
    struct run r;
    run_victim(victim("victim_failpoints"), "-f freeze:wait abort_after_crash", 0, &r);
    check_signal(&r, SIGSEGV);
    if (r.crash && CHECK_INT(r.crash->n_other_crashes, 1)) {
        const struct knell_signal_record *other = &r.crash->other_crashes[0];
        CHECK_INT(other->signo, SIGABRT);
        CHECK(other->tid != r.crash->signal.tid);
        bool listed = false;
        for (uint32_t i = 0; i < r.crash->n_threads; i++)
            listed |= r.crash->threads[i].tid == other->tid;
        CHECK(listed);
    }
    run_done(&r);
}

/* Threads that are on their way, however late, are waited for; none is taken for deaf. */
static void waits_for_those_that_come(void)
{
    struct run r;
    run_victim(victim("victim_failpoints"), "-t 4 -f park:wait null_write", 0, &r);
    check_signal(&r, SIGSEGV);
    if (r.crash && CHECK_INT(r.crash->n_threads, 4)) {
        for (uint32_t i = 0; i < r.crash->n_threads; i++)
            CHECK_INT(r.crash->threads[i].how, KNELL_THREAD_SIGNAL);
    }
    run_done(&r);
}

/* No signal handler can take a thread out of a write to a file system that hangs, but the
 * end of its process can: another thread brings it about, by the right signal; where
 * there is none, the kernel. */
static void a_thread_is_stuck(void)
{
    static const struct {
        const char *args;
        int signo;
    } cases[] = {{"-d 500 -t 4 -f freeze.asked:stuck null_write", SIGSEGV},
        {"-d 500 -f texts:stuck null_write", SIGKILL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run r;
        run_victim(victim("victim_failpoints"), cases[i].args, 0, &r);
        CHECK(r.status >= 0 && WIFSIGNALED(r.status));
        CHECK_INT(WTERMSIG(r.status), cases[i].signo);
        run_adopt(&r);
        if (!CHECK_INT(r.n_reports, 1))
            printf("  %s: %d in live/, %s\n", cases[i].args, r.n_live_dumps, r.err);
        if (CHECK(r.crash && r.crash->n_threads))
            CHECK_INT(r.crash->threads[0].tid, r.tid);
        run_done(&r);
    }
}

static void file_system_hangs(void)
{
    struct run r;
    const char *missing = surroundings_missing(RUN_ON_FUSE);
    if (missing) {
        test_skip(missing);
        return;
    }
    run_victim(victim("victim"), "-t 4 -w server_stops null_write", RUN_ON_FUSE, &r);
    CHECK(r.status >= 0 && WIFSIGNALED(r.status));
    CHECK_INT(WTERMSIG(r.status), SIGSEGV);
    CHECK_INT(r.n_reports, 0);
    run_adopt(&r);
    CHECK_INT(r.n_reports, 1);
    if (CHECK(r.crash && r.crash->n_threads)) {
        CHECK_INT(r.crash->signal.signo, SIGSEGV);
        CHECK_INT(r.crash->signal.address, 0x10);
        CHECK_INT(r.crash->threads[0].tid, r.tid);
    }
    run_done(&r);
}

/* All that was loaded since the start is in the report. */
static void late_libraries_are_listed(void)
{
    struct run r;
    run_victim(victim("victim"), "-w three_hundred_libraries in_late_library", 0, &r);
    check_signal(&r, SIGSEGV);
    unsigned n = 0;
    for (uint32_t i = 0; r.crash && i < r.crash->n_modules; i++) {
        const struct crash_module *m = &r.crash->modules[i];
        n += strstr(m->path, "/library") && m->n_build_id;
    }
    CHECK_INT(n, 300);
    run_done(&r);
}

static long fact(const struct crash *c, const char *key)
{
    const size_t n = strlen(key);
    const char *at =
        c->facts.text ? memmem(c->facts.text, c->facts.n_bytes, key, n) : NULL;
    return at ? strtol(at + n, NULL, 10) : -1;
}

/* What stood around the death: limits, descriptors, the process's status and age. */
static void surroundings_are_told(void)
{
    struct run r;
    char number[32];
    struct rlimit stack;
    (void)getrlimit(RLIMIT_STACK, &stack);
    run_victim(victim("victim"), "-t 3 -w all_descriptors_used null_write", 0, &r);
    check_signal(&r, SIGSEGV);
    if (r.crash) {
        const struct crash *c = r.crash;
        CHECK(has(&c->facts, "limit.core=0\n"));
        CHECK_INT(fact(c, "limit.nofile="), 1100);
        CHECK(fact(c, "open_fds=") >= 1000 && fact(c, "open_fds=") <= 1100);
        CHECK_INT(fact(c, "threads="), 3);
        CHECK(fact(c, "uptime_ms=") >= 0);
        (void)snprintf(number, sizeof number, "limit.stack=%s",
            stack.rlim_cur == RLIM_INFINITY ? "unlimited" : "");
        CHECK(has(&c->facts, number));
        if (stack.rlim_cur != RLIM_INFINITY)
            CHECK_INT(fact(c, "limit.stack="), (long)stack.rlim_cur);
        CHECK(memmem(r.bytes, r.n_bytes, "Name:\tvictim\n", 13) != NULL);
        bool has_vdso = false;
        for (uint32_t i = 0; i < c->n_memory; i++)
            has_vdso |= c->memory[i].n_bytes >= 4096 &&
                        !memcmp(c->memory[i].bytes, ELFMAG, SELFMAG);
        CHECK(has_vdso);
    }
    run_done(&r);
}

/* The kind of CPU, where Breakpad's and other readers look for it. */
static void cpu_is_described(void)
{
    struct run r;
    struct knell_md_header head;
    run_victim(victim("victim"), "null_write", 0, &r);
    if (CHECK(r.n_bytes > sizeof head)) {
        bool found = false;
        memcpy(&head, r.bytes, sizeof head);
        for (uint32_t i = 0; i < head.n_streams; i++) {
            struct knell_md_directory d;
            struct knell_md_system_info s;
            memcpy(&d, r.bytes + head.directory_rva + i * sizeof d, sizeof d);
            if (d.type != KNELL_STREAM_SYSTEM_INFO)
                continue;
            found = true;
            memcpy(&s, r.bytes + d.at.rva, sizeof s);
            CHECK(s.cpu_level >= 6);
#if defined __x86_64__
            char vendor[13] = {0}, line[256], expected[300] = {0}, told[300];
            memcpy(vendor, s.cpu, 12);
            FILE *f = fopen("/proc/cpuinfo", "r");
            while (f && fgets(line, sizeof line, f) && line[0] != '\n') {
                const char *colon = strchr(line, ':');
                if (colon &&
                    (!strncmp(line, "vendor_id", 9) || !strncmp(line, "cpu family", 10) ||
                        !strncmp(line, "model\t", 6) || !strncmp(line, "stepping", 8)))
                    strncat(expected, colon + 1, sizeof expected - strlen(expected) - 1);
            }
            if (f)
                (void)fclose(f);
            (void)snprintf(told, sizeof told, " %s\n %u\n %u\n %u\n", vendor, s.cpu_level,
                s.cpu_revision >> 8, s.cpu_revision & 0xff);
            CHECK_STR(told, expected);
#endif
        }
        CHECK(found);
    }
    run_done(&r);
}

/* The daemon shuts down while one of its threads crashes. */
static void exit_while_another_crashes(void)
{
    static const char *const cases[] = {
        "-f freeze:wait exit_after_crash", "-f threads:wait exit_after_crash"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run r;
        run_victim(victim("victim_failpoints"), cases[i], 0, &r);
        check_signal(&r, SIGSEGV);
        if (r.crash)
            CHECK_INT(r.crash->threads[0].tid, r.tid);
        run_done(&r);
    }
}

/* The runtime of a sanitizer was there before: it says what it has to say, and ends the
 * program as it does without knell. */
static void thread_sanitizer(void)
{
    static const struct {
        const char *args, *cover_forks;
    } cases[] = {{"null_write", "0"}, {"-t 4 worker", "0"}, {"abort", "0"},
        {"-t 4 fork_child", "0"}, {"-t 4 fork_child", "1"}};
    if (access(victim("victim_tsan"), X_OK)) {
        test_skip("the compiler has no -fsanitize=thread");
        return;
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run with, bare;
        (void)setenv("KNELL_COVER_FORKS", cases[i].cover_forks, 1);
        run_victim(victim("victim_tsan"), cases[i].args, 0, &with);
        (void)unsetenv("KNELL_COVER_FORKS");
        CHECK_INT(with.n_reports, 1);
        if (CHECK(with.crash))
            CHECK_INT(with.crash->threads[0].tid, with.tid);
        run_done(&with);
        run_victim(victim("victim_tsan"), cases[i].args, RUN_BARE, &bare);
        CHECK_INT(with.status, bare.status);
        CHECK_INT(strstr(with.err, "ThreadSanitizer") != NULL,
            strstr(bare.err, "ThreadSanitizer") != NULL);
        run_done(&bare);
    }
}

/* The report is there. The death is valgrind's: it takes a fault that is sent on as it
 * came for one of its own. */
static void valgrind(void)
{
    struct run r;
    if (system("command -v valgrind >/dev/null")) {
        test_skip("no valgrind");
        return;
    }
    char args[700];
    (void)snprintf(
        args, sizeof args, "-q --log-file=log %s -t 3 null_write", victim("victim"));
    run_victim("/usr/bin/valgrind", args, 0, &r);
    CHECK(r.status > 0);
    CHECK_INT(r.n_reports, 1);
    if (CHECK(r.crash)) {
        CHECK_INT(r.crash->signal.signo, SIGSEGV);
        CHECK_INT(r.crash->signal.address, 0x10);
        CHECK_INT(r.crash->threads[0].tid, r.tid);
        CHECK(r.crash->threads[0].n_frames >= 54);
    }
    run_done(&r);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {TEST(preloaded), TEST(uncaught_exception),
        TEST(core_dumps), TEST(uploader_is_started), TEST(no_forbidden_calls),
        TEST(ten_thousand_threads), TEST(second_crash_is_listed),
        TEST(exit_while_another_crashes), TEST(late_libraries_are_listed),
        TEST(surroundings_are_told), TEST(cpu_is_described),
        TEST(waits_for_those_that_come), TEST(a_thread_is_stuck), TEST(file_system_hangs),
        TEST(thread_sanitizer), TEST(valgrind)};
    if (argc < 3 || !realpath(argv[1], folder) || !realpath(argv[2], preload))
        return 2;
    return test_run(tests, sizeof tests / sizeof *tests, argc - 2, argv + 2);
}
