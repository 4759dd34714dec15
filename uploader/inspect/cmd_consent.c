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

/* Everything that was not sent. */
static size_t purge(struct session *s, const struct store *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n_reports; i++) {
        const struct report *r = &t->reports[i];
        if (r->state == SPOOL_SENT || r->state == SPOOL_WORK)
            continue;
        int err = report_unlink(t->spools[r->spool].spool, r);
        if (err && err != -ENOENT)
            session_complain(s, "cannot remove a report: %s", strerrordesc_np(-err));
        n += !err;
    }
    return n;
}

static void put(struct session *s, const struct store *t, const struct config *config,
    size_t n_purged)
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
        json_uint(&j, "purged", n_purged);
        json_end_object(&j);
    } else if (s->options.purge) {
        (void)fprintf(s->out.f, "%zu reports removed.\n", n_purged);
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
    if (!err)
        put(s, &t, &set.values, s->options.purge ? purge(s, &t) : 0);
    store_close(&t);
    config_done(&set);
    return session_exit_code(err);
}
