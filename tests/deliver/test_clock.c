/* The clock jumps ten years, either way, or to 1970, between a crash and its delivery,
 * for the real uploader: every report is kept, due when it may be sent, and arrives. */
#include "stage.h"
#include "test.h"

#include <stdio.h>
#include <string.h>

enum { TEN_YEARS = 10 * 365 * 86400, TO_1970 = -1780000000 };

static const int jumps[] = {TEN_YEARS, -TEN_YEARS, TO_1970};
static const enum stage_kind kinds[] = {
    STAGE_NEW, STAGE_COMMITTED, STAGE_DIED, STAGE_WAIT};

/* What the programs of a stage are told about the clock. @text  stays with the caller */
static void set_clock(struct stage *s, int jump, char text[static 32])
{
    size_t n = 0;
    while (s->environment[n] && strncmp(s->environment[n], "LD_PRELOAD", 10) != 0)
        n++;
    s->environment[n] = NULL;
    if (!jump)
        return;
    (void)snprintf(text, 32, "FAULT_ERRNO=%d", jump);
    s->environment[n++] = "LD_PRELOAD=" FAULTS_LIBRARY;
    s->environment[n++] = "FAULT_CALL=clock";
    s->environment[n++] = text;
    s->environment[n] = NULL;
}

/* One pass that delivers nothing at @first, then one that does at @second. */
static void check(enum stage_kind kind, int first, int second)
{
    struct stage *s = stage_new(kind, "http://key@127.0.0.1:1/1");
    char text[32];
    int n, failures = test_failures();
    set_clock(s, first, text);
    CHECK_INT(stage_upload(s), 6);
    CHECK_INT(stage_states(s, s->event_id, &n), 1u << SPOOL_WAIT);
    CHECK_INT(stage_verify(s), 0);
    set_clock(s, second, text);
    stage_set_dsn(s, NULL);
    CHECK_INT(stage_run(s, (const char *const[]){KNELL_PROGRAM, "list", NULL}), 0);
    CHECK_INT(stage_upload(s), 0);
    CHECK_INT(stage_states(s, s->event_id, &n), 1u << SPOOL_SENT);
    CHECK_INT(n, 1);
    CHECK_INT(stage_arrived(s, NULL, NULL), 1);
    CHECK_INT(stage_verify(s), 0);
    if (test_failures() > failures) {
        printf("kind %d, clock first %d, then %d\n", (int)kind, first, second);
        stage_show(s);
    }
    stage_free(s);
}

static void the_clock_was_wrong(void)
{
    for (size_t i = 0; i < sizeof jumps / sizeof *jumps; i++) {
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
            check(kinds[k], jumps[i], 0);
    }
}

static void the_clock_goes_wrong(void)
{
    for (size_t i = 0; i < sizeof jumps / sizeof *jumps; i++) {
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
            check(kinds[k], 0, jumps[i]);
    }
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        TEST(the_clock_was_wrong), TEST(the_clock_goes_wrong)};
    if (!trace_works()) {
        printf("ptrace is not allowed here\n");
        return 77;
    }
    return test_run(tests, sizeof tests / sizeof *tests, argc, argv);
}
