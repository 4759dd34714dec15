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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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
        /* a thread that nobody told to enter */
        {"-t 3 overflow_bare", SIGSEGV, 60}};
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
        {"rethrown", "St13runtime_error", "\nthe pump is dry"}};
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

/* NT_SIGINFO and the first NT_PRSTATUS of a core file. */
static bool read_core(const char *dir, siginfo_t *info, uint64_t *pc)
{
    char path[600];
    (void)snprintf(path, sizeof path, "%s/core", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    Elf64_Ehdr e;
    Elf64_Phdr p;
    static uint8_t notes[1 << 18];
    int found = 0;
    if (fd < 0)
        return false;
    if (read(fd, &e, sizeof e) != sizeof e ||
        pread(fd, &p, sizeof p, (off_t)e.e_phoff) < 0)
        goto out;
    ssize_t n = pread(fd, notes, p.p_filesz < sizeof notes ? p.p_filesz : sizeof notes,
        (off_t)p.p_offset);
    for (ssize_t at = 0; p.p_type == PT_NOTE && at + (ssize_t)sizeof(Elf64_Nhdr) < n;) {
        const Elf64_Nhdr *h = (const Elf64_Nhdr *)(const void *)(notes + at);
        const uint8_t *desc = notes + at + sizeof *h + ((h->n_namesz + 3) & ~3u);
        if (h->n_type == NT_PRSTATUS && !(found & 1)) {
            const struct elf_prstatus *s =
                (const struct elf_prstatus *)(const void *)desc;
            *pc = ((const uint64_t *)s->pr_reg)[16]; /* rip */
            found |= 1;
        } else if (h->n_type == NT_SIGINFO && !(found & 2)) {
            memcpy(info, desc, sizeof *info);
            found |= 2;
        }
        at = desc - notes + (ssize_t)((h->n_descsz + 3) & ~3u);
    }
out:
    (void)close(fd);
    return found == 3;
}

/* The core dump is the one of the fault itself: same siginfo, same instruction. */
static void core_dumps(void)
{
    char pattern[256] = {0};
    FILE *f = fopen("/proc/sys/kernel/core_pattern", "r");
    if (f) {
        (void)!fgets(pattern, sizeof pattern, f);
        (void)fclose(f);
    }
    if (strcmp(pattern, "core\n") != 0) {
        test_skip("core_pattern is not \"core\"");
        return;
    }
    static const char *const cases[] = {"null_write", "abort", "sent_segv", "illegal"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run with, bare;
        siginfo_t a = {0}, b = {0};
        uint64_t pc_with = 0, pc_bare = 0;
        run_victim(victim("victim"), cases[i], RUN_CORE, &with);
        bool core = read_core(with.dir, &a, &pc_with);
        uint64_t at_with = with.at;
        CHECK_INT(with.n_reports, 1);
        if (with.crash && core)
            CHECK_INT(with.crash->signal.pc, pc_with);
        int status = with.status;
        run_done(&with);
        run_victim(victim("victim"), cases[i], RUN_CORE | RUN_BARE, &bare);
        CHECK_INT(read_core(bare.dir, &b, &pc_bare), core);
        CHECK_INT(bare.status, status);
        if (CHECK(core)) {
            CHECK_INT(a.si_signo, b.si_signo);
            CHECK_INT(a.si_code, b.si_code);
            if (a.si_code > 0)
                CHECK(!strcmp(cases[i], "illegal") || a.si_addr == b.si_addr);
            if (a.si_code > 0) /* elsewhere the pc is libc's, loaded elsewhere */
                CHECK_INT(pc_with - at_with, pc_bare - bare.at);
        }
        run_done(&bare);
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
        "dsn=http://key@localhost/1 argc=1 fds=3 signals=0 own_session=1 preload=0\n");
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
static void thousands_of_threads(void)
{
    struct run r;
    run_victim(victim("victim"), "-t 3000 null_write", 0, &r);
    check_signal(&r, SIGSEGV);
    if (r.crash) {
        uint32_t n_dropped = 0;
        CHECK_INT(r.crash->n_threads, 1000); /* what the victim asked for */
        CHECK_INT(r.crash->threads[0].tid, r.tid);
        for (uint32_t i = 0; i < r.crash->n_notes; i++) {
            if (r.crash->notes[i].step == KNELL_STEP_FREEZE)
                n_dropped += r.crash->notes[i].count;
        }
        CHECK_INT(n_dropped, 2000);
        CHECK(has(&r.crash->facts, "threads=3000\n"));
    }
    run_done(&r);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {TEST(preloaded), TEST(uncaught_exception),
        TEST(core_dumps), TEST(uploader_is_started), TEST(no_forbidden_calls),
        TEST(thousands_of_threads)};
    if (argc < 3 || !realpath(argv[1], folder) || !realpath(argv[2], preload))
        return 2;
    return test_run(tests, sizeof tests / sizeof *tests, argc - 2, argv + 2);
}
