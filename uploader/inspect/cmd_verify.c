/* verify: is every file of the spool what it should be? With --repair: make it so. */
#include "uploader/inspect/commands.h"
#include "uploader/inspect/loader.h"
#include "uploader/inspect/progress.h"
#include "uploader/inspect/safe.h"
#include "uploader/inspect/select.h"
#include "uploader/inspect/shut_in.h"
#include "uploader/inspect/unadopted.h"
#include "uploader/spool/tend.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct verify {
    struct session *s;
    struct spool *spool;
    enum spool_state state;
    bool sends_changed; /* the uploader does */
    struct json j;
    size_t n_good, n_bad, n_repaired;
};

/* One finding; what was done about it. */
static void tell(struct verify *v, const char *file, const char *what, const char *done)
{
    struct session *s = v->s;
    v->n_bad++;
    v->n_repaired += done != NULL;
    if (s->options.json) {
        const bool lines = s->options.json == JSON_FORM_LINES;
        struct json line = lines ? session_json_line(s) : v->j;
        if (!lines)
            json_object(&line, NULL);
        json_text(&line, "spool", v->spool->path);
        json_text(&line, "state", spool_state_name(v->state));
        json_text(&line, "file", file);
        json_text(&line, "what", what);
        json_text(&line, "repair", done);
        json_end_object(&line);
        if (!lines)
            v->j = line;
        return;
    }
    out_text(&s->out, STYLE_PLAIN, v->spool->path);
    (void)fprintf(s->out.f, "/%s/", spool_state_name(v->state));
    out_text(&s->out, STYLE_BOLD, file);
    (void)fputs(": ", s->out.f);
    out_text(&s->out, STYLE_RED, what);
    if (done)
        (void)fprintf(s->out.f, " -> %s", done);
    (void)fputc('\n', s->out.f);
}

/* Whether an error is the file's own and will not go away; a disk that cannot be read
 * just now is no reason to put a sound report away. */
static bool is_fault_of_file(int err)
{
    return spool_fault(err) || err == -EBADMSG || err == -EPROTONOSUPPORT;
}

/* Put a file that must not stay where it is into bad/. */
static const char *quarantine(struct verify *v, const char *file, const char *why)
{
    if (!v->s->options.repair || v->state == SPOOL_BAD || v->state == SPOOL_WORK)
        return NULL;
    int err = spool_quarantine(v->spool, v->state, file, why);
    if (err)
        session_complain(v->s, "cannot quarantine: %s", strerrordesc_np(-err));
    return err ? NULL : "quarantined";
}

/* A .why whose report is gone. */
static bool check_why(struct verify *v, const char *file)
{
    if (!tend_is_orphan(v->spool, file))
        return false;
    bool removed =
        v->s->options.repair && unlinkat(v->spool->state_fd[v->state], file, 0) == 0;
    tell(v, file, "a reason without its report", removed ? "removed" : NULL);
    return true;
}

/* What was quarantined while the disk was full has none. */
static void check_has_why(struct verify *v, const char *file)
{
    if (!tend_lacks_reason(v->spool, file))
        return;
    bool made = v->s->options.repair && !tend_add_reason(v->spool, file);
    tell(v, file, "quarantined without a reason", made ? "written" : NULL);
}

/* Spans, logs and sessions: whole enough to be read by the uploader's worker. */
static void check_segment(struct verify *v, const char *file)
{
    CLEANUP(close_p) int fd = -1;
    int err =
        spool_open_file(v->spool, v->state, file, KNELL_MAX_REPORT_BYTES, &fd, NULL);
    char what[100];
    if (!err || err == -ENOENT)
        return;
    (void)snprintf(what, sizeof what, "unreadable: %s",
        spool_fault(err) ? spool_fault(err) : strerrordesc_np(-err));
    tell(v, file, what, is_fault_of_file(err) ? quarantine(v, file, what) : NULL);
}

static int check_name(void *ctx, const char *file, const struct spool_name *name)
{
    struct verify *v = ctx;
    if (v->state == SPOOL_BAD) {
        /* What was quarantined for its name has kept it. */
        if (!check_why(v, file))
            check_has_why(v, file);
    } else if (!name) {
        tell(v, file, "no report's name", quarantine(v, file, "no report's name"));
    } else if (name->segment) {
        check_segment(v, file);
    }
    return 0;
}

/* It still tells most, and goes where the uploader would put it; sent it may stay. */
static void tell_changed(struct verify *v, const char *file)
{
    const char what[] = "changed since it was written: its checksum is another";
    if (v->state != SPOOL_BAD)
        tell(v, file, what,
            v->sends_changed || v->state == SPOOL_SENT ? NULL
                                                       : quarantine(v, file, what));
}

