/**
 * The deaths that knell has to report, one line each.
 *
 * usage: test_crash VICTIM root|nobody THREADS [NAME...]
 *
 * Where the other scenarios that a crash reporter has to stand are, or why they are not:
 *
 *     a fault, hang or kill at each step, also of a disk that hangs   test_failpoints.c
 *     C++ exceptions, core dumps, preloading, 3,000 threads           test_more.c
 *     random deaths with threads in flight                            test_random.c
 *     SIGKILL, power loss, torn journals, reboot                      the journal's tests
 *     upgraded binaries, hostile reports, crash loops, secrets        the uploader's
 * tests a spool remounted read-only   the kernel refuses while the report's file is open
 *     quota, memory cgroup at its limit   not to be set up here: no quota tools, and the
 *                                         memory controller is not delegated
 *     ptrace-attached debugger      stops at the park signal until told to pass it on
 *     TSan, valgrind                not deterministic about signals; ASan: asan preset
 *     AVX-512, AMX state            no such CPU; alternate stacks are sized by
 *                                   AT_MINSIGSTKSZ
 *     Yama, AppArmor                not in this kernel; ptrace is never used, and a
 * filter that kills on it is in the table
 *
 * Checked for each: exactly one report that knell's own parser takes, of the right
 * signal, thread and address, with the function that died among the frames; nothing
 * printed and a wait status as of the same program without knell.
 */
#include "run.h"
#include "test.h"
#include "tmpdir.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ANY = -1000,
    CODE_KERNEL = 0x80,
};
#define ANYWHERE (~0ull)
#define AT_PC (~0ull - 1)

enum scenario_flags {
    ALL_COUNTS = 1, /* matters with many threads: also run with 8 and 500 */
    ROOT = 2,       /* needs privileges to set up */
    INIT = 4,       /* as PID 1 */
    TMPFS = 8,      /* on a small file system */
    ANY_THREAD = 16,
    OTHER_STATUS = 32, /* one of several signals wins */
    NO_FRAMES = 64,    /* the stack itself is lost */
    NO_FUNCTION = 128, /* frames, but not the function of the last words */
    MAY_STAY = 256,    /* committed, but left in live/ */
    PLAIN = 512,       /* a sanitizer's runtime changes what happens */
};

struct scenario {
    const char *name, *args;
    int n_reports, signo, code;
    uint64_t address;
    unsigned n_frames; /* at least */
    const char *text;  /* in the abort message, the facts or the output */
    unsigned flags;
};

