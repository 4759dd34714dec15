/**
 * knell-symbolize's commands and what they share.
 */
#pragma once
#include "symbolize/debug_file.h"

#include <knell/symbolize.h>
#include <stdbool.h>

enum { COMMAND_MAX_DIRS = 16 };

enum command_exit {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_CORRUPT = 5,
};

struct settings {
    const char *file;
    bool functions, inlines, addresses, plain_names, short_names, status;
    const char *debug_dirs[COMMAND_MAX_DIRS + 1];
    unsigned n_debug_dirs;
    uint8_t build_id[ELF_FILE_MAX_BUILD_ID];
    size_t n_build_id; /* 0: not given */
    struct knell_symbolize_options options;
};

/* Read options; the rest begins at optind. 0, 1 for help, or -EINVAL, having said why. */
int settings_parse(int argc, char **argv, struct settings *s) MUST_CHECK;
/* Where files are looked for; borrows from @s. */
struct debug_places settings_places(const struct settings *s);

/* Each returns an exit code; @argv[0] is the command's name. */
int command_look_up(int argc, char **argv);
int command_build(int argc, char **argv);
int command_info(int argc, char **argv);
int command_verify(int argc, char **argv);
int command_gc(int argc, char **argv);
