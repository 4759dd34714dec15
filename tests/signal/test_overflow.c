/**
 * Stacks deeper than a report: both ends of them are in it, where the process died and
 * how it got there.
 *
 * usage: test_overflow VICTIM
 */
#include "run.h"
#include "test.h"
#include "uploader/report/unwind.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

static char victim[512];

static bool in_overflow(const struct run *r, const struct crash_frame *f)
{
    return f->pc - r->at < 600;
}

static void check(const struct run *r)
{
    CHECK(r->status >= 0 && WIFSIGNALED(r->status));
    CHECK_INT(r->n_reports, 1);
    if (!CHECK(r->crash && r->crash->n_threads))
        return;
    const struct crash_thread *t = &r->crash->threads[0];
    CHECK_INT(t->n_frames, KNELL_MAX_FRAMES);
    if (t->n_frames < KNELL_MAX_FRAMES)
        return;
    CHECK(!t->truncated);
    const struct crash_frame *gap = &t->frames[KNELL_FIRST_FRAMES];
    CHECK(gap->n_skipped > 1000);
    CHECK(in_overflow(r, gap - 1) && in_overflow(r, gap));
    uint32_t n_end = 0; /* how many frames lead to the recursion */
    for (uint32_t i = t->n_frames; i-- > 0 && !in_overflow(r, &t->frames[i]);)
        n_end++;
    CHECK(n_end >= 3 && n_end <= 12);
    for (uint32_t i = 0; i < t->n_frames; i++)
        CHECK(i == KNELL_FIRST_FRAMES || !t->frames[i].n_skipped);
    /* The outermost part of the stack is there as bytes, too: for debuggers. */
    uint64_t low = t->stack_start + t->n_stack;
    bool found = false;
    for (uint32_t i = 0; i < r->crash->n_memory; i++)
        found |= r->crash->memory[i].start > low &&
                 r->crash->memory[i].start < low + (16 << 20) &&
                 r->crash->memory[i].n_bytes > 4096;
    CHECK(found);
}

static void run(const char *args)
{
    struct run r;
    run_victim(victim, args, 0, &r);
    check(&r);
    run_done(&r);
}

static void main_thread(void)
{
    run("overflow_main");
}

static void thread(void)
{
    run("-t 4 overflow_worker");
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {TEST(main_thread), TEST(thread)};
    if (argc < 2 || !realpath(argv[1], victim))
        return 2;
    return test_run(tests, sizeof tests / sizeof *tests, argc - 1, argv + 1);
}
