/* upload: hand over to knell-upload, which alone sends. */
#include "uploader/inspect/commands.h"
#include "uploader/inspect/programs.h"
#include "uploader/inspect/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* Returns its exit code, or EXIT_FAILED. */
static int run_one(struct session *s, const char *spool, const char *id)
{
    const char *argv[12];
    size_t n = 0;
    argv[n++] = "knell-upload";
    argv[n++] = "--spool";
    argv[n++] = spool;
    if (s->options.config) {
        argv[n++] = "--config";
        argv[n++] = s->options.config;
    }
    if (s->options.quiet || s->options.json)
        argv[n++] = "--quiet";
    else
        argv[n++] = "--verbose";
    argv[n++] = "--all";
    if (id) {
        argv[n++] = "--id";
        argv[n++] = id;
    }
    argv[n] = NULL;
    int status;
    int err = programs_run("knell-upload", argv, &status);
    if (err) {
        session_complain(s, "cannot start knell-upload: %s", strerrordesc_np(-err));
        return EXIT_FAILED;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED;
}

static void put_json(
    struct session *s, struct json *j, const char *path, bool sound, int code)
{
    struct store t = {0};
    struct session one = *s;
    one.options.spool = path;
    one.options.all = false;
    size_t n[SPOOL_N_STATES] = {0};
    if (sound)
        IGNORE(store_open(&one, &t), "the exit code says it");
    for (size_t i = 0; i < t.n_reports; i++)
        n[t.reports[i].state]++;
    store_close(&t);
    json_object(j, NULL);
    json_text(j, "spool", path);
    json_int(j, "exit_code", code);
    for (int i = SPOOL_NEW; i < SPOOL_N_STATES; i++)
        json_uint(j, spool_state_name((enum spool_state)i), n[i]);
    json_end_object(j);
}

static int begins_so(void *ctx, const char *file, const struct spool_name *name)
{
    const char *start = ctx;
    struct spool_live_name live;
    char id[33];
    if (!name && spool_live_name_parse(file, &live))
        return 0;
    spool_event_id_format(name ? name->event_id : live.event_id, id);
    return strncmp(id, start, strlen(start)) == 0;
}

/* Also one that a dead process left in live/, which the uploader adopts. */
static bool has_report(const struct spool *spool, const char *start)
{
    int found = 0;
    for (int state = SPOOL_LIVE; state < SPOOL_N_STATES && !found && *start; state++)
        found = spool_each(
            spool, (enum spool_state)state, begins_so, (void *)(uintptr_t)start);
    return found != 0; /* of a folder that cannot be read the uploader says so */
}

/* knell-upload makes a spool where there is none; who names one here means one that is.
 *
 * @known  by argument: set for those that this spool has
 */
static int run_spool(struct session *s, const char *path, bool *known, bool *ret_sound)
{
    struct spool *spool = NULL;
    int err = spool_open(path, false, &spool), code = EXIT_OK;
    *ret_sound = !err;
    if (err) {
        store_complain(s, path, err);
        return EXIT_UNREADABLE;
    }
    if (!s->options.n_arguments)
        code = run_one(s, path, NULL);
    for (int i = 0; i < s->options.n_arguments; i++) {
        const char *id = s->options.arguments[i];
        if (!has_report(spool, id))
            continue;
        known[i] = true;
        int one = run_one(s, path, id);
        code = one > code ? one : code;
    }
    spool_close(spool);
    return code;
}

int command_upload(struct session *s)
{
    char **paths;
    int n = store_paths(&s->options, &paths), worst = EXIT_OK;
    if (n <= 0) {
        session_complain(s, "no spool found; name one with --spool or $KNELL_SPOOL");
        return EXIT_UNREADABLE;
    }
    CLEANUP(free_p)
    bool *known = calloc((size_t)s->options.n_arguments + 1, sizeof *known);
    if (!known) {
        store_paths_free(paths, n);
        return EXIT_FAILED;
    }
    struct json j = {0};
    if (s->options.json) {
        j = session_json(s);
        json_array(&j, "spools");
    }
    (void)fflush(s->out.f);
    for (int i = 0; i < n; i++) {
        bool sound;
        int code = run_spool(s, paths[i], known, &sound);
        worst = code > worst ? code : worst;
        if (s->options.json)
            put_json(s, &j, paths[i], sound, code);
    }
    if (s->options.json) {
        json_end_array(&j);
        json_end_object(&j);
    }
    for (int i = 0; i < s->options.n_arguments; i++) {
        if (known[i])
            continue;
        session_complain(s, "no report's id begins so: %s", s->options.arguments[i]);
        worst = worst < EXIT_NO_MATCH ? EXIT_NO_MATCH : worst;
    }
    store_paths_free(paths, n);
    return worst;
}
