/* status: is the spool well? For people and for health checks. */
#include "uploader/config.h"
#include "uploader/deliver/consent.h"
#include "uploader/deliver/dsn.h"
#include "uploader/deliver/ledger.h"
#include "uploader/inspect/commands.h"
#include "uploader/inspect/living.h"
#include "uploader/inspect/row.h"
#include "uploader/inspect/shut_in.h"
#include "uploader/inspect/store.h"
#include "uploader/inspect/unadopted.h"
#include "uploader/inspect/when.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_DESTINATIONS = 8, MAX_LIMIT_S = 24 * 3600 };

struct status {
    const struct spool *spool;
    size_t n[SPOOL_N_STATES];
    uint64_t bytes[SPOOL_N_STATES];
    uint64_t oldest_ms, newest_ms, next_due_s;
    unsigned n_unadopted;
    size_t n_living; /* of living, LIVING_MAX at most are there */
    struct living living[LIVING_MAX];
    bool busy; /* an uploader holds the lock */
    enum config_consent consent;
    size_t n_destinations, n_usable;
    char destinations[MAX_DESTINATIONS][128];
    struct ledger *ledger; /* NULL: none */
    int health;            /* an exit code */
    const char *verdict;
};

static void count(const struct store *t, size_t at, struct status *x)
{
    for (size_t i = 0; i < t->n_reports; i++) {
        const struct report *r = &t->reports[i];
        char file[KNELL_SPOOL_NAME_BYTES + 1];
        struct stat st;
        if (r->spool != at)
            continue;
        x->n[r->state]++;
        if (fstatat(x->spool->state_fd[r->state], report_file(r, file), &st,
                AT_SYMLINK_NOFOLLOW) == 0)
            x->bytes[r->state] += (uint64_t)st.st_size;
        /* The store is in no order before it is asked for one. */
        const uint64_t time_ms = r->name.time_ms;
        if (time_ms > x->newest_ms)
            x->newest_ms = time_ms;
        if (!x->oldest_ms || time_ms < x->oldest_ms)
            x->oldest_ms = time_ms;
        if (r->state == SPOOL_WAIT &&
            (!x->next_due_s || r->name.not_before_s < x->next_due_s))
            x->next_due_s = r->name.not_before_s;
    }
}

/* Labels hold no key and no secret. */
static void take_destinations(struct status *x, const char *text, const char *prefix)
{
    while (text && *(text += strspn(text, " \t\n")) &&
           x->n_destinations < MAX_DESTINATIONS) {
        char word[2100];
        size_t n = strcspn(text, " \t\n");
        (void)snprintf(word, sizeof word, "%s%.*s", prefix, (int)n, text);
        text += n;
        struct destination d;
        const char *why;
        char *out = x->destinations[x->n_destinations++];
        if (destination_parse(word, &d, &why)) {
            (void)snprintf(out, sizeof x->destinations[0], "(unusable: %s)", why);
            continue;
        }
        (void)snprintf(out, sizeof x->destinations[0], "%s", d.label);
        x->n_usable++;
        destination_done(&d);
    }
}

static void judge(struct status *x)
{
    size_t open = x->n[SPOOL_NEW] + x->n[SPOOL_WAIT] + x->n[SPOOL_WORK];
    if (!x->n_usable) {
        x->health = EXIT_DISABLED;
        x->verdict = x->n_destinations
                         ? "no destination is usable: reports are kept and not sent"
                         : "no destination is configured: reports are kept and not sent";
    } else if (x->consent != CONFIG_CONSENT_YES) {
        x->health = EXIT_DISABLED;
        x->verdict = "sending is not consented to: reports are kept and not sent";
    } else if (x->n[SPOOL_BAD]) {
        x->health = EXIT_REJECTED;
        x->verdict = "some reports were quarantined";
    } else if (open) {
        x->health = EXIT_LATER;
        x->verdict = x->busy ? "reports are being sent" : "reports wait to be sent";
    } else {
        x->health = EXIT_OK;
        x->verdict = "nothing is waiting";
    }
}

/* @x  n_unadopted is set */
static void look(struct session *s, const struct store *t, size_t at,
    const struct config *config, struct status *x)
{
    x->spool = t->spools[at].spool;
    count(t, at, x);
    x->n_living = living_list(x->spool, x->living);
    x->busy = spool_is_locked(x->spool);
    struct consent consent = {.spool_fd = x->spool->fd, .config = config};
    x->consent = consent_now(&consent);
    take_destinations(x, config->dsn, "");
    take_destinations(x, config->otlp_endpoint, "otlp+");
    uint64_t now_s = (uint64_t)(s->now_ms / 1000);
    if (ledger_load(x->spool->fd, now_s, MAX_LIMIT_S, &x->ledger))
        x->ledger = NULL;
    judge(x);
}

