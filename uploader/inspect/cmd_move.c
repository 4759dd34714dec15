/* retry, hold, release, rm: each is one rename or one unlink a report. */
#include "uploader/inspect/commands.h"
#include "uploader/inspect/select.h"
#include "uploader/inspect/shut_in.h"
#include "uploader/spool/strikes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REMOVED = SPOOL_N_STATES };

struct change {
    struct session *s;
    struct store *t;
    struct json j;
    size_t n_done, n_refused;
};

/* NAME.why beside NAME.dmp; there may be none. */
static void unlink_why(const struct spool *spool, const struct report *r)
{
    char file[KNELL_SPOOL_NAME_BYTES + sizeof KNELL_WHY_SUFFIX];
    (void)report_file(r, file);
    (void)strcpy(
        file + KNELL_SPOOL_NAME_BYTES - strlen(KNELL_SPOOL_SUFFIX), KNELL_WHY_SUFFIX);
    IGNORE(unlinkat(spool->state_fd[SPOOL_BAD], file, 0), "there may be none");
}

int report_unlink(const struct spool *spool, const struct report *r)
{
    char file[KNELL_SPOOL_NAME_BYTES + 1];
    if (unlinkat(spool->state_fd[r->state], report_file(r, file), 0) < 0)
        return -errno;
    if (r->state == SPOOL_BAD)
        unlink_why(spool, r);
    return 0;
}

static void forget_strikes(const struct spool *spool, const struct report *r)
{
    struct strikes *strikes;
    if (strikes_open(spool, &strikes))
        return;
    strikes_forget(strikes, r->name.event_id);
    strikes_close(strikes);
}

/* The goal of a command for a report in its state; -EALREADY, -EBUSY or -EINVAL. */
static int goal(enum command_id command, const struct report *r)
{
    const uint32_t state = r->state;
    if (state == SPOOL_WORK)
        return -EBUSY;
    switch (command) {
    case COMMAND_RM:
        return REMOVED;
    case COMMAND_HOLD:
        /* What waits for consent is held anew: else it would go with the consent. */
        return state == SPOOL_HOLD && !r->name.not_before_s ? -EALREADY
               : state == SPOOL_HOLD                        ? SPOOL_HOLD
               : state == SPOOL_NEW || state == SPOOL_WAIT  ? SPOOL_HOLD
                                                            : -EINVAL;
    case COMMAND_RELEASE:
        return state == SPOOL_HOLD ? SPOOL_NEW : -EINVAL;
    case COMMAND_RETRY:
        return state == SPOOL_BAD    ? SPOOL_NEW
               : state == SPOOL_WAIT ? SPOOL_WAIT
               : state == SPOOL_NEW  ? -EALREADY
                                     : -EINVAL;
    default:
        return -EINVAL;
    }
}

static int apply(const struct spool *spool, const struct report *r, int to)
{
    if (to == REMOVED)
        return report_unlink(spool, r);
    struct spool_name as = r->name;
    as.not_before_s = 0;
    if (r->state == SPOOL_WAIT && to == SPOOL_WAIT && !r->name.not_before_s)
        return 0;
    if (r->state == SPOOL_BAD) {
        as.attempts = 0;
        forget_strikes(spool, r);
    }
    int err = spool_move(
        spool, (enum spool_state)r->state, &r->name, (enum spool_state)to, &as);
    if (!err && r->state == SPOOL_BAD)
        unlink_why(spool, r);
    return err;
}

static const char *refusal(int err, uint32_t state)
{
    if (err == -EBUSY)
        return "it is being sent right now";
    if (err == -EALREADY)
        return state == SPOOL_HOLD ? "it is held already" : "it is due already";
    if (err == -EINVAL)
        return state == SPOOL_SENT   ? "it was sent already"
               : state == SPOOL_HOLD ? "it is held; `knell release` lets it go"
               : state == SPOOL_BAD ? "it is quarantined; `knell retry` gives it a chance"
                                    : "it is not held";
    if (err == -ENOENT)
        return "it moved meanwhile";
    return strerrordesc_np(-err);
}

