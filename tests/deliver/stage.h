/**
 * Spools as real programs leave them, made when first asked for and copied for every try;
 * the programs of this build on such a copy, and what must hold when they are done.
 */
#pragma once
#include "ingest.h"
#include "trace.h"

#include "uploader/spool/dir.h"

/* What the one report of a spool has been through. */
enum stage_kind {
    STAGE_EMPTY,     /* no spool at all */
    STAGE_NEW,       /* a crash's report and the journal of its process */
    STAGE_COMMITTED, /* killed before the handler's rename: the report is in live/ */
    STAGE_DIED, /* killed by a signal that nobody sees: a journal and an empty slot */
    STAGE_WAIT,
    STAGE_HOLD,
    STAGE_SENT,
    STAGE_BAD,  /* refused by a server */
    STAGE_WORK, /* claimed by an uploader that is no more */
    STAGE_N_KINDS,
};

struct stage {
    const char *dir; /* from test_tmpdir() */
    char spool[512], out[512], said[512];
    char event_id[33]; /* of the report; "" for STAGE_EMPTY */
    /* "KEY=VALUE", NULL at the end: spool, configuration and destination of programs */
    const char *environment[16];
    char spool_env[540], dsn_env[560], home_env[540], config_env[560];
};

/* Of a kind's report; "" for STAGE_EMPTY. */
const char *stage_event_id(enum stage_kind kind);

/* A copy. STAGE_COMMITTED and STAGE_DIED need trace_works().
 * @dsn  "" for none; NULL: the folder out/ of the copy */
struct stage *stage_new(enum stage_kind kind, const char *dsn);
void stage_free(struct stage *s);
void stage_set_dsn(struct stage *s, const char *dsn);

/* Run a program to its end; its exit status, or 128 + its signal. What it says is
 * appended to s->said. */
int stage_run(const struct stage *s, const char *const *argv);
int stage_upload(const struct stage *s); /* knell-upload --all */
int stage_verify(const struct stage *s); /* knell verify */

/* In which folders the report is: bit i for enum spool_state i; @ret_n  how often. */
unsigned stage_states(const struct stage *s, const char *event_id, int *ret_n);
/* Files of a folder, whatever they are, but for hidden ones. */
int stage_count(const struct stage *s, enum spool_state state);
/* How many events lie in out/, and whether one of them holds @word. Either
 * may be NULL. */
int stage_arrived(const struct stage *s, const char *word, bool *ret_has);
/* Names, sizes and bytes of all that lies in the copy, the spool, out/ and what else the
 * programs keep; times, process ids and what is only told are left out. */
uint64_t stage_digest(const struct stage *s);
/* Say what is there, for a check that failed. */
void stage_show(const struct stage *s);