static const char *consent_word(enum config_consent c)
{
    return c == CONFIG_CONSENT_YES ? "yes" : c == CONFIG_CONSENT_ASK ? "ask" : "no";
}

static void put_json(struct json *j, const struct status *x)
{
    char time[WHEN_BYTES];
    json_text(j, "spool", x->spool->path);
    json_int(j, "health", x->health);
    json_text(j, "verdict", x->verdict);
    json_object(j, "reports");
    for (int i = SPOOL_NEW; i < SPOOL_N_STATES; i++)
        json_uint(j, spool_state_name((enum spool_state)i), x->n[i]);
    json_end_object(j);
    json_object(j, "bytes");
    for (int i = SPOOL_NEW; i < SPOOL_N_STATES; i++)
        json_uint(j, spool_state_name((enum spool_state)i), x->bytes[i]);
    json_end_object(j);
    json_text(j, "oldest", x->oldest_ms ? when_iso(time, (int64_t)x->oldest_ms) : NULL);
    json_text(j, "newest", x->newest_ms ? when_iso(time, (int64_t)x->newest_ms) : NULL);
    json_text(j, "next_try",
        x->next_due_s ? when_iso(time, (int64_t)x->next_due_s * 1000) : NULL);
    json_uint(j, "unadopted", x->n_unadopted);
    json_array(j, "living");
    for (size_t i = 0; i < x->n_living && i < LIVING_MAX; i++) {
        const struct living *l = &x->living[i];
        json_object(j, NULL);
        json_uint(j, "pid", l->pid);
        json_text(j, "app", l->app);
        json_text(j, "release", l->release);
        json_text(j, "since", when_iso(time, l->start_ms));
        json_text(j, "last_sign", when_iso(time, l->last_sign_ms));
        json_uint(j, "breadcrumbs", l->n_breadcrumbs);
        json_uint(j, "captured", l->captured);
        json_uint(j, "suppressed", l->suppressed);
        json_end_object(j);
    }
    json_end_array(j);
    json_bool(j, "uploading", x->busy);
    json_text(j, "consent", consent_word(x->consent));
    json_array(j, "destinations");
    for (size_t i = 0; i < x->n_destinations; i++)
        json_text(j, NULL, x->destinations[i]);
    json_end_array(j);
    if (x->ledger) {
        json_uint(j, "sent_ever", x->ledger->n_sent);
        json_uint(j, "failed_ever", x->ledger->n_failed);
        json_uint(j, "quarantined_ever", x->ledger->n_quarantined);
        json_uint(j, "bytes_today", x->ledger->day_bytes);
        json_array(j, "dropped");
        for (size_t i = 0; i < x->ledger->n_drops; i++) {
            json_object(j, NULL);
            json_text(j, "reason", x->ledger->drops[i].reason);
            json_text(j, "category", x->ledger->drops[i].category);
            json_uint(j, "count", x->ledger->drops[i].n);
            json_end_object(j);
        }
        json_end_array(j);
    }
}

static void put_counts(const struct session *s, const struct status *x)
{
    const struct out *o = &s->out;
    (void)fputs("     Reports ", o->f);
    bool any = false;
    for (int i = SPOOL_NEW; i < SPOOL_N_STATES; i++) {
        if (!x->n[i])
            continue;
        (void)fprintf(o->f, "%s%s%zu %s%s (%" PRIu64 " KiB)", any ? ", " : " ",
            out_style(o, row_state_style((uint32_t)i)), x->n[i],
            spool_state_name((enum spool_state)i), out_plain(o),
            (x->bytes[i] + 1023) / 1024);
        any = true;
    }
    (void)fputs(any ? "\n" : " none\n", o->f);
}

static void put_living(const struct session *s, const struct status *x)
{
    const struct out *o = &s->out;
    char age[WHEN_BYTES];
    for (size_t i = 0; i < x->n_living && i < LIVING_MAX; i++) {
        const struct living *l = &x->living[i];
        (void)fputs(i ? "              " : "      Living  ", o->f);
        out_text(o, STYLE_PLAIN, l->app);
        (void)fprintf(o->f,
            ", PID %u, for %s: %u breadcrumbs, %" PRIu64 " errors captured, %" PRIu64
            " suppressed\n",
            l->pid, when_age(age, s->now_ms - l->start_ms), l->n_breadcrumbs, l->captured,
            l->suppressed);
    }
    if (x->n_living > LIVING_MAX)
        (void)fprintf(o->f, "              and %zu more\n", x->n_living - LIVING_MAX);
}