/* @ret_changed  its checksum is another */
static int read_report(const struct verify *v, const struct report *r,
    struct report_error *why, bool *ret_changed)
{
    char file[KNELL_SPOOL_NAME_BYTES + 1];
    CLEANUP(close_p) int fd = -1;
    CLEANUP(free_p) uint8_t *bytes = NULL;
    size_t n = 0;
    struct crash *c = NULL;
    int err = spool_open_file(v->spool, (enum spool_state)r->state, report_file(r, file),
        KNELL_MAX_REPORT_BYTES, &fd, NULL);
    if (!err)
        err = spool_read_all(fd, KNELL_MAX_REPORT_BYTES, &bytes, &n);
    if (!err)
        err = report_read(bytes, n, &c, why);
    *ret_changed = !err && c->is_changed;
    crash_free(c);
    return err;
}

static void check_report(struct verify *v, const struct report *r)
{
    char file[KNELL_SPOOL_NAME_BYTES + 1], what[200];
    struct report_error why = {0};
    bool changed;
    (void)report_file(r, file);
    v->state = (enum spool_state)r->state;
    int err = read_report(v, r, &why, &changed);
    if (err == -ENOENT)
        return; /* it moved meanwhile: the uploader is at work */
    if (!err) {
        v->n_good += !changed;
        if (changed)
            tell_changed(v, file);
        return;
    }
    if (why.what)
        (void)snprintf(what, sizeof what, "unreadable: %s at offset %llu", why.what,
            (unsigned long long)why.offset);
    else
        (void)snprintf(what, sizeof what, "unreadable: %s",
            spool_fault(err) ? spool_fault(err) : strerrordesc_np(-err));
    if (v->state == SPOOL_BAD)
        return; /* known to be bad */
    bool own = is_fault_of_file(err) || (why.what && err != -ENOMEM);
    tell(v, file, what, own ? quarantine(v, file, what) : NULL);
}

/* The further on, the better; but what lies in bad/ is there for a fault. */
static int rank(const struct report *r)
{
    return r->state == SPOOL_BAD ? -1 : (int)r->state;
}

static int by_event(const void *a, const void *b)
{
    const struct report *x = *(const struct report *const *)a,
                        *y = *(const struct report *const *)b;
    int order = memcmp(x->name.event_id, y->name.event_id, sizeof x->name.event_id);
    return order ? order : rank(y) - rank(x);
}

/* Whether a report still lies where it was listed. */
static bool is_there(const struct verify *v, const struct report *r)
{
    char file[KNELL_SPOOL_NAME_BYTES + 1];
    struct stat st;
    return fstatat(v->spool->state_fd[r->state], report_file(r, file), &st,
               AT_SYMLINK_NOFOLLOW) == 0;
}

static bool is_sound(const struct verify *v, const struct report *r)
{
    struct report_error why = {0};
    bool changed;
    return !read_report(v, r, &why, &changed) && !changed;
}

/* Of the copies of one report, the furthest on first, the first sound one stays. Where
 * none is, each may hold what the others have lost. */
static void check_copies(struct verify *v, const struct report **copies, size_t n)
{
    const struct report *stays = NULL;
    for (size_t i = 0; i < n && !stays; i++)
        stays = is_sound(v, copies[i]) ? copies[i] : NULL;
    const bool may_remove = v->s->options.repair && stays;
    if (!stays)
        stays = copies[0];
    for (size_t i = 0; i < n; i++) {
        char file[KNELL_SPOOL_NAME_BYTES + 1];
        /* One that was moved while the folders were read was seen in both. */
        if (copies[i] == stays || !is_there(v, stays) || !is_there(v, copies[i]))
            continue;
        v->state = (enum spool_state)copies[i]->state;
        bool removed = may_remove && v->state != SPOOL_WORK &&
                       report_unlink(v->spool, copies[i]) == 0;
        tell(v, report_file(copies[i], file), "another copy of a report",
            removed ? "removed" : NULL);
    }
}

/* One event in two places: a cut-off move or a restored backup. */
static void check_twice(struct verify *v, const struct store *t, uint32_t spool)
{
    const struct report **sorted = calloc(t->n_reports + 1, sizeof *sorted);
    size_t n = 0;
    for (size_t i = 0; sorted && i < t->n_reports; i++)
        if (t->reports[i].spool == spool)
            sorted[n++] = &t->reports[i];
    if (sorted)
        qsort(sorted, n, sizeof *sorted, by_event);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1;
             end < n && !memcmp(sorted[i]->name.event_id, sorted[end]->name.event_id,
                            SPOOL_EVENT_ID_BYTES);)
            end++;
        if (end - i > 1)
            check_copies(v, sorted + i, end - i);
    }
    free(sorted);
}

/* Folders must be there and be nobody else's. */
static void check_folders(struct verify *v)
{
    for (int state = SPOOL_LIVE; state < SPOOL_N_STATES; state++) {
        struct stat st;
        v->state = (enum spool_state)state;
        if (v->spool->state_fd[state] < 0) {
            bool made = v->s->options.repair &&
                        !spool_make_folder(v->spool->fd, spool_state_name(v->state));
            tell(v, ".", "the folder is missing", made ? "made" : NULL);
        } else if (fstat(v->spool->state_fd[state], &st) == 0 &&
                   (st.st_mode & (S_IWGRP | S_IWOTH))) {
            bool fixed = v->s->options.repair &&
                         fchmod(v->spool->state_fd[state], KNELL_SPOOL_DIR_MODE) == 0;
            tell(v, ".", "others may write to the folder", fixed ? "closed" : NULL);
        }
    }
}

