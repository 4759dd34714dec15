#include "uploader/inspect/json.h"
#include "uploader/inspect/options.h"

#include <knell/knell.h>
#include <stdio.h>
#include <string.h>

enum { HELP_COLUMN = 26 };

static void put_option(FILE *f, const struct option_spec *spec)
{
    char left[64];
    int n = 0;
    if (spec->short_form)
        n = snprintf(
            left, sizeof left, "  -%c%s", spec->short_form, spec->name ? ", " : "");
    else
        n = snprintf(left, sizeof left, "      ");
    size_t at = n > 0 ? (size_t)n : 0;
    if (spec->name)
        n = snprintf(left + at, sizeof left - at, "--%s", spec->name);
    at += spec->name && n > 0 ? (size_t)n : 0;
    if (spec->argument && spec->argument[0] == '[')
        (void)snprintf(left + at, sizeof left - at, "[=%s", spec->argument + 1);
    else if (spec->argument)
        (void)snprintf(left + at, sizeof left - at, " %s", spec->argument);
    (void)fprintf(f, "%-*s %s\n", HELP_COLUMN, left, spec->help);
}

static bool is_common(const struct option_spec *spec)
{
    return spec->commands == UINT32_MAX;
}

static void put_options(FILE *f, enum command_id command)
{
    (void)fputs("\nOptions:\n", f);
    for (size_t i = 0; i < n_option_specs; i++)
        if (!is_common(&option_specs[i]) &&
            (command == COMMAND_HELP || option_specs[i].commands & OPTION_FOR(command)))
            put_option(f, &option_specs[i]);
    if (command != COMMAND_HELP)
        (void)fputs("\nOptions of every command:\n", f);
    for (size_t i = 0; i < n_option_specs; i++)
        if (is_common(&option_specs[i]))
            put_option(f, &option_specs[i]);
}

static const char match_text[] =
    "\nA MATCH is the start of a report's id (4 hex digits or more), a PID, an\n"
    "application's name, an executable's path, or KEY=VALUE with KEY one of id, pid,\n"
    "app, exe, release, env, dist, server, signal, code, state, sig, function, file,\n"
    "module, thread, kind or tag.NAME. Several must all match; several ids or PIDs\n"
    "select each.\n";

void options_help(FILE *f, enum command_id command)
{
    if (command != COMMAND_HELP) {
        const struct command_spec *c = &command_specs[command];
        (void)fprintf(f, "Usage: knell %s [OPTION...] %s\n\n%s\n", c->name, c->arguments,
            c->summary);
        if (strstr(c->arguments, "MATCH"))
            (void)fputs(match_text, f);
        put_options(f, command);
        return;
    }
    (void)fputs("Usage: knell [OPTION...] [COMMAND] [MATCH...]\n\n"
                "Look at crash reports and take care of them.\n\nCommands:\n",
        f);
    for (int i = 0; i < COMMAND_N; i++)
        (void)fprintf(f, "  %-12s%s\n", command_specs[i].name, command_specs[i].summary);
    (void)fputs(match_text, f);
    (void)fputs("\n`knell help COMMAND` lists a command's options.\n"
                "\nExit status: 0 done, 1 failed, 2 usage or ambiguous, 3 no match,\n"
                "4 spool unreadable, 5 corruption found, 6 reports remain for later,\n"
                "7 rejected for good, 8 another uploader is at work, 9 disabled.\n",
        f);
}

static void option_json(struct json *j, const struct option_spec *o)
{
    char letter[2] = {o->short_form, 0};
    json_object(j, NULL);
    json_text(j, "name", o->name);
    json_text(j, "letter", o->short_form ? letter : NULL);
    json_text(j, "argument", o->argument);
    json_text(j, "help", o->help);
    json_end_object(j);
}

void options_json(struct json *j, enum command_id command)
{
    json_array(j, "commands");
    for (int i = 0; i < COMMAND_N; i++) {
        if (command != COMMAND_HELP && (int)command != i)
            continue;
        json_object(j, NULL);
        json_text(j, "name", command_specs[i].name);
        json_text(j, "arguments", command_specs[i].arguments);
        json_text(j, "summary", command_specs[i].summary);
        json_array(j, "options");
        for (size_t k = 0; k < n_option_specs; k++)
            if (option_specs[k].commands & OPTION_FOR(i))
                option_json(j, &option_specs[k]);
        json_end_array(j);
        json_end_object(j);
    }
    json_end_array(j);
}
