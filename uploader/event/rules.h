/**
 * What a person decided about events: which are not sent, how they group, which frames
 * are the application's, which tags all carry, how many of a kind are enough.
 *
 * A rule is a line. FIELD is one of signal, type, message, function, module, release,
 * environment, app, transaction; PATTERN is a glob (fnmatch(3)). function and module
 * match any frame of the thread that the event is about; signal matches with and without
 * "SIG".
 */
#pragma once
#include "symbolize/cleanup.h"
#include "uploader/report/crash.h"

#include <cjson/cJSON.h>

struct rules;

/* Lines separated by '\n', empty ones and NULL are fine. */
struct rules_text {
    const char *ignore;              /* FIELD=PATTERN */
    const char *ignore_transactions; /* PATTERN of a transaction's name */
    const char
        *fingerprint;   /* FIELD=PATTERN -> PART, PART ...; a part is text, in which
                           {{ default }}, {{ type }}, {{ function }}, {{ module }} and
                           {{ signal }} stand for what the event has */
    const char *sample; /* FIELD=PATTERN RATE, 0 to 1; the first that matches counts */
    const char *in_app_include, *in_app_exclude; /* PATTERN of a function, or of a module
                                                    when it has a '/' or ends in .so* */
    const char *tags;                            /* KEY=VALUE */
};

/**
 * @text  borrowed for the call
 * @ret   free with rules_free()
 * @note  @n_note bytes: the first line that is no rule, which is then left out; "" if
 * none Errors: -ENOMEM.
 */
int rules_new(const struct rules_text *text, struct rules **ret, char *note,
    size_t n_note) MUST_CHECK;
void rules_free(struct rules *r);

/* Marks frames by in_app patterns; before the event is built. @r  NULL: no rules */
void rules_in_app(const struct rules *r, struct crash *c);

/**
 * Fingerprint and tags into the event.
 *
 * Errors: -ENOMEM.
 */
int rules_apply(const struct rules *r, const struct crash *c, cJSON *event) MUST_CHECK;

/* The rule that forbids to send the event, as it was written; NULL when none does. */
const char *rules_ignored(
    const struct rules *r, const struct crash *c, const cJSON *event);
const char *rules_transaction_ignored(const struct rules *r, const char *name);

/* The rule that leaves this event out of its sample. The same event gives the same answer
 * each time. NULL when it is in. */
const char *rules_sampled_out(
    const struct rules *r, const struct crash *c, const cJSON *event);
