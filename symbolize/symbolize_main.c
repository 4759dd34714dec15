/* knell-symbolize: addresses of an ELF file as functions, files and lines; the symbol
 * cache. */
#include "symbolize/commands.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } commands[] = {
        {"build", command_build},
        {"info", command_info},
        {"verify", command_verify},
        {"gc", command_gc},
    };
    int code = -1;
    (void)signal(SIGXFSZ, SIG_IGN); /* a cache without room is no reason to die */
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++) {
        if (!strcmp(argv[1], commands[i].name))
            code = commands[i].run(argc - 1, argv + 1);
    }
    if (code < 0)
        code = command_look_up(argc, argv);
    if (fflush(stdout) != 0 && code == EXIT_OK)
        code = EXIT_FAILED;
    return code;
}