static const struct scenario scenarios[] = {
    {"null_write", "null_write", 1, SIGSEGV, SEGV_MAPERR, 0x10, 54, "fault.access=write",
        ALL_COUNTS},
    {"worker", "worker", 1, SIGSEGV, SEGV_MAPERR, 0x10, 54, NULL, ALL_COUNTS},
    {"abort", "abort", 1, SIGABRT, SI_TKILL, AT_PC, 5, NULL, ALL_COUNTS},
    {"assert", "assert", 1, SIGABRT, SI_TKILL, AT_PC, 5, "the_sky_is_up", 0},
    {"double_free", "double_free", 1, SIGABRT, SI_TKILL, AT_PC, 6, "double free",
        ALL_COUNTS | PLAIN},
    {"heap_smash", "heap_smash", 1, SIGABRT, SI_TKILL, AT_PC, 4, "corruption", PLAIN},
    {"call_null", "call_null", 1, SIGSEGV, SEGV_MAPERR, 0, 54, "fault.access=execute",
        PLAIN},
    {"call_garbage", "call_garbage", 1, SIGSEGV, SEGV_MAPERR, 0x12345000, 54, NULL,
        PLAIN},
    {"divide", "divide", 1, SIGFPE, FPE_INTDIV, ANYWHERE, 3, NULL, 0},
    {"illegal", "illegal", 1, SIGILL, ILL_ILLOPN, ANYWHERE, 3, "instruction=0f0b", 0},
    {"breakpoint", "breakpoint", 1, SIGTRAP, CODE_KERNEL, ANYWHERE, 3, NULL, 0},
    {"misaligned", "misaligned", 1, SIGBUS, BUS_ADRALN, ANYWHERE, 3, NULL, 0},
    {"past_end_of_file", "past_end_of_file", 1, SIGBUS, BUS_ADRERR, ANYWHERE, 3, NULL, 0},
    {"trapped_syscall", "trapped_syscall", 1, SIGSYS, 1, ANYWHERE, 4, NULL, 0},
    {"non_canonical", "non_canonical", 1, SIGSEGV, CODE_KERNEL, 0, 3,
        "0xdeadbeef00000000", 0},
    {"overflow_main", "overflow_main", 1, SIGSEGV, ANY, ANYWHERE, 60,
        "fault.stack_overflow=1", ALL_COUNTS},
    {"overflow_main_small", "-w before_small_stacks overflow_main", 1, SIGSEGV, ANY,
        ANYWHERE, 40, "fault.stack_overflow=1", 0},
    {"overflow_worker", "overflow_worker", 1, SIGSEGV, SEGV_ACCERR, ANYWHERE, 60,
        "fault.stack_overflow=1", ALL_COUNTS},
    {"overflow_bare", "overflow_bare", 0, SIGSEGV, ANY, ANYWHERE, 0, NULL, MAY_STAY},
    {"sp_in_heap", "sp_in_heap", 1, SIGSEGV, SEGV_MAPERR, 0x10, 1, NULL, NO_FRAMES},
    {"sp_unmapped", "sp_unmapped", 1, SIGSEGV, SEGV_MAPERR, 0x10, 1, NULL, NO_FRAMES},
    {"sp_zero", "sp_zero", 1, SIGSEGV, SEGV_MAPERR, 0x10, 1, NULL, NO_FRAMES},
    {"in_handler", "in_handler", 1, SIGSEGV, SEGV_MAPERR, 0x10, 5, NULL, 0},
    {"in_handler_altstack", "in_handler_altstack", 1, SIGSEGV, SEGV_MAPERR, 0x10, 5, NULL,
        0},
    {"in_phdr_callback", "in_phdr_callback", 1, SIGSEGV, SEGV_MAPERR, 0x10, 4, NULL, 0},
    {"loader_lock_held", "loader_lock_held", 1, SIGSEGV, SEGV_MAPERR, 0x10, 54, NULL, 0},
    {"stdio_locked", "stdio_locked", 1, SIGSEGV, SEGV_MAPERR, 0x10, 54, NULL, 0},
    {"in_atfork", "in_atfork", 1, SIGSEGV, SEGV_MAPERR, 0x10, 4, NULL, 0},
    {"sixteen_at_once", "sixteen_at_once", 1, SIGSEGV, SEGV_MAPERR, 0x10, 54, NULL,
        ANY_THREAD | ALL_COUNTS},
    {"abort_meanwhile", "abort_meanwhile", 1, ANY, ANY, ANYWHERE, 3, NULL,
        ANY_THREAD | OTHER_STATUS | NO_FUNCTION},
    {"sent_segv", "sent_segv", 1, SIGSEGV, SI_USER, AT_PC, 3, NULL, ALL_COUNTS},
    {"sent_abrt", "sent_abrt", 1, SIGABRT, SI_USER, AT_PC, 3, NULL, 0},
    {"deaf_thread", "-w a_deaf_thread null_write", 1, SIGSEGV, SEGV_MAPERR, 0x10, 54,
        NULL, ALL_COUNTS},
    {"spinning_thread", "-w a_spinning_thread null_write", 1, SIGSEGV, SEGV_MAPERR, 0x10,
        54, NULL, 0},
    {"threads_come_and_go", "-w threads_come_and_go null_write", 1, SIGSEGV, SEGV_MAPERR,
        0x10, 54, NULL, ALL_COUNTS},
    {"fork_child", "fork_child", 1, SIGSEGV, SEGV_MAPERR, 0x10, 54, NULL,
        ALL_COUNTS | MAY_STAY},
    {"fork_child_armed", "fork_child_armed", 1, SIGSEGV, SEGV_MAPERR, 0x10, 54, NULL,
        MAY_STAY},
    {"raw_fork_child", "raw_fork_child", 0, SIGSEGV, ANY, 0, 0, NULL, MAY_STAY},
    {"vfork_child", "vfork_child_then_parent", 1, SIGSEGV, SEGV_MAPERR, 0x10, 54, NULL,
        0},
    {"daemonized", "daemonize_then_crash", 1, SIGSEGV, SEGV_MAPERR, 0x10, 54, NULL,
        MAY_STAY},
    {"exec_inherits_nothing", "-w children_inherit_nothing null_write", 1, SIGSEGV,
        SEGV_MAPERR, 0x10, 54, NULL, 0},
    {"exit", "exit", 0, 0, ANY, 0, 0, NULL, 0},
    {"killed", "killed", 0, 0, ANY, 0, 0, NULL, MAY_STAY},
    {"previous_function", "-w before_function null_write", 1, SIGSEGV, SEGV_MAPERR, 0x10,
        54, "previous", 0},
    {"previous_reraises", "-w before_reraises null_write", 1, SIGSEGV, SEGV_MAPERR, 0x10,
        54, "previous", 0},
    {"previous_resethand", "-w before_resethand null_write", 1, SIGSEGV, SEGV_MAPERR,
        0x10, 54, "previous", 0},
    {"previous_ignored", "-w before_ignored null_write", 1, SIGSEGV, SEGV_MAPERR, 0x10,
        54, NULL, 0},
    {"previous_recovers", "-w before_recovers -w recovers_twice abort", 2, ANY, ANY,
        ANYWHERE, 3, NULL, ALL_COUNTS | ANY_THREAD | NO_FUNCTION},
    {"signal_behind", "-w signal_behind_our_back null_write", 1, SIGSEGV, SEGV_MAPERR,
        0x10, 54, NULL, 0},
    {"signal_behind_sent", "-w signal_behind_our_back sent_segv", 1, SIGSEGV, SI_TKILL,
        AT_PC, 3, NULL, 0},
    {"blocked_others", "-w blocks_other_signals null_write", 1, SIGSEGV, SEGV_MAPERR,
        0x10, 54, NULL, ALL_COUNTS},
    {"alarms", "-w alarms null_write", 1, SIGSEGV, SEGV_MAPERR, 0x10, 54, NULL,
        ALL_COUNTS},
    {"closed_fds", "-w closes_all null_write", 1, SIGSEGV, SEGV_MAPERR, 0x10, 54, NULL,
        0},
    {"reused_fds", "-w reuses_numbers null_write", 1, SIGSEGV, SEGV_MAPERR, 0x10, 54,
        NULL, 0},
    {"no_fds", "-w all_descriptors_used null_write", 1, SIGSEGV, SEGV_MAPERR, 0x10, 54,
        NULL, 0},
    {"closed_and_no_fds", "-w no_descriptors null_write", 0, SIGSEGV, ANY, 0, 0, NULL,
        MAY_STAY},
    {"soft_fsize", "-w soft_file_size null_write", 1, SIGSEGV, SEGV_MAPERR, 0x10, 54,
        NULL, 0},
    {"hard_fsize", "-w hard_file_size null_write", 0, SIGSEGV, ANY, 0, 0, NULL, MAY_STAY},
    {"no_memory", "-w no_memory null_write", 1, SIGSEGV, SEGV_MAPERR, 0x10, 54, NULL,
        ALL_COUNTS},
    {"spool_deleted", "-w spool_deleted null_write", 1, SIGSEGV, SEGV_MAPERR, 0x10, 54,
        NULL, 0},
    {"other_folder", "-w other_folder null_write", 1, SIGSEGV, SEGV_MAPERR, 0x10, 54,
        NULL, 0},
    {"not_dumpable", "-w no_dumps null_write", 1, SIGSEGV, SEGV_MAPERR, 0x10, 54, NULL,
        ALL_COUNTS},
    {"no_ptrace", "-w no_ptrace null_write", 1, SIGSEGV, SEGV_MAPERR, 0x10, 54, NULL,
        ALL_COUNTS},
    {"documented_calls", "-w documented_calls_only null_write", 1, SIGSEGV, SEGV_MAPERR,
        0x10, 54, NULL, ALL_COUNTS},
    {"documented_calls_abort", "-w documented_calls_only abort", 1, SIGABRT, SI_TKILL,
        AT_PC, 5, NULL, PLAIN},
    {"started_twice", "-w started_twice null_write", 1, SIGSEGV, SEGV_MAPERR, 0x10, 54,
        NULL, 0},
    {"stopped_and_started", "-w stopped_and_started null_write", 1, SIGSEGV, SEGV_MAPERR,
        0x10, 54, NULL, 0},
    {"chroot", "-w chrooted null_write", 1, SIGSEGV, SEGV_MAPERR, 0x10, 54, NULL,
        ROOT | ALL_COUNTS},
    {"disk_full", "-w disk_full null_write", 1, SIGSEGV, SEGV_MAPERR, 0x10, 54, NULL,
        ROOT | TMPFS | ALL_COUNTS},
    {"dropped_privileges", "-w dropped_privileges null_write", 0, SIGSEGV, SEGV_MAPERR,
        0x10, 54, NULL, ROOT | MAY_STAY},
    {"init_fault", "null_write", 1, SIGSEGV, SEGV_MAPERR, 0x10, 54, NULL,
        ROOT | INIT | ALL_COUNTS},
    {"init_breakpoint", "breakpoint", 1, SIGTRAP, CODE_KERNEL, ANYWHERE, 3, NULL,
        ROOT | INIT},
    {"init_trapped_syscall", "trapped_syscall", 1, SIGSYS, 1, ANYWHERE, 4, NULL,
        ROOT | INIT},
    {"init_ignores", "raise_and_exit", 0, 0, ANY, 0, 0, NULL, ROOT | INIT},
    {"init_abort", "abort", 1, SIGABRT, SI_TKILL, AT_PC, 5, NULL, ROOT | INIT},
};

