/* What knell says about a crash, from reports made for it. */
#include "uploader/inspect/explain.h"

#include "dump.h"
#include "test.h"
#include "uploader/report/parse.h"

#include <signal.h>
#include <stdio.h>

enum { SP = 7, PC = 16, RAX = 0, TID = 4711 };

static const char maps[] =
    "555500000000-555500001000 r-xp 00000000 08:01 1 /usr/bin/exampled\n"
    "555500002000-555500003000 r--p 00002000 08:01 1 /usr/bin/exampled\n"
    "560000000000-560000001000 rw-p 00000000 00:00 0 [heap]\n"
    "7f0000000000-7f0000001000 rw-p 00000000 00:00 0 \n"
    "7f0000010000-7f0000011000 r--s 00000000 08:01 2 /var/lib/data\n"
    "7f0000100000-7f0000110000 rw-p 00000000 00:00 0 \n"
    "7f0000110000-7f0000111000 ---p 00000000 00:00 0 \n"
    "7f0000111000-7f0000121000 rw-p 00000000 00:00 0 \n"
    "7ffc00000000-7ffc00001000 ---p 00000000 00:00 0 \n"
    "7ffc00001000-7ffc00021000 rw-p 00000000 00:00 0 [stack]\n";

struct death {
    int signo, code;
    uint64_t address, pc, sp, rax;
    const char *abort_message; /* begins with '!': type and text of a C++ exception */
    const char *what, *cause, *note; /* the start of each; NULL: not looked at */
};

/* @start ends in a newline: it is the whole text. */
static bool begins(const char *text, const char *start)
{
    size_t n = strcspn(start, "\n");
    return !strncmp(text, start, n) && (!start[n] || !text[n]);
}

static void check_death(const struct death *d)
{
    struct dump *made = dump_new();
    struct crash *c = NULL;
    struct explain e;
    uint64_t registers[17] = {[PC] = d->pc, [SP] = d->sp, [RAX] = d->rax};
    uint8_t stack[64] = {0};
    size_t n;
    dump_thread(made, TID, "worker", registers, stack, sizeof stack);
    dump_signal(made, TID, d->signo, d->code, d->address);
    dump_stream_text(made, KNELL_STREAM_LINUX_MAPS, maps);
    if (d->abort_message && *d->abort_message == '!')
        dump_stream_text(made, KNELL_STREAM_CXX_EXCEPTION, d->abort_message + 1);
    else if (d->abort_message)
        dump_stream_text(made, KNELL_STREAM_ABORT_MESSAGE, d->abort_message);
    const uint8_t *bytes = dump_finish(made, &n);
    CHECK_INT(report_read(bytes, n, &c, NULL), 0);
    if (c) {
        explain_crash(c, &e);
        bool same = !strncmp(e.what, d->what, strlen(d->what)) &&
                    begins(e.cause, d->cause) &&
                    (!d->note || (e.n_notes && strstr(e.notes[0], d->note)));
        if (!CHECK(same))
            (void)fprintf(stderr, "  \"%s\" \"%s\" \"%s\"\n", e.what, e.cause,
                e.n_notes ? e.notes[0] : "");
    }
    crash_free(c);
    dump_free(made);
}