static void check_unadopted(struct verify *v)
{
    char what[100], done[64];
    unsigned n = unadopted_count(v->spool), taken = 0;
    v->state = SPOOL_LIVE;
    if (!n)
        return;
    int err = v->s->options.repair ? unadopted_take_in(v->spool, &taken) : 0;
    (void)snprintf(what, sizeof what, "%u process%s died, and the report%s not taken in",
        n, n == 1 ? "" : "es", n == 1 ? " is" : "s are");
    (void)snprintf(
        done, sizeof done, "%u report%s in new/", taken, taken == 1 ? "" : "s");
    tell(v, ".", what, taken ? done : NULL);
    if (err)
        session_complain(
            v->s, "%s: not all was taken in: %s", v->spool->path, strerrordesc_np(-err));
}

/* Beside an uploader at work a report on its way looks like one that is lost. */
static int lock_all(const struct session *s, const struct store *t)
{
    for (size_t i = 0; s->options.repair && i < t->n_spools; i++) {
        int err = spool_lock(t->spools[i].spool);
        if (!err)
            continue;
        session_complain(s, "%s is not repaired: %s", t->spools[i].spool->path,
            err == -EBUSY ? "an uploader is at work" : strerrordesc_np(-err));
        return err;
    }
    return 0;
}

/* What needs more than the reports' own files: other processes, and folders to be made.
 */
static void check_around(struct verify *v, const struct store *t)
{
    for (size_t i = 0; i < t->n_spools; i++) {
        v->spool = t->spools[i].spool;
        check_folders(v);
        check_unadopted(v);
    }
}

static int verify_spool(
    struct verify *v, const struct store *t, uint32_t spool, const struct selection *x)
{
    int err = 0;
    v->spool = t->spools[spool].spool;
    for (int state = SPOOL_NEW; state < SPOOL_N_STATES && !err; state++) {
        v->state = (enum spool_state)state;
        if (v->spool->state_fd[state] >= 0)
            err = spool_each(v->spool, v->state, check_name, v);
    }
    check_twice(v, t, spool);
    struct progress bar;
    progress_begin(&bar, "Checking", x->n, session_is_watched(v->s));
    for (size_t i = 0; i < x->n && !err; i++) {
        if (x->reports[i]->spool == spool)
            check_report(v, x->reports[i]);
        progress_at(&bar, i);
    }
    progress_end(&bar);
    if (err)
        session_complain(v->s, "%s is not checked to the end: %s", v->spool->path,
            strerrordesc_np(-err));
    if (v->s->options.repair && v->n_repaired)
        IGNORE(unlinkat(v->spool->fd, SPOOL_INDEX_FILE, 0), "it is made anew");
    return err;
}

static void put_result(struct verify *v)
{
    struct session *s = v->s;
    if (s->options.json == JSON_FORM_PRETTY) {
        json_end_array(&v->j);
        json_uint(&v->j, "good", v->n_good);
        json_uint(&v->j, "found", v->n_bad);
        json_uint(&v->j, "repaired", v->n_repaired);
        json_end_object(&v->j);
    } else if (!s->options.json && !s->options.quiet) {
        (void)fprintf(
            s->out.f, "%zu report%s sound", v->n_good, v->n_good == 1 ? "" : "s");
        if (v->n_bad)
            (void)fprintf(s->out.f, ", %zu finding%s, %zu repaired", v->n_bad,
                v->n_bad == 1 ? "" : "s", v->n_repaired);
        (void)fputs(".\n", s->out.f);
    }
}

int command_verify(struct session *s)
{
    struct store t;
    struct selection x = {0};
    const struct config *config = session_config(s);
    struct verify v = {.s = s, .sends_changed = config && config->send_changed};
    int err = store_open(s, &t);
    if (!err)
        err = become_owner(s, &t);
    if (!err)
        err = lock_all(s, &t);
    if (!err) {
        if (s->options.json == JSON_FORM_PRETTY) {
            v.j = session_json(s);
            json_array(&v.j, "findings");
        }
        check_around(&v, &t);
        shut_in(s, &t);
        err = select_reports(s, &t, -1, true, &x);
        if (err == -ENODATA && !s->options.n_arguments)
            err = 0;
        for (uint32_t i = 0; i < t.n_spools && !err; i++)
            err = verify_spool(&v, &t, i, &x);
        if (!err || s->options.json)
            put_result(&v);
    }
    const bool refused = t.refused != 0;
    selection_done(&x);
    store_close(&t);
    if (err)
        return session_exit_code(err);
    return v.n_bad > v.n_repaired ? EXIT_CORRUPT : refused ? EXIT_UNREADABLE : EXIT_OK;
}
