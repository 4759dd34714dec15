/* upload: hand over to knell-upload, which alone sends. */
#include "uploader/inspect/commands.h"
#include "uploader/inspect/programs.h"
#include "uploader/inspect/store.h"

#include <errno.h>
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

/* knell-upload makes a spool where there is none; who names one here means one that is.
 */
static int check_spool(const struct session *s, const char *path)
{
    struct spool *spool = NULL;
    int err = spool_open(path, false, &spool);
    spool_close(spool);
    if (err)
        store_complain(s, path, err);
    return err;
}

int command_upload(struct session *s)
{
    char **paths;
    int n = store_paths(&s->options, &paths), worst = EXIT_OK;
    if (n <= 0) {
        session_complain(s, "no spool found; name one with --spool or $KNELL_SPOOL");
        return EXIT_UNREADABLE;
    }
    struct json j = {0};
    if (s->options.json) {
        j = session_json(s);
        json_array(&j, "spools");
    }
    (void)fflush(s->out.f);
    for (int i = 0; i < n; i++) {
        int code = check_spool(s, paths[i]) ? EXIT_UNREADABLE : EXIT_OK;
        bool sound = !code;
        if (sound && !s->options.n_arguments)
            code = run_one(s, paths[i], NULL);
        for (int k = 0; sound && k < s->options.n_arguments; k++) {
            int one = run_one(s, paths[i], s->options.arguments[k]);
            code = one > code ? one : code;
        }
        worst = code > worst ? code : worst;
        if (s->options.json)
            put_json(s, &j, paths[i], sound, code);
    }
    if (s->options.json) {
        json_end_array(&j);
        json_end_object(&j);
    }
    store_paths_free(paths, n);
    return worst;
}
