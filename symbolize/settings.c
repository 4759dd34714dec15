#include "symbolize/commands.h"

#include <errno.h>
#include <getopt.h>
#include <knell/knell.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPT_DEBUG_DIR = 256,
    OPT_STORE,
    OPT_SYSROOT,
    OPT_CACHE,
    OPT_CACHE_MAX,
    OPT_MEMORY,
    OPT_DEADLINE,
    OPT_DEPTH,
    OPT_CONTEXT,
    OPT_STATUS,
    OPT_BUILD_ID,
};

static const struct option options[] = {
    {"debug-dir", required_argument, NULL, OPT_DEBUG_DIR},
    {"store", required_argument, NULL, OPT_STORE},
    {"sysroot", required_argument, NULL, OPT_SYSROOT},
    {"cache", required_argument, NULL, OPT_CACHE},
    {"cache-max", required_argument, NULL, OPT_CACHE_MAX},
    {"max-memory", required_argument, NULL, OPT_MEMORY},
    {"deadline", required_argument, NULL, OPT_DEADLINE},
    {"max-depth", required_argument, NULL, OPT_DEPTH},
    {"context", required_argument, NULL, OPT_CONTEXT},
    {"status", no_argument, NULL, OPT_STATUS},
    {"build-id", required_argument, NULL, OPT_BUILD_ID},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {0},
};

static void settings_usage(void)
{
    (void)fputs(
        "usage: knell-symbolize [OPTION...] FILE [ADDRESS...]\n"
        "       knell-symbolize [OPTION...] -e FILE [ADDRESS...]\n"
        "       knell-symbolize build --cache DIR FILE...\n"
        "       knell-symbolize info|verify CACHE-FILE...\n"
        "       knell-symbolize gc --cache DIR [--cache-max BYTES]\n"
        "\n"
        "Function, file, line and inlined callers of addresses (hexadecimal) of an ELF\n"
        "file. Without ADDRESS they are read from standard input. With FILE in first\n"
        "place -f, -i and -C are on; with -e they are off, as in addr2line.\n"
        "\n"
        "  -e FILE            the file            -f   function names\n"
        "  -i                 callers that it was inlined into\n"
        "  -a                 print the address   -C   demangle\n"
        "  -s                 file names without folders\n"
        "  --status           say why an answer is what it is\n"
        "  --context N        N source lines before and after\n"
        "  --debug-dir DIR    look for debug files here (may be repeated)\n"
        "  --store DIR        DIR/BUILD-ID/debuginfo and executable\n"
        "  --sysroot DIR      put before paths\n"
        "  --build-id HEX     take the file only when this is its build-id\n"
        "  --cache DIR        symbol cache        --cache-max BYTES\n"
        "  --max-memory BYTES --deadline MS       --max-depth N\n"
        "\n"
        "Exit: 0 answered, 1 failed, 2 usage, 5 verify found a damaged cache file.\n",
        stdout);
}

static int number(const char *text, uint64_t max, uint64_t *ret)
{
    char *end;
    errno = 0;
    uint64_t v = strtoull(text, &end, 10);
    if (errno || end == text || *end || v > max || *text == '-') {
        (void)fprintf(stderr, "knell-symbolize: not a number that fits: %s\n", text);
        return -EINVAL;
    }
    *ret = v;
    return 0;
}

static int number_32(const char *text, uint32_t *ret)
{
    uint64_t v;
    int err = number(text, UINT32_MAX, &v);
    if (err == 0)
        *ret = (uint32_t)v;
    return err;
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

static int take_build_id(struct settings *s, const char *text)
{
    size_t n = strlen(text);
    bool good = n && n % 2 == 0 && n / 2 <= sizeof s->build_id;
    for (size_t i = 0; good && i < n / 2; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        good = high >= 0 && low >= 0;
        s->build_id[i] = (uint8_t)(good ? high << 4 | low : 0);
    }
    if (!good) {
        (void)fprintf(stderr, "knell-symbolize: not a build-id: %s\n", text);
        return -EINVAL;
    }
    s->n_build_id = n / 2;
    return 0;
}

static int take_place(struct settings *s, int c)
{
    struct knell_symbolize_options *o = &s->options;
    switch (c) {
    case OPT_DEBUG_DIR:
        if (s->n_debug_dirs == COMMAND_MAX_DIRS)
            return -EINVAL;
        s->debug_dirs[s->n_debug_dirs++] = optarg;
        o->debug_dirs = s->debug_dirs;
        return 0;
    case OPT_STORE:
        o->store_dir = optarg;
        return 0;
    case OPT_SYSROOT:
        o->sysroot = optarg;
        return 0;
    case OPT_CACHE:
        o->cache_dir = optarg;
        return 0;
    case OPT_CACHE_MAX:
        return number(optarg, UINT64_MAX, &o->cache_max_bytes);
    case OPT_MEMORY:
        return number(optarg, UINT64_MAX, &o->max_memory_bytes);
    case OPT_DEADLINE:
        return number_32(optarg, &o->deadline_ms);
    case OPT_DEPTH:
        return number_32(optarg, &o->max_inline_depth);
    case OPT_CONTEXT:
        return number_32(optarg, &o->context_lines);
    case OPT_BUILD_ID:
        return take_build_id(s, optarg);
    default:
        return -EINVAL;
    }
}

static int take(struct settings *s, int c)
{
    switch (c) {
    case 'e':
        s->file = optarg;
        return 0;
    case 'f':
        s->functions = true;
        return 0;
    case 'i':
        s->inlines = true;
        return 0;
    case 'a':
        s->addresses = true;
        return 0;
    case 'C':
        s->plain_names = true;
        return 0;
    case 's':
        s->short_names = true;
        return 0;
    case OPT_STATUS:
        s->status = true;
        return 0;
    default:
        return take_place(s, c);
    }
}

struct debug_places settings_places(const struct settings *s)
{
    static const char *const usual[] = {"/usr/lib/debug", NULL};
    const struct knell_symbolize_options *o = &s->options;
    return (struct debug_places){.debug_dirs = o->debug_dirs ? o->debug_dirs : usual,
        .store_dir = o->store_dir,
        .sysroot = o->sysroot};
}

int settings_parse(int argc, char **argv, struct settings *s)
{
    s->options.size = sizeof s->options;
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, "+e:fiaCsh", options, NULL)) != -1;) {
        if (c == 'h') {
            settings_usage();
            return 1;
        }
        if (c == 'V') {
            (void)puts("knell-symbolize " KNELL_VERSION);
            return 1;
        }
        if (take(s, c) < 0) {
            (void)fputs("knell-symbolize: see --help\n", stderr);
            return -EINVAL;
        }
    }
    return 0;
}
