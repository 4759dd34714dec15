#include "test.h"
#include "uploader/inspect/options.h"
#include "uploader/spool/dir.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static const int64_t NOW = INT64_C(1795212847123);

/* Words of a command line, split at blanks. */
static int parse(const char *line, struct options *o)
{
    static char text[512], *words[32];
    int n = 0;
    (void)snprintf(text, sizeof text, "knell %s", line);
    char *rest = NULL;
    for (char *w = strtok_r(text, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
        words[n++] = w;
    words[n] = NULL;
    return options_parse(n, words, NOW, true, o);
}

static void the_first_word_may_be_a_command(void)
{
    struct options o;
    CHECK_INT(parse("", &o), 0);
    CHECK_INT(o.command, COMMAND_LIST);
    CHECK_INT(o.n_arguments, 0);
    CHECK_INT(parse("exampled", &o), 0);
    CHECK_INT(o.command, COMMAND_LIST);
    CHECK_STR(o.arguments[0], "exampled");
    CHECK_INT(parse("--spool /x show 0190f3c2 --json", &o), 0);
    CHECK_INT(o.command, COMMAND_SHOW);
    CHECK_STR(o.spool, "/x");
    CHECK_STR(o.arguments[0], "0190f3c2");
    CHECK_INT(o.n_arguments, 1);
    CHECK_INT(o.json, JSON_FORM_PRETTY);
    CHECK_INT(parse("show -- show", &o), 0);
    CHECK_STR(o.arguments[0], "show");
}

static void selections(void)
{
    struct options o;
    CHECK_INT(parse("show -1", &o), 0);
    CHECK_INT(o.last, 1);
    CHECK_INT(parse("-n 20 -r --since -2h --until now --signal segv --state new,wait "
                    "--tag a=b --tag c=d --release 2.4.1",
                  &o),
        0);
    CHECK_INT(o.last, 20);
    CHECK(o.reverse && o.has_since && o.has_until);
    CHECK_INT(o.since_ms, NOW - 7200000);
    CHECK_INT(o.until_ms, NOW);
    CHECK_INT(o.signo, SIGSEGV);
    CHECK_INT(o.states, 1u << SPOOL_NEW | 1u << SPOOL_WAIT);
    CHECK_INT(o.n_tags, 2);
    CHECK_STR(o.tags[1], "c=d");
    CHECK_STR(o.release, "2.4.1");
    CHECK_INT(parse("clean --older 14d --max-bytes 64M", &o), 0);
    CHECK_INT(o.older_ms, INT64_C(14) * 86400000);
    CHECK_INT(o.max_bytes, 64 << 20);
    CHECK_INT(parse("--utc --since 2026-11-20", &o), 0);
    CHECK_INT(o.since_ms, INT64_C(1795132800000));
    CHECK_INT(parse("--since 2026-11-20 --utc", &o), 0);
    CHECK_INT(o.since_ms, INT64_C(1795132800000));
}

static void nonsense_is_refused(void)
{
    static const char *const lines[] = {"--nope", "-n x", "-n -5", "--since never",
        "--signal NOPE", "--state limbo", "--state ,", "--tag novalue", "--json=xml",
        "--color=maybe", "list --as-sent", "show --older 3d", "clean --max-bytes 5Q",
        "clean --older soon", "status -1", "list -n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct options o;
        if (!CHECK(parse(lines[i], &o) < 0))
            (void)fprintf(stderr, "    for \"%s\"\n", lines[i]);
    }
}

static void help_and_version(void)
{
    struct options o;
    CHECK_INT(parse("--help", &o), 0);
    CHECK(o.command == COMMAND_HELP && o.help_of == COMMAND_HELP);
    CHECK_INT(parse("show --help", &o), 0);
    CHECK(o.command == COMMAND_HELP && o.help_of == COMMAND_SHOW);
    CHECK_INT(parse("--version", &o), 0);
    CHECK(o.command == COMMAND_HELP && o.version);
}

static void the_table_is_sound(void)
{
    for (size_t i = 0; i < n_option_specs; i++) {
        const struct option_spec *a = &option_specs[i];
        CHECK(a->commands != 0 && a->help && *a->help);
        CHECK(a->name || a->short_form);
        for (size_t k = 0; k < i; k++) {
            const struct option_spec *b = &option_specs[k];
            CHECK(a->id != b->id);
            CHECK(!a->name || !b->name || strcmp(a->name, b->name) != 0);
        }
    }
    for (int i = 0; i < COMMAND_N; i++)
        CHECK_INT(command_parse(command_specs[i].name), i);
    CHECK(option_word("a bc d", "bc") && !option_word("a bc d", "b"));
}

/* Every command's help names each of its options. */
static void help_is_complete(void)
{
    for (int c = 0; c < COMMAND_N; c++) {
        char *text = NULL;
        size_t n;
        FILE *f = open_memstream(&text, &n);
        options_help(f, (enum command_id)c);
        (void)fclose(f);
        for (size_t i = 0; i < n_option_specs && c != COMMAND_HELP; i++) {
            char name[64];
            (void)snprintf(name, sizeof name, "--%s",
                option_specs[i].name ? option_specs[i].name : "");
            bool takes = option_specs[i].commands & OPTION_FOR(c);
            if (option_specs[i].name && takes && !CHECK(strstr(text, name)))
                (void)fprintf(stderr, "    %s %s\n", command_specs[c].name, name);
        }
        free(text);
    }
}

TEST_MAIN(TEST(the_first_word_may_be_a_command), TEST(selections),
    TEST(nonsense_is_refused), TEST(help_and_version), TEST(the_table_is_sound),
    TEST(help_is_complete))