static void put_text(const struct session *s, const struct status *x)
{
    const struct out *o = &s->out;
    char a[WHEN_BYTES], b[WHEN_BYTES];
    (void)fputs(out_style(o, STYLE_BOLD), o->f);
    out_text(o, STYLE_PLAIN, x->spool->path);
    (void)fprintf(o->f, "%s: ", out_plain(o));
    out_text(o, x->health == EXIT_OK ? STYLE_GREEN : STYLE_YELLOW, x->verdict);
    (void)fputc('\n', o->f);
    put_counts(s, x);
    if (x->newest_ms)
        (void)fprintf(o->f, "      Newest  %s, %s ago; oldest %s\n",
            when_format(a, (int64_t)x->newest_ms, s->options.utc, false),
            when_age(b, s->now_ms - (int64_t)x->newest_ms),
            when_format(
                (char[WHEN_BYTES]){0}, (int64_t)x->oldest_ms, s->options.utc, false));
    if (x->next_due_s)
        (void)fprintf(o->f, "    Next try  %s\n",
            when_format(a, (int64_t)x->next_due_s * 1000, s->options.utc, false));
    if (x->n_unadopted)
        (void)fprintf(o->f,
            "     Pending  %u dead process%s without a report; `knell verify --repair` "
            "makes one\n",
            x->n_unadopted, x->n_unadopted == 1 ? "" : "es");
    put_living(s, x);
    (void)fprintf(o->f, "    Uploader  %s\n", x->busy ? "at work" : "not running");
    (void)fprintf(o->f, "     Consent  %s\n", consent_word(x->consent));
    for (size_t i = 0; i < x->n_destinations; i++) {
        (void)fputs(i ? "              " : " Destination  ", o->f);
        out_text(o, STYLE_PLAIN, x->destinations[i]);
        (void)fputc('\n', o->f);
    }
    if (x->ledger && (x->ledger->n_sent || x->ledger->n_failed))
        (void)fprintf(o->f,
            "        Ever  %" PRIu64 " sent, %" PRIu64 " failed tries, %" PRIu64
            " quarantined\n",
            x->ledger->n_sent, x->ledger->n_failed, x->ledger->n_quarantined);
    for (size_t i = 0; x->ledger && i < x->ledger->n_drops; i++)
        (void)fprintf(o->f, "     Dropped  %" PRIu64 " (%s)\n", x->ledger->drops[i].n,
            x->ledger->drops[i].reason);
}

static int put_all(struct session *s, const struct store *t, const struct config *config)
{
    unsigned n_unadopted[STORE_MAX_SPOOLS];
    /* Asks /proc for processes, which is not there any more once we are shut in. */
    for (size_t i = 0; i < t->n_spools; i++)
        n_unadopted[i] = unadopted_count(t->spools[i].spool);
    shut_in(s, t);
    const bool lines = s->options.json == JSON_FORM_LINES;
    struct json j = {0};
    int worst = EXIT_OK;
    if (s->options.json == JSON_FORM_PRETTY) {
        j = session_json(s);
        json_array(&j, "spools");
    }
    for (size_t i = 0; i < t->n_spools; i++) {
        struct status x = {.n_unadopted = n_unadopted[i]};
        look(s, t, i, config, &x);
        worst = x.health > worst ? x.health : worst;
        if (!s->options.json) {
            (void)fputs(i ? "\n" : "", s->out.f);
            put_text(s, &x);
        } else {
            if (lines)
                j = session_json_line(s);
            else
                json_object(&j, NULL);
            put_json(&j, &x);
            json_end_object(&j);
        }
        ledger_free(x.ledger);
    }
    if (s->options.json == JSON_FORM_PRETTY) {
        json_end_array(&j);
        json_end_object(&j);
    }
    return worst;
}

int command_status(struct session *s)
{
    struct store t;
    struct config_set set;
    struct config_sources sources = {.file = s->options.config, .environ_ = environ};
    int err = config_load(&sources, &set);
    if (err)
        return session_exit_code(err);
    err = store_open(s, &t);
    int code = err ? session_exit_code(err) : put_all(s, &t, &set.values);
    if (t.refused && code < EXIT_UNREADABLE)
        code = EXIT_UNREADABLE; /* nobody knows how that one is */
    store_close(&t);
    config_done(&set);
    return code;
}