static const char *victim;
static bool as_nobody;
static int n_threads;

static bool has(const struct crash_text *t, const char *text)
{
    return t->text && memmem(t->text, t->n_bytes, text, strlen(text));
}

static void check_text(const struct run *r, const char *text)
{
    if (!text || has(&r->crash->abort_message, text) || has(&r->crash->facts, text) ||
        strstr(r->out, text))
        return;
    printf("no \"%s\" in the report\n", text);
    test_check(false, __FILE__, __LINE__, text);
}

static void check_frames(const struct scenario *s, const struct run *r)
{
    const struct crash_thread *t = &r->crash->threads[0];
    CHECK(t->crashed);
    CHECK(t->n_frames >= s->n_frames);
    bool found = false;
    for (uint32_t i = 0; i < t->n_frames; i++)
        found |= t->frames[i].pc - r->at < 600;
    if (!(s->flags & NO_FUNCTION))
        CHECK(found);
    /* What the handler saw itself agrees with what the bytes give. */
    if (s->flags & NO_FRAMES || t->n_frames < 3 || !CHECK(r->crash->n_prewalked >= 3))
        return;
    for (uint32_t i = 0; i < 3; i++)
        CHECK_INT(t->frames[i].pc, r->crash->prewalked[i]);
}

static void check_report(const struct scenario *s, const struct run *r)
{
    if (!CHECK(r->crash) || !CHECK(r->crash->has_signal))
        return;
    const struct crash *c = r->crash;
    if (s->signo != ANY)
        CHECK_INT(c->signal.signo, s->signo);
    if (s->code != ANY)
        CHECK_INT(c->signal.code, s->code);
    if (s->address == AT_PC)
        CHECK(c->signal.address == 0 && c->signal.sender_pid);
    else if (s->address != ANYWHERE)
        CHECK_INT(c->signal.address, s->address);
    if (!(s->flags & ANY_THREAD))
        CHECK_INT(c->threads[0].tid, r->tid);
    /* The child of a fork(2) has one; a full disk loses the last. */
    if (!strstr(s->name, "fork") && !(s->flags & TMPFS))
        CHECK(c->n_threads >= (uint32_t)n_threads);
    CHECK(c->n_modules >= 3);
    if (CHECK(c->journal))
        CHECK_STR(c->journal->environment, "production");
    check_frames(s, r);
    check_text(r, s->text);
}

