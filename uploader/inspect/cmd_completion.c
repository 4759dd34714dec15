/* completion: scripts for the shells, from the one table of options. */
#include "uploader/inspect/commands.h"

#include <string.h>

static void put_commands(FILE *f, const char *between)
{
    for (int i = 0; i < COMMAND_N; i++)
        (void)fprintf(f, "%s%s", i ? between : "", command_specs[i].name);
}

static bool wants_value(const struct option_spec *o)
{
    return o->argument && o->argument[0] != '[';
}

static bool wants_path(const struct option_spec *o)
{
    return o->argument &&
           (strcmp(o->argument, "DIR") == 0 || strcmp(o->argument, "FILE") == 0 ||
               strcmp(o->argument, "PATH") == 0);
}

/* Values that are words, of arguments of commands. */
static const struct {
    enum command_id command;
    const char *words;
} argument_words[] = {
    {COMMAND_CONSENT, "yes no ask revoke"},
    {COMMAND_CONFIG, "show check"},
    {COMMAND_COMPLETION, "bash zsh fish"},
};

static void bash(FILE *f)
{
    (void)fputs(
        "# Completion of knell for bash. Made by `knell completion bash`.\n"
        "_knell_ids() { knell --quiet -F event_id 2>/dev/null | cut -c1-8; }\n"
        "_knell() {\n"
        "    local current=${COMP_WORDS[COMP_CWORD]} last=${COMP_WORDS[COMP_CWORD-1]}\n"
        "    local command=list word options\n"
        "    # --state=new is three words to bash.\n"
        "    [ \"$last\" = = ] && last=${COMP_WORDS[COMP_CWORD-2]}\n"
        "    [ \"$current\" = = ] && current=\n"
        "    COMPREPLY=()\n"
        "    for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
        "        case $word in\n        ",
        f);
    put_commands(f, "|");
    (void)fputs(
        ") command=$word; break ;;\n        esac\n    done\n    case $last in\n", f);
    for (size_t i = 0; i < n_option_specs; i++) {
        const struct option_spec *o = &option_specs[i];
        if (!wants_value(o))
            continue;
        if (o->name)
            (void)fprintf(f, "    --%s", o->name);
        if (o->short_form)
            (void)fprintf(f, "%s-%c", o->name ? "|" : "    ", o->short_form);
        if (o->words)
            (void)fprintf(f,
                ") COMPREPLY=($(compgen -W '%s' -- \"$current\")); return ;;\n",
                o->words);
        else if (wants_path(o))
            (void)fputs(") COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n", f);
        else
            (void)fputs(") return ;;\n", f);
    }
    (void)fputs("    esac\n    case $command in\n", f);
    for (int c = 0; c < COMMAND_N; c++) {
        (void)fprintf(f, "    %s) options='", command_specs[c].name);
        for (size_t i = 0; i < n_option_specs; i++)
            if (option_specs[i].name && option_specs[i].commands & OPTION_FOR(c))
                (void)fprintf(f, "--%s ", option_specs[i].name);
        (void)fputs("' ;;\n", f);
    }
    (void)fputs(
        "    esac\n    case $current in\n"
        "    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$current\")); return ;;\n"
        "    esac\n    case $command in\n",
        f);
    for (size_t i = 0; i < sizeof argument_words / sizeof *argument_words; i++)
        (void)fprintf(f, "    %s) COMPREPLY=($(compgen -W '%s' -- \"$current\")) ;;\n",
            command_specs[argument_words[i].command].name, argument_words[i].words);
    (void)fputs("    help) "
                "COMPREPLY=($(compgen -W '",
        f);
    put_commands(f, " ");
    (void)fputs("' -- \"$current\")) ;;\n"
                "    *) COMPREPLY=($(compgen -W \"$([ \"$command\" = list ] && echo '",
        f);
    put_commands(f, " ");
    (void)fputs("') $(_knell_ids)\" -- \"$current\")) ;;\n    esac\n}\n"
                "complete -F _knell knell\n",
        f);
}

/* Inside '...' of zsh's _arguments: quotes and brackets would end it. */
static void zsh_text(FILE *f, const char *s)
{
    for (; *s; s++) {
        if (*s == '\'')
            (void)fputs("'\\''", f);
        else if (strchr("[]:\\", *s))
            (void)fprintf(f, "\\%c", *s);
        else
            (void)fputc(*s, f);
    }
}

static void zsh_option(FILE *f, const struct option_spec *o)
{
    char names[2][64] = {"", ""};
    if (o->short_form)
        (void)snprintf(names[0], sizeof names[0], "-%c", o->short_form);
    if (o->name)
        (void)snprintf(names[1], sizeof names[1], "--%s%s", o->name,
            o->argument ? (o->argument[0] == '[' ? "=-" : "=") : "");
    for (int i = 0; i < 2; i++) {
        if (!names[i][0])
            continue;
        (void)fprintf(f, "            '%s%s[",
            strcmp(o->name ? o->name : "", "tag") == 0 ? "*" : "", names[i]);
        zsh_text(f, o->help);
        (void)fputs("]", f);
        if (o->argument) {
            (void)fprintf(f, "%s", o->argument[0] == '[' ? "::" : ":");
            zsh_text(f, o->name ? o->name : "value");
            if (o->words)
                (void)fprintf(f, ":(%s)", o->words);
            else
                (void)fputs(wants_path(o) ? ":_files" : ":", f);
        }
        (void)fputs("' \\\n", f);
    }
}

