/**
 * A report on the screen, for a person: what, where and why first, then the rest by
 * how soon it is wanted.
 */
#pragma once
#include "uploader/inspect/loader.h"
#include "uploader/inspect/row.h"

struct show {
    struct session *s;
    const struct out *out;
    const struct store *t;
    const struct report *r;
    struct loaded *l;
    struct index_entry e; /* texts point into the others */
};

/* What happened, where, with lines of source, and why. */
void show_reason(const struct show *x);
/* Id, application, times, process, delivery. */
void show_facts(const struct show *x);

/* The crashed thread's stack with its head. */
void show_crashed_thread(const struct show *x);
/* All others; equal stacks once, unless @every. */
void show_other_threads(const struct show *x, bool every);
void show_registers(const struct show *x, const struct crash_thread *thread);
void show_modules(const struct show *x);
/* The application's modules on the crashed stack that have no lines of source, and why.
 */
void show_missing_symbols(const struct show *x);
/* Steps of the capture that did not succeed, parts that are missing. */
void show_damage(const struct show *x);

/* The newest breadcrumbs, or @all. */
void show_crumbs(const struct show *x, bool all);
/* Tags, user, contexts, extra, the open span. */
void show_scope(const struct show *x);
void show_journal_json(struct json *j, const struct show *x);
/* What the uploader wrote about it. */
void show_history(const struct show *x);
void show_history_json(struct json *j, const struct show *x);

/* A head of a part: a blank line, then the words. */
void show_head(const struct show *x, const char *text);

/* The whole report as members of an open object. */
void show_json(struct json *j, const struct show *x);