static const char *status_text(int status)
{
    static char text[2][64];
    static int which;
    char *out = text[which++ & 1];
    if (status < 0)
        return "hangs";
    (void)snprintf(out, sizeof text[0], "%s %d%s",
        WIFSIGNALED(status) ? "signal" : "exit",
        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
        WIFSIGNALED(status) && WCOREDUMP(status) ? " core" : "");
    return out;
}

static void check_scenario(const struct scenario *s)
{
    char args[256];
    struct run with, bare;
    unsigned flags = (as_nobody ? RUN_AS_NOBODY : 0) |
                     (s->flags & INIT ? RUN_AS_INIT : 0) |
                     (s->flags & TMPFS ? RUN_ON_TMPFS : 0);
    (void)snprintf(args, sizeof args, "-t %d %s", n_threads, s->args);
    run_victim(victim, args, flags, &with);
    if (with.n_reports != s->n_reports || with.refused)
        printf("%d reports%s%s\nout: %serr: %s\n", with.n_reports,
            with.refused ? ", refused: " : "", with.refused ? with.refused : "", with.out,
            with.err);
    /* Those the victim and the runner end with when they cannot do what was asked. */
    CHECK(!WIFEXITED(with.status) || WEXITSTATUS(with.status) < 90 ||
          WEXITSTATUS(with.status) > 126);
    CHECK_INT(with.n_reports, s->n_reports);
    CHECK_STR(with.refused, NULL);
    if (with.n_reports)
        check_report(s, &with);
    if (!(s->flags & MAY_STAY))
        CHECK_INT(with.n_live_dumps, 0);
    char path[320], precious[16] = {0};
    (void)snprintf(path, sizeof path, "%s/precious", with.dir);
    FILE *f = fopen(path, "r");
    if (f) {
        CHECK_INT(fread(precious, 1, sizeof precious - 1, f), 8);
        CHECK_STR(precious, "precious");
        (void)fclose(f);
    }
    run_done(&with);
    if (s->flags & OTHER_STATUS)
        return;
    run_victim(victim, args, flags | RUN_BARE, &bare);
    CHECK_STR(status_text(with.status), status_text(bare.status));
    CHECK_STR(with.err, bare.err);
    run_done(&bare);
}