static void tell(struct change *c, const struct report *r, int to, int err)
{
    char id[33];
    spool_event_id_format(r->name.event_id, id);
    const char *from = spool_state_name((enum spool_state)r->state);
    const char *goal_name = to == REMOVED ? "removed"
                            : to >= 0     ? spool_state_name((enum spool_state)to)
                                          : NULL;
    if (c->s->options.json) {
        const bool lines = c->s->options.json == JSON_FORM_LINES;
        struct json line = lines ? session_json_line(c->s) : c->j;
        if (!lines)
            json_object(&line, NULL);
        json_text(&line, "event_id", id);
        json_text(&line, "from", from);
        json_text(&line, "to", err ? NULL : goal_name);
        json_bool(&line, "done", !err && !c->s->options.dry_run);
        json_text(&line, "why", err ? refusal(err, r->state) : NULL);
        json_end_object(&line);
        if (!lines)
            c->j = line;
    } else if (err) {
        (void)fprintf(
            stderr, "knell: %.8s stays in %s: %s\n", id, from, refusal(err, r->state));
    } else if (!c->s->options.quiet) {
        (void)fprintf(c->s->out.f, "%s%.8s %s -> %s\n",
            c->s->options.dry_run ? "would move " : "", id, from, goal_name);
    }
}

static void change_one(struct change *c, const struct report *r)
{
    int to = goal(c->s->options.command, r);
    int err = to < 0 ? to : 0;
    if (!err && !c->s->options.dry_run)
        err = apply(c->t->spools[r->spool].spool, r, to);
    c->n_done += !err;
    c->n_refused += err != 0;
    tell(c, r, to, err);
}

/* What a person has decided must not be undone by a loss of power: a report that was held
 * would be sent. */
static int make_durable(const struct change *c)
{
    static const enum spool_state folders[] = {
        SPOOL_NEW, SPOOL_WAIT, SPOOL_HOLD, SPOOL_SENT, SPOOL_BAD};
    int err = 0;
    for (size_t i = 0; i < c->t->n_spools; i++) {
        const struct spool *spool = c->t->spools[i].spool;
        for (size_t k = 0; !err && k < sizeof folders / sizeof *folders; k++)
            err = spool->state_fd[folders[k]] < 0 ? 0 : spool_sync(spool, folders[k]);
        if (err)
            session_complain(c->s, "%s: done, but a loss of power may undo it: %s",
                spool->path, strerrordesc_np(-err));
    }
    return err;
}

/* retry --all, and nothing said of which: every report that waits, in the spool that is
 * named or in all of them. */
static void take_all_that_wait(struct options *o)
{
    const char *named = o->spool ? o->spool : getenv("KNELL_SPOOL");
    if (o->command != COMMAND_RETRY || !o->all || select_is_given(o))
        return;
    o->states = 1u << SPOOL_WAIT;
    o->all = !named || !*named;
}

int command_move(struct session *s)
{
    struct store t = {0};
    struct selection x = {0};
    take_all_that_wait(&s->options);
    if (!select_is_given(&s->options)) {
        session_complain(s, "%s: say which reports (see `knell help %s`)",
            command_specs[s->options.command].name,
            command_specs[s->options.command].name);
        return EXIT_USAGE;
    }
    int err = store_open(s, &t);
    if (!err) {
        shut_in(s, &t);
        err = select_reports(s, &t, -1, true, &x);
    }
    struct change c = {.s = s, .t = &t};
    if (!err && (s->options.command != COMMAND_RM || x.n < 2 ||
                    session_agreed(s, "Remove %zu reports?", x.n))) {
        if (s->options.json == JSON_FORM_PRETTY) {
            c.j = session_json(s);
            json_array(&c.j, "reports");
        }
        for (size_t i = x.n; i-- > 0;)
            change_one(&c, x.reports[i]);
        if (s->options.json == JSON_FORM_PRETTY) {
            json_end_array(&c.j);
            json_end_object(&c.j);
        }
        if (c.n_done && !s->options.dry_run)
            err = make_durable(&c);
    }
    selection_done(&x);
    store_close(&t);
    return err ? session_exit_code(err) : c.n_refused ? EXIT_FAILED : EXIT_OK;
}
