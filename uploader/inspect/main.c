/** knell: look at crash reports and take care of them. See knell(1). */
#include "uploader/inspect/cmd_test.h"
#include "uploader/inspect/commands.h"

#include <knell/knell.h>
#include <string.h>
#include <time.h>

static int help(struct session *s)
{
    enum command_id of = s->options.help_of;
    if (s->options.version && s->options.json) {
        struct json j = session_json(s);
        json_text(&j, "version", KNELL_VERSION);
        json_end_object(&j);
        return EXIT_OK;
    }
    if (s->options.version) {
        (void)fputs("knell " KNELL_VERSION "\n", s->out.f);
        return EXIT_OK;
    }
    if (s->options.n_arguments) {
        int command = command_parse(s->options.arguments[0]);
        if (command < 0) {
            session_complain(s, "no such command: %s", s->options.arguments[0]);
            return EXIT_USAGE;
        }
        of = (enum command_id)command;
    }
    if (s->options.json) {
        struct json j = session_json(s);
        options_json(&j, of);
        json_end_object(&j);
        return EXIT_OK;
    }
    out_page(&s->out);
    options_help(s->out.f, of);
    return EXIT_OK;
}

static int run(struct session *s)
{
    static int (*const commands[COMMAND_N])(struct session *) = {
        [COMMAND_LIST] = command_list,
        [COMMAND_SHOW] = command_show,
        [COMMAND_STACK] = command_show,
        [COMMAND_THREADS] = command_show,
        [COMMAND_CRUMBS] = command_show,
        [COMMAND_TOP] = command_top,
        [COMMAND_DUMP] = command_dump,
        [COMMAND_STATUS] = command_status,
        [COMMAND_LOG] = command_log,
        [COMMAND_UPLOAD] = command_upload,
        [COMMAND_RETRY] = command_move,
        [COMMAND_HOLD] = command_move,
        [COMMAND_RELEASE] = command_move,
        [COMMAND_RM] = command_move,
        [COMMAND_CLEAN] = command_clean,
        [COMMAND_CONSENT] = command_consent,
        [COMMAND_CONFIG] = command_config,
        [COMMAND_TEST] = command_test,
        [COMMAND_WATCH] = command_watch,
        [COMMAND_EXPORT] = command_export,
        [COMMAND_IMPORT] = command_import,
        [COMMAND_VERIFY] = command_verify,
        [COMMAND_DEBUG] = command_debug,
        [COMMAND_COMPLETION] = command_completion,
        [COMMAND_REPORT] = command_report,
        [COMMAND_HELP] = help,
    };
    return commands[s->options.command](s);
}

int main(int argc, char **argv)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    struct options o;
    if (options_parse(argc, argv, now_ms, false, &o))
        return EXIT_USAGE;
    struct session s;
    session_init(&s, &o, now_ms);
    int code = run(&s);
    int failed = session_done(&s);
    return code ? code : failed;
}