static bool chosen(const struct scenario *s, int argc, char **argv)
{
    for (int i = 4; i < argc; i++) {
        if (!strcmp(argv[i], s->name))
            return true;
    }
    if (argc > 4)
        return false;
    return n_threads == 1 || s->flags & ALL_COUNTS;
}

int main(int argc, char **argv)
{
    static const struct scenario *current;
    int failed = 0, ran = 0;
    if (argc < 4)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    victim = realpath(argv[1], NULL);
    if (!victim)
        return 2;
    as_nobody = !strcmp(argv[2], "nobody");
    n_threads = atoi(argv[3]);
    const bool may_mount = run_may_mount();
    if (as_nobody && geteuid() != 0) {
        printf("skip: an ordinary user already ran this as itself\n");
        return 77;
    }
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        current = &scenarios[i];
        if (!chosen(current, argc, argv))
            continue;
        if (current->flags & ROOT && (as_nobody || geteuid() != 0)) {
            printf("skip %s: needs privileges to set up\n", current->name);
            continue;
        }
        if (current->flags & (INIT | TMPFS) && !may_mount) {
            printf("skip %s: may not mount\n", current->name);
            continue;
        }
#ifdef KNELL_INSTRUMENTED
        if (current->flags & PLAIN) {
            printf(
                "skip %s: a sanitizer's runtime changes what happens\n", current->name);
            continue;
        }
#endif
        int before = test_failures();
        check_scenario(current);
        ran++;
        bool bad = test_failures() > before;
        failed += bad;
        printf("%s %s\n", bad ? "FAIL" : "ok  ", current->name);
    }
    printf("%d run, %d failed\n", ran, failed);
    return failed || !ran;
}