static void zsh(FILE *f)
{
    (void)fputs(
        "#compdef knell\n# Made by `knell completion zsh`.\n"
        "_knell_matches() {\n"
        "    local -a ids\n"
        "    ids=(${(f)\"$(knell --quiet -F event_id 2>/dev/null | cut -c1-8)\"})\n"
        "    _describe 'report' ids\n}\n"
        "_knell_commands() {\n    local -a commands\n    commands=(\n",
        f);
    for (int i = 0; i < COMMAND_N; i++) {
        (void)fprintf(f, "        '%s:", command_specs[i].name);
        zsh_text(f, command_specs[i].summary);
        (void)fputs("'\n", f);
    }
    (void)fputs(
        "    )\n    _describe 'command' commands\n}\n"
        "_knell() {\n    local command=list word\n"
        "    for word in ${words[2,CURRENT-1]}; do\n        case $word in\n        (",
        f);
    put_commands(f, "|");
    (void)fputs(
        ") command=$word; break ;;\n        esac\n    done\n    case $command in\n", f);
    for (int c = 0; c < COMMAND_N; c++) {
        (void)fprintf(f, "    (%s)\n        _arguments -s \\\n", command_specs[c].name);
        for (size_t i = 0; i < n_option_specs; i++)
            if (option_specs[i].commands & OPTION_FOR(c))
                zsh_option(f, &option_specs[i]);
        if (c == COMMAND_LIST)
            (void)fputs("            '1: :_knell_commands' '*: :_knell_matches' ;;\n", f);
        else if (c == COMMAND_HELP)
            (void)fputs(
                "            '1: :_knell_commands' '2: :_knell_commands' ;;\n", f);
        else {
            const char *words = NULL;
            for (size_t i = 0; i < sizeof argument_words / sizeof *argument_words; i++)
                if (argument_words[i].command == (enum command_id)c)
                    words = argument_words[i].words;
            if (words)
                (void)fprintf(
                    f, "            '1: :_knell_commands' '2:word:(%s)' ;;\n", words);
            else
                (void)fputs(
                    "            '1: :_knell_commands' '*: :_knell_matches' ;;\n", f);
        }
    }
    (void)fputs("    esac\n}\n_knell \"$@\"\n", f);
}

static void fish_text(FILE *f, const char *s)
{
    (void)fputc('\'', f);
    for (; *s; s++) {
        if (*s == '\'' || *s == '\\')
            (void)fputc('\\', f);
        (void)fputc(*s, f);
    }
    (void)fputc('\'', f);
}

static void fish_condition(FILE *f, const struct option_spec *o)
{
    if (o->commands == UINT32_MAX)
        return;
    (void)fputs(" -n '", f);
    /* Without a command it is list. */
    (void)fputs(o->commands & OPTION_FOR(COMMAND_LIST) ? "not __fish_seen_subcommand_from"
                                                       : "__fish_seen_subcommand_from",
        f);
    for (int c = 0; c < COMMAND_N; c++) {
        bool takes = o->commands & OPTION_FOR(c);
        if (takes != (bool)(o->commands & OPTION_FOR(COMMAND_LIST)))
            (void)fprintf(f, " %s", command_specs[c].name);
    }
    (void)fputs("'", f);
}

static void fish(FILE *f)
{
    (void)fputs("# Completion of knell for fish. Made by `knell completion fish`.\n"
                "complete -c knell -f\n",
        f);
    for (int i = 0; i < COMMAND_N; i++) {
        (void)fprintf(f, "complete -c knell -n __fish_use_subcommand -a %s -d ",
            command_specs[i].name);
        fish_text(f, command_specs[i].summary);
        (void)fputs("\n", f);
    }
    (void)fputs("complete -c knell -n 'not __fish_use_subcommand; and not "
                "__fish_seen_subcommand_from consent config completion help' -a "
                "'(knell --quiet -F event_id 2>/dev/null | string sub -l 8)'\n",
        f);
    for (size_t i = 0; i < sizeof argument_words / sizeof *argument_words; i++)
        (void)fprintf(f,
            "complete -c knell -n '__fish_seen_subcommand_from %s' -a '%s'\n",
            command_specs[argument_words[i].command].name, argument_words[i].words);
    for (size_t i = 0; i < n_option_specs; i++) {
        const struct option_spec *o = &option_specs[i];
        (void)fputs("complete -c knell", f);
        fish_condition(f, o);
        if (o->short_form)
            (void)fprintf(f, " -s %c", o->short_form);
        if (o->name)
            (void)fprintf(f, " -l %s", o->name);
        if (wants_value(o))
            (void)fputs(wants_path(o) ? " -r -F" : " -x", f);
        if (o->words)
            (void)fprintf(f, " -a '%s'", o->words);
        (void)fputs(" -d ", f);
        fish_text(f, o->help);
        (void)fputs("\n", f);
    }
}

static int put_json(struct session *s, const char *shell, void (*make)(FILE *))
{
    CLEANUP(free_p) char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    if (!f)
        return EXIT_FAILED;
    make(f);
    if (fclose(f))
        return EXIT_FAILED;
    struct json j = session_json(s);
    json_text(&j, "shell", shell);
    json_text_n(&j, "script", text, n);
    json_end_object(&j);
    return EXIT_OK;
}

int command_completion(struct session *s)
{
    static const struct {
        const char *name;
        void (*make)(FILE *f);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    const char *shell = s->options.n_arguments == 1 ? s->options.arguments[0] : "";
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
        if (strcmp(shell, shells[i].name) != 0)
            continue;
        if (s->options.json)
            return put_json(s, shell, shells[i].make);
        shells[i].make(s->out.f);
        return EXIT_OK;
    }
    session_complain(s, "completion is for bash, zsh or fish");
    return EXIT_USAGE;
}
