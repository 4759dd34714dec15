/**
 * What the real programs do to a spool, one command a scenario, and what must hold when
 * that was cut off or disturbed: an uploader's pass finds the report whole in one place,
 * delivers it, and `knell verify` finds nothing.
 */
#pragma once
#include "stage.h"

enum { SCENARIO_MAX_ARGS = 8 };

struct scenario {
    const char *name;
    enum stage_kind kind;
    const char
        *argv[SCENARIO_MAX_ARGS]; /* "ID" stands for the event id, "OUT" for a bundle */
    unsigned may_be;              /* states after recovery */
    unsigned effect;  /* states right after it said it did it; 0: not looked at */
    bool may_vanish;  /* the command removes it */
    bool server;      /* to an HTTP server, else to a folder */
    const char *sick; /* until the kill the server answers so; see ingest.h */
    bool both;        /* a folder as well */
    bool dies;        /* the victim: it is the command that makes the report */
    bool strangers;   /* a torn report and a file that is none in new/ */
    bool alone;       /* kill the process that calls, not all of the tree */
    int status;       /* of the command when nothing disturbs it */
    const char *start_uploader; /* environment of the command; may be NULL */
};
extern const struct scenario scenarios[];
extern const size_t n_scenarios;

/* What was seen of a victim's death from outside. */
struct scenario_seen {
    bool told;      /* its knell_start() is done */
    bool committed; /* the handler has written the header of a whole report */
};
void scenario_see(struct scenario_seen *ret, const struct trace_call *call);

/* Run @run for each scenario that argv[@from]... names (none: all) and @wanted takes
 * (NULL: all), as many at once as there are processors, each in a process and with a well
 * server of its own. At the end of one, every event that its server got had the id of a
 * report. Returns 0, or 1 when a check failed. */
int scenario_each(int argc, char **argv, int from,
    bool (*wanted)(const struct scenario *), void (*run)(const struct scenario *));
uint64_t scenario_requests(void); /* that the well server got so far */

/* The sick server of a scenario that has one. */
void scenario_sicken(const struct scenario *sc);
void scenario_heal(const struct scenario *sc);

/* The spool before the command; free with stage_free(). */
struct stage *scenario_set_up(const struct scenario *sc);
/* The command, traced; everything it says is in s->said. */
void scenario_run(const struct scenario *sc, struct stage *s,
    enum trace_verdict (*visit)(void *ctx, struct trace_call *call), void *ctx,
    struct trace_result *ret);
/* @before  scenario_requests() before the command. False: something does not hold. */
bool scenario_recover(const struct scenario *sc, struct stage *s,
    const struct scenario_seen *seen, uint64_t before);
/* Instead of it, for a state that was checked before: what its uploader had sent may
 * still be on its way to the server, and counted later. */
void scenario_leave(void);
