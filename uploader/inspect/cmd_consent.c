/* consent: whether reports may leave this machine. */
#include "uploader/config.h"
#include "uploader/deliver/consent.h"
#include "uploader/inspect/commands.h"
#include "uploader/inspect/loader.h"

#include <errno.h>
#include <string.h>

#define CONSENT_FILE "consent"

static const char *word_of(enum config_consent c)
{
    return c == CONFIG_CONSENT_YES ? "yes" : c == CONFIG_CONSENT_ASK ? "ask" : "no";
}

static int set_word(struct session *s, const struct store *t, const char *word)
{
    char text[8];
    int n = snprintf(text, sizeof text, "%s\n", word);
    for (size_t i = 0; i < t->n_spools; i++) {
        const struct spool *spool = t->spools[i].spool;
        int err = spool_replace_file(spool->fd, CONSENT_FILE, text, (size_t)n);
        if (err) {
            session_complain(s, "cannot write %s/" CONSENT_FILE ": %s", spool->path,
                strerrordesc_np(-err));
            return err;
        }
    }
    return 0;
}

/* Everything that was not sent, segments too. */
struct purge {
    const struct session *s;
    const struct spool *spool;
    enum spool_state state;
    bool counts_only;
    size_t n;         /* removed, or to be */
    size_t n_at_work; /* being sent right now */
    size_t n_failed;
};

static int purge_one(void *ctx, const char *file, const struct spool_name *name)
{
    struct purge *p = ctx;
    (void)file;
    if (!name)
        return 0;
    if (p->state == SPOOL_WORK) {
        p->n_at_work++;
        return 0;
    }
    const struct report r = {.name = *name, .state = (uint32_t)p->state};
    int err = p->counts_only ? 0 : report_unlink(p->spool, &r);
    if (err && err != -ENOENT) {
        session_complain(p->s, "%s: cannot remove a report: %s", p->spool->path,
            strerrordesc_np(-err));
        p->n_failed++;
    }
    p->n += !err;
    return 0;
}

static struct purge purge(
    const struct session *s, const struct store *t, bool counts_only)
{
    struct purge p = {.s = s, .counts_only = counts_only};
    for (size_t i = 0; i < t->n_spools; i++) {
        p.spool = t->spools[i].spool;
        for (int state = SPOOL_NEW; state < SPOOL_N_STATES; state++) {
            p.state = (enum spool_state)state;
            if (p.state == SPOOL_SENT)
                continue;
            int err = spool_each(p.spool, p.state, purge_one, &p);
            if (!err)
                continue;
            session_complain(s, "%s/%s cannot be read: %s", p.spool->path,
                spool_state_name(p.state), strerrordesc_np(-err));
            p.n_failed++;
        }
    }
    return p;
}

/* Returns an exit code. */
static int purge_all(struct session *s, const struct store *t, struct purge *ret)
{
    struct purge p = purge(s, t, true);
    const size_t n = p.n;
    p = (struct purge){0};
    if (!n || session_agreed(s, "Remove %zu unsent file%s of %zu spool%s?", n,
                  n == 1 ? "" : "s", t->n_spools, t->n_spools == 1 ? "" : "s"))
        p = purge(s, t, false);
    *ret = p;
    if (p.n_at_work)
        session_complain(s,
            "%zu in work/ stay%s: the uploader has %s; purge again when it is done",
            p.n_at_work, p.n_at_work == 1 ? "s" : "", p.n_at_work == 1 ? "it" : "them");
    return p.n_failed ? EXIT_FAILED : p.n_at_work ? EXIT_LATER : EXIT_OK;
}

static void put(struct session *s, const struct store *t, const struct config *config,
    const struct purge *purged)
{
    struct json j = {0};
    if (s->options.json) {
        j = session_json(s);
        json_array(&j, "spools");
    }
    for (size_t i = 0; i < t->n_spools; i++) {
        const struct spool *spool = t->spools[i].spool;
        struct consent consent = {.spool_fd = spool->fd, .config = config};
        const char *word = word_of(consent_now(&consent));
        if (s->options.json) {
            json_object(&j, NULL);
            json_text(&j, "spool", spool->path);
            json_text(&j, "consent", word);
            json_end_object(&j);
        } else {
            out_text(&s->out, STYLE_PLAIN, spool->path);
            (void)fprintf(s->out.f, ": %s\n", word);
        }
    }
    if (s->options.json) {
        json_end_array(&j);
        json_uint(&j, "purged", purged->n);
        json_uint(&j, "left", purged->n_at_work + purged->n_failed);
        json_end_object(&j);
    } else if (s->options.purge) {
        (void)fprintf(
            s->out.f, "%zu file%s removed.\n", purged->n, purged->n == 1 ? "" : "s");
    }
}

int command_consent(struct session *s)
{
    const char *word = s->options.n_arguments ? s->options.arguments[0] : NULL;
    bool revoke = word && strcmp(word, "revoke") == 0;
    if (s->options.n_arguments > 1 ||
        (word && !revoke && !option_word("yes no ask", word))) {
        session_complain(s, "consent is yes, no, ask or revoke");
        return EXIT_USAGE;
    }
    if (s->options.purge && !revoke) {
        session_complain(s, "--purge belongs to `knell consent revoke`");
        return EXIT_USAGE;
    }
    struct config_set set;
    struct store t = {0};
    struct config_sources sources = {.file = s->options.config, .environ_ = environ};
    int err = config_load(&sources, &set);
    if (err)
        return session_exit_code(err);
    err = store_open(s, &t);
    if (!err && word)
        err = set_word(s, &t, revoke ? "no" : word);
    int code = session_exit_code(err);
    struct purge purged = {0};
    if (!err && s->options.purge)
        code = purge_all(s, &t, &purged);
    if (!err)
        put(s, &t, &set.values, &purged);
    if (word && t.refused && !code)
        code = EXIT_UNREADABLE; /* there it is what it was */
    store_close(&t);
    config_done(&set);
    return code;
}
