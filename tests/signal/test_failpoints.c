/**
 * A fault, a hang and a kill at every step of the capture: the last commit is valid, the
 * process ends as it would have, and in bounded time: the runner kills what hangs. Where
 * nothing could be committed the journal has the last words, and they become a report.
 *
 * usage: test_failpoints VICTIM fault|once|hang|kill [PLACE]
 */
#include "run.h"
#include "test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

/* In the order of the capture; the report is committed from the named place on. */
static const char *const places[] = {"words", "open", "modules", "maps", "crashed",
    "signal", "module_list", "system", "journal", "message", "memory", "commit_1",
    /* from here on the first commit holds */
    "frames", "unwind.step", "freeze", "freeze.asked", "threads", "texts", "commit_2",
    "cxx", "commit_3", "publish"};
enum {
    FIRST_WITH_WORDS = 1,
    FIRST_AFTER_COMMIT = 12,
    N_PLACES = sizeof places / sizeof *places,
};

static const char *victim, *how;

static bool has_note(const struct crash *c, uint16_t reason)
{
    for (uint32_t k = 0; k < c->n_notes; k++) {
        if (c->notes[k].reason == reason)
            return true;
    }
    return false;
}

/* The report that the next start of the daemon makes. */
static void check_adopted(struct run *r, unsigned i)
{
    run_adopt(r);
    CHECK_INT(r->n_live_dumps, 0);
    CHECK_INT(r->n_reports, 1);
    CHECK_STR(r->refused, NULL);
    if (!CHECK(r->crash))
        return;
    if (i < FIRST_WITH_WORDS) { /* killed before it could say anything */
        CHECK(!r->crash->has_signal && r->crash->item_head);
        return;
    }
    CHECK_INT(has_note(r->crash, KNELL_NOTE_ENDED), i < FIRST_AFTER_COMMIT);
    CHECK(r->crash->journal && r->crash->n_modules >= 3);
    CHECK_INT(r->crash->signal.signo, SIGSEGV);
    CHECK_INT(r->crash->signal.code, SEGV_MAPERR);
    CHECK_INT(r->crash->signal.address, 0x10);
    CHECK_INT(r->crash->pid ? r->crash->journal->pid : 0, r->crash->pid);
    const struct crash_thread *t = &r->crash->threads[0];
    CHECK_INT(t->tid, r->tid);
    CHECK(t->crashed && t->has_registers && t->n_frames >= 20);
    CHECK(t->frames[0].pc - r->at < 600);
}

static void check_place(unsigned i)
{
    char args[128];
    struct run r;
    (void)snprintf(args, sizeof args, "-t 4 -f %s:%s null_write", places[i], how);
    run_victim(victim, args, 0, &r);
    int before = test_failures();
    bool kill = how[0] == 'k';
    CHECK(r.status >= 0 && WIFSIGNALED(r.status));
    CHECK_INT(WTERMSIG(r.status), kill ? SIGKILL : SIGSEGV);
    /* Without a file, the crashed thread or its architecture nothing is committed; but
     * those steps, and others that a report needs, are tried twice. */
    bool once = how[0] == 'o';
    bool hopeless =
        !once && (!strcmp(places[i], "open") || !strcmp(places[i], "crashed") ||
                     !strcmp(places[i], "system"));
    bool cut_before_rename = !strcmp(places[i], "publish");
    if (kill || cut_before_rename) {
        CHECK_INT(r.n_reports, 0);
        CHECK_INT(r.n_live_dumps, 1);
        CHECK_INT(run_live_is_committed(&r), i >= FIRST_AFTER_COMMIT);
        check_adopted(&r, i);
    } else if (!hopeless) {
        CHECK_STR(r.refused, NULL);
        CHECK_INT(r.n_reports, 1);
        if (r.crash) {
            CHECK_INT(
                r.crash->signal.signo, once || strcmp(places[i], "signal") ? SIGSEGV : 0);
            CHECK_INT(r.crash->threads[0].tid, r.tid);
            CHECK(r.crash->threads[0].n_stack > 1000);
            bool noted = false;
            for (uint32_t k = 0; k < r.crash->n_notes; k++)
                noted |= r.crash->notes[k].reason >= KNELL_NOTE_FAULT;
            /* The last commit cannot note what follows it. */
            if (strcmp(places[i], "commit_3") != 0)
                CHECK(noted);
        }
    } else {
        CHECK_INT(r.n_reports, 0);
        check_adopted(&r, i);
    }
    printf("%s %s:%s\n", test_failures() > before ? "FAIL" : "ok  ", places[i], how);
    run_done(&r);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    victim = realpath(argv[1], NULL);
    how = argv[2];
    for (unsigned i = 0; i < N_PLACES; i++) {
        if (argc == 3 || !strcmp(argv[3], places[i]))
            check_place(i);
    }
    return test_failures() != 0;
}