static void deaths_are_explained(void)
{
    static const uint64_t code = 0x555500000100, sp = 0x7ffc00020000;
    const struct death deaths[] = {
        {SIGSEGV, SEGV_MAPERR, 0, code, sp, 1 << 20, NULL,
            "SIGSEGV (segmentation fault): address not mapped", "null pointer", NULL},
        {SIGSEGV, SEGV_MAPERR, 0x18, code, sp, 1 << 20, NULL, "SIGSEGV",
            "null pointer + 0x18", NULL},
        {SIGSEGV, SEGV_MAPERR, 0, 0, sp, 0, NULL, "SIGSEGV",
            "call through a null function pointer", NULL},
        {SIGSEGV, SEGV_MAPERR, 0x40, 0x40, sp, 0, NULL, "SIGSEGV",
            "call through a null pointer + 0x40", NULL},
        {SIGSEGV, SEGV_ACCERR, 0x7f0000000010, 0x7f0000000010, sp, 0, NULL, "SIGSEGV",
            "jump into memory that is not code", "overwritten"},
        {SIGSEGV, SEGV_ACCERR, 0x555500002010, code, sp, 0x555500002000, NULL, "SIGSEGV",
            "write to read-only memory of /usr/bin/exampled at 0x555500002010",
            "rax = 0x555500002000"},
        {SIGSEGV, SEGV_ACCERR, 0x555500000010, code, sp, 0, NULL, "SIGSEGV",
            "write to code of /usr/bin/exampled", NULL},
        {SIGSEGV, SEGV_ACCERR, 0x7ffc00000ff8, code, 0x7ffc00001000, 0, NULL, "SIGSEGV",
            "stack overflow", NULL},
        /* After a large frame was made: sp itself is in the guard. */
        {SIGSEGV, SEGV_ACCERR, 0x7f0000110800, code, 0x7f0000110100, 0, NULL, "SIGSEGV",
            "stack overflow", NULL},
        /* Up out of a thread's stack, into the next one's guard. */
        {SIGSEGV, SEGV_ACCERR, 0x7f0000110010, code, 0x7f000010ff00, 0, NULL, "SIGSEGV",
            "access to a guard page", NULL},
        {SIGSEGV, SEGV_MAPERR, 0x7f0000001008, code, sp, 0, NULL, "SIGSEGV",
            "bad pointer 0x7f0000001008", "9 bytes behind the end of"},
        {SIGSEGV, SEGV_MAPERR, 0x6f6c6c6568, code, sp, 0, NULL, "SIGSEGV",
            "bad pointer 0x6f6c6c6568, the text \"hello\"\n", NULL},
        {SIGSEGV, SEGV_MAPERR, 0x41414141, code, sp, 0, NULL, "SIGSEGV",
            "bad pointer 0x41414141\n", NULL},
        {SIGSEGV, SI_KERNEL, 0, code, sp, 0x20726f6620676e6f, NULL, "SIGSEGV",
            "pointer with an impossible (non-canonical) address\n",
            "rax holds such a value: 0x20726f6620676e6f, the text \"ong for \"."},
        {SIGSEGV, SI_KERNEL, 0, code, sp, 0x8000000000000001, NULL, "SIGSEGV",
            "pointer with an impossible", "rax holds such a value: 0x8000000000000001."},
        {SIGSEGV, SI_KERNEL, 0, code, sp, 1 << 20, NULL, "SIGSEGV",
            "general protection fault: a non-canonical address, a misaligned", NULL},
        {SIGSEGV, SEGV_MAPERR, UINT64_MAX - 7, code, sp, 0, NULL, "SIGSEGV",
            "null pointer - 0x8", NULL},
        {SIGBUS, BUS_ADRERR, 0x7f0000010800, code, sp, 0, NULL, "SIGBUS",
            "a page of mapped file /var/lib/data could not be provided", "truncated"},
        {SIGBUS, BUS_ADRERR, 0x560000000800, code, sp, 0, NULL, "SIGBUS",
            "memory behind 0x560000000800 could not be provided\n", NULL},
        {SIGBUS, BUS_MCEERR_AR, 0x7f0000010800, code, sp, 0, NULL, "SIGBUS",
            "the hardware reported damaged memory at 0x7f0000010800\n", NULL},
        {SIGBUS, BUS_MCEERR_AO, 0x560000000800, code, sp, 0, NULL, "SIGBUS",
            "the hardware reported damaged memory", NULL},
        {SIGBUS, BUS_ADRALN, 0x7f0000000001, code, sp, 0, NULL, "SIGBUS",
            "misaligned address", NULL},
        {SIGFPE, FPE_INTDIV, code, code, sp, 0, NULL, "SIGFPE",
            "integer division by zero", NULL},
        {SIGSEGV, SI_USER, 0, code, sp, 0, NULL,
            "SIGSEGV (segmentation fault): sent by kill",
            "sent by a process outside of its PID namespace", "did nothing wrong"},
        {SIGABRT, SI_TKILL, 0, code, sp, 0, "x.c:3: f: Assertion `n' failed.\n",
            "SIGABRT (aborted)", "x.c:3: f: Assertion `n' failed.", NULL},
        {SIGABRT, SI_TKILL, 0, code, sp, 0, "!St9bad_alloc\nstd::bad_alloc", "SIGABRT",
            "uncaught C++ exception std::bad_alloc\n", NULL},
        {SIGABRT, SI_TKILL, 0, code, sp, 0, "!N2db5ErrorE\ndisk gone", "SIGABRT",
            "uncaught C++ exception db::Error: disk gone\n", NULL},
        {SIGABRT, SI_TKILL, 0, code, sp, 0, "!i", "SIGABRT",
            "uncaught C++ exception int\n", NULL},
        {SIGABRT, SI_TKILL, 0, code, sp, 0, "!no such type\nx", "SIGABRT",
            "uncaught C++ exception no such type: x\n", NULL},
    };
    for (size_t i = 0; i < sizeof deaths / sizeof *deaths; i++)
        check_death(&deaths[i]);
}

