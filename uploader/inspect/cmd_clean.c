/* clean: what the configuration's retention says, or what the options say. */
#include "uploader/config.h"
#include "uploader/inspect/commands.h"
#include "uploader/inspect/select.h"
#include "uploader/inspect/shut_in.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Most age, count and bytes of one state; -1: no limit. */
struct limit {
    int64_t age_ms, reports, bytes;
};

struct kept {
    int64_t reports[SPOOL_N_STATES], bytes[SPOOL_N_STATES];
};

struct cleaning {
    struct session *s;
    struct store *t;
    struct limit limits[SPOOL_N_STATES];
    struct kept *kept; /* by spool: what is kept in one is nothing to another */
    size_t n_removed, n_failed;
    uint64_t freed_bytes;
};

static uint64_t bytes_of(const struct cleaning *c, const struct report *r)
{
    char file[KNELL_SPOOL_NAME_BYTES + 1];
    struct stat st;
    return fstatat(c->t->spools[r->spool].spool->state_fd[r->state], report_file(r, file),
               &st, AT_SYMLINK_NOFOLLOW) == 0
               ? (uint64_t)st.st_size
               : 0;
}

/* Called newest first, so that what is kept is the newest. */
static bool too_much(struct cleaning *c, const struct report *r, uint64_t bytes)
{
    const struct limit *l = &c->limits[r->state];
    const struct kept *kept = &c->kept[r->spool];
    int64_t age_ms = c->s->now_ms - (int64_t)r->name.time_ms;
    if (l->age_ms >= 0 && age_ms > l->age_ms)
        return true;
    if (l->reports >= 0 && kept->reports[r->state] >= l->reports)
        return true;
    return l->bytes >= 0 && kept->bytes[r->state] + (int64_t)bytes > l->bytes;
}

/* Leave in @x those that go. */
static void choose(struct cleaning *c, struct selection *x)
{
    size_t n = 0;
    for (size_t i = 0; i < x->n; i++) {
        struct report *r = x->reports[i];
        uint64_t bytes = bytes_of(c, r);
        if (too_much(c, r, bytes)) {
            x->reports[n++] = r;
            continue;
        }
        c->kept[r->spool].reports[r->state]++;
        c->kept[r->spool].bytes[r->state] += (int64_t)bytes;
    }
    x->n = n;
}

static void remove_one(struct cleaning *c, const struct report *r)
{
    uint64_t bytes = bytes_of(c, r);
    int err = c->s->options.dry_run ? 0 : report_unlink(c->t->spools[r->spool].spool, r);
    if (err && err != -ENOENT) {
        session_complain(c->s, "cannot remove a report: %s", strerrordesc_np(-err));
        c->n_failed++;
        return;
    }
    c->n_removed++;
    c->freed_bytes += bytes;
    if (!c->s->options.json && !c->s->options.quiet && c->s->options.dry_run) {
        char id[33];
        spool_event_id_format(r->name.event_id, id);
        (void)fprintf(c->s->out.f, "would remove %.8s (%s)\n", id,
            spool_state_name((enum spool_state)r->state));
    }
}

/* What the options say holds for the states they name, else for what is done with:
 * sent/ and bad/. Reports that still wait are removed only when their state is named. */
static void limits_from_options(struct cleaning *c)
{
    const struct options *o = &c->s->options;
    for (int state = 0; state < SPOOL_N_STATES; state++) {
        bool meant = o->states ? o->states >> state & 1
                               : state == SPOOL_SENT || state == SPOOL_BAD;
        c->limits[state] = meant && state != SPOOL_WORK
                               ? (struct limit){o->older_ms, o->max_reports, o->max_bytes}
                               : (struct limit){-1, -1, -1};
    }
}

static int limits_from_config(struct cleaning *c)
{
    struct config_set set;
    struct config_sources sources = {.file = c->s->options.config, .environ_ = environ};
    int err = config_load(&sources, &set);
    if (err)
        return err;
    const struct config *v = &set.values;
    for (int state = 0; state < SPOOL_N_STATES; state++)
        c->limits[state] = (struct limit){-1, -1, -1};
    c->limits[SPOOL_SENT] =
        (struct limit){(int64_t)v->retain_sent_ms, -1, (int64_t)v->retain_sent_bytes};
    c->limits[SPOOL_BAD] =
        (struct limit){(int64_t)v->retain_bad_ms, -1, (int64_t)v->retain_bad_bytes};
    config_done(&set);
    return 0;
}

static void put_result(const struct cleaning *c)
{
    const struct session *s = c->s;
    if (s->options.json) {
        struct json j = session_json(s);
        json_uint(&j, "removed", c->n_removed);
        json_uint(&j, "failed", c->n_failed);
        json_uint(&j, "freed_bytes", c->freed_bytes);
        json_bool(&j, "dry_run", s->options.dry_run);
        json_end_object(&j);
    } else if (!s->options.quiet) {
        (void)fprintf(s->out.f, "%zu report%s %sremoved, %" PRIu64 " KiB.\n",
            c->n_removed, c->n_removed == 1 ? "" : "s",
            s->options.dry_run ? "would be " : "", c->freed_bytes / 1024);
    }
}

int command_clean(struct session *s)
{
    const struct options *o = &s->options;
    struct store t = {0};
    struct selection x = {0};
    struct cleaning c = {.s = s, .t = &t};
    bool asked = o->older_ms >= 0 || o->max_bytes >= 0 || o->max_reports >= 0;
    int err = 0;
    if (asked)
        limits_from_options(&c);
    else
        err = limits_from_config(&c);
    if (!err)
        err = store_open(s, &t);
    if (!err) {
        shut_in(s, &t);
        err = select_reports(s, &t, -1, false, &x);
    }
    bool nothing = err == -ENODATA && !o->n_arguments;
    c.kept = err ? NULL : calloc(t.n_spools, sizeof *c.kept);
    if (!err && !c.kept)
        err = -ENOMEM;
    if (!err)
        choose(&c, &x);
    /* What the configuration says was decided before. */
    if (asked && x.n > 1 && !err && !session_agreed(s, "Remove %zu reports?", x.n))
        x.n = 0;
    for (size_t i = 0; i < x.n && !err; i++)
        remove_one(&c, x.reports[i]);
    if (!err || nothing)
        put_result(&c);
    free(c.kept);
    selection_done(&x);
    store_close(&t);
    if (nothing)
        return EXIT_OK;
    return err ? session_exit_code(err) : c.n_failed ? EXIT_FAILED : EXIT_OK;
}
