/**
 * Which reports a command line means: options and MATCH words against names first and
 * the index only where needed, newest first, so that "the newest 20" looks at 20.
 */
#pragma once
#include "uploader/inspect/loader.h"

struct selection {
    struct report **reports; /* newest first; into the store */
    size_t n;
    bool more;  /* the limit cut it */
    bool by_id; /* every word was an id or PID: each report was asked for */
};

/**
 * @limit  most reports wanted; -1: what the options say
 * @ret    free with selection_done()
 * Returns 0; -ENODATA when nothing matches and -EINVAL for a word that makes no sense or
 * an id's start that fits several reports (@unique), after a message on stderr; -ENOMEM.
 */
int select_reports(struct session *s, struct store *t, int64_t limit, bool unique,
    struct selection *ret) MUST_CHECK;
void selection_done(struct selection *x);

/* As above without a limit and without a word on stderr when nothing matches (0 then). */
int select_new(struct session *s, struct store *t, struct selection *ret) MUST_CHECK;

/**
 * For commands about one report: the newest that matches, or each one that was named by
 * id or PID.
 */
int select_few(struct session *s, struct store *t, struct selection *ret) MUST_CHECK;

/* An empty spool is an answer of list and report; words that match nothing are not. Then
 * select_reports() returns -ENODATA without a message. */
bool select_may_be_empty(const struct options *o);

/* Whether a command line selects anything at all: commands that change things do not
 * take silence for "all". */
bool select_is_given(const struct options *o);