/* Frames of a thread, named and not, and whether it is said that they recur. */
static void recursion_is_found(void)
{
    enum { FRAMES = 60 };
    static struct crash_frame frames[FRAMES];
    static const struct {
        unsigned leaves, period;
        bool named, wanted;
    } cases[] = {{0, 1, true, true}, {2, 1, true, true}, {0, 3, true, true},
        {3, 2, false, true}, {20, 1, true, false}};
    struct dump *made = dump_new();
    struct crash *c = NULL;
    uint64_t registers[17] = {[PC] = 0x555500000100, [SP] = 0x7ffc00001000};
    uint8_t stack[64] = {0};
    size_t n;
    dump_thread(made, TID, "worker", registers, stack, sizeof stack);
    dump_signal(made, TID, SIGSEGV, SEGV_ACCERR, 0x7ffc00000ff8);
    dump_stream_text(made, KNELL_STREAM_LINUX_MAPS, maps);
    const uint8_t *bytes = dump_finish(made, &n);
    CHECK_INT(report_read(bytes, n, &c, NULL), 0);
    for (size_t i = 0; c && i < sizeof cases / sizeof *cases; i++) {
        static const char *const names[] = {"f", "g", "h"};
        struct explain e;
        for (unsigned k = 0; k < FRAMES; k++) {
            bool leaf = k < cases[i].leaves;
            unsigned at = leaf ? k : (k - cases[i].leaves) % cases[i].period;
            frames[k] =
                (struct crash_frame){.module = -1, .pc = leaf ? 0x1000 + k : 0x2000 + at};
            if (!leaf && cases[i].named)
                frames[k].function = names[at];
        }
        c->threads[0].frames = frames;
        c->threads[0].n_frames = FRAMES;
        explain_crash(c, &e);
        CHECK_STR(e.cause, "stack overflow");
        CHECK_INT(
            e.n_notes && strstr(e.notes[0], "Recursion without end"), cases[i].wanted);
    }
    crash_free(c);
    dump_free(made);
}

static void an_overwritten_return_address_is_told(void)
{
    struct crash_frame frames[2] = {
        {.module = -1, .pc = 0x555500000100}, {.module = -1, .pc = 0x4141414141414141}};
    struct dump *made = dump_new();
    struct crash *c = NULL;
    struct explain e;
    uint64_t registers[17] = {[PC] = 0x555500000100, [SP] = 0x7ffc00020000};
    uint8_t stack[64] = {0};
    size_t n;
    dump_thread(made, TID, "worker", registers, stack, sizeof stack);
    dump_signal(made, TID, SIGSEGV, SI_KERNEL, 0);
    const uint8_t *bytes = dump_finish(made, &n);
    CHECK_INT(report_read(bytes, n, &c, NULL), 0);
    if (!c)
        return;
    c->threads[0].frames = frames;
    c->threads[0].n_frames = 2;
    explain_crash(c, &e);
    CHECK_STR(e.notes[0],
        "The return address was overwritten: 0x4141414141414141, the text \"AAAAAAAA\".");
    frames[1].pc = 0x555500000200;
    explain_crash(c, &e);
    CHECK_INT(e.n_notes, 0);
    crash_free(c);
    dump_free(made);
}

TEST_MAIN(TEST(deaths_are_explained), TEST(recursion_is_found),
    TEST(an_overwritten_return_address_is_told))
