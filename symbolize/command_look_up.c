#include "symbolize/budget.h"
#include "symbolize/cache.h"
#include "symbolize/commands.h"
#include "symbolize/elf_file.h"
#include "symbolize/module.h"
#include "symbolize/output.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct addresses {
    struct knell_symbol_query *q;
    size_t n, max;
};

static int add_address(struct addresses *a, const char *text)
{
    char *end;
    errno = 0;
    uint64_t pc = strtoull(text, &end, 16);
    if (errno || end == text || *end) {
        (void)fprintf(stderr, "knell-symbolize: not an address: %s\n", text);
        return -EINVAL;
    }
    if (a->n == a->max) {
        size_t max = a->max ? 2 * a->max : 256;
        struct knell_symbol_query *more = realloc(a->q, max * sizeof *more);
        if (!more)
            return -ENOMEM;
        a->q = more;
        a->max = max;
    }
    a->q[a->n++] = (struct knell_symbol_query){.pc = pc, .kind = KNELL_FRAME_EXACT};
    return 0;
}

static int read_addresses(struct addresses *a)
{
    char line[256];
    int err = 0;
    while (err == 0 && fgets_unlocked(line, sizeof line, stdin)) {
        line[strcspn(line, " \t\r\n")] = 0;
        if (*line)
            err = add_address(a, line);
    }
    return err;
}

static void print_place(
    struct output *o, const struct settings *s, const struct knell_symbol_frame *f)
{
    const char *file = f && f->file ? f->file : NULL;
    const char *slash = file && s->short_names ? strrchr(file, '/') : NULL;
    if (file && !s->short_names && f->directory && *file != '/') {
        output_text(o, f->directory);
        output_text(o, "/");
    }
    output_text(o, slash ? slash + 1 : file ? file : "??");
    output_text(o, ":");
    if (f && f->line)
        output_decimal(o, f->line);
    else
        output_text(o, file ? "?" : "0");
    output_text(o, "\n");
}

static void print_context(struct output *o, const struct knell_symbol_frame *f)
{
    for (uint32_t i = 0; f && i < f->n_context; i++) {
        char number[16];
        (void)snprintf(number, sizeof number, "%6" PRIu32 "%c ",
            f->line - f->n_before + i, i == f->n_before ? '>' : ':');
        output_text(o, number);
        output_text(o, f->context[i]);
        output_text(o, "\n");
    }
}

static void print_result(struct output *o, const struct settings *s, uint64_t pc,
    const struct knell_symbol_result *r)
{
    if (s->addresses) {
        output_address(o, pc);
        output_text(o, "\n");
    }
    if (s->status) {
        output_text(o, "status ");
        output_text(o, knell_symbol_status_name(r->status));
        output_text(o, r->debug_path ? " " : "");
        output_text(o, r->debug_path ? r->debug_path : "");
        output_text(o, "\n");
    }
    for (uint32_t i = 0; i == 0 || (s->inlines && i < r->n_frames); i++) {
        const struct knell_symbol_frame *f = i < r->n_frames ? &r->frames[i] : NULL;
        const char *name = f ? s->plain_names ? f->function : f->symbol : NULL;
        if (s->functions) {
            output_text(o, name ? name : "??");
            output_text(o, "\n");
        }
        print_place(o, s, f);
        print_context(o, f);
    }
}

static const char *why(int err)
{
    return err == -EBADMSG ? "not a sound ELF file" : strerror(-err);
}

/* Where the module with this build-id begins: what lies at its path may be another. */
static uint64_t first_vaddr_of(
    const struct settings *s, const struct knell_symbol_module *from)
{
    struct debug_places places = settings_places(s);
    struct budget budget = {0};
    struct module m;
    struct cache *c;
    uint64_t v = 0;
    if (s->options.cache_dir &&
        cache_open(s->options.cache_dir, from->build_id, from->n_build_id, &c) == 0) {
        v = c->head.first_vaddr;
        cache_free(c);
    } else if (module_open(from, &places, &budget, &m) == 0) {
        v = m.first_vaddr;
        module_done(&m);
    }
    return v;
}

/* The file as a module that was mapped where it says; @f owns the build-id. When the
 * build-id is given, the file itself may be missing. */
static int describe(
    const struct settings *s, struct elf_file *f, struct knell_symbol_module *m)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s%s",
        s->options.sysroot && *s->file == '/' ? s->options.sysroot : "", s->file);
    int err = n > 0 && n < (int)sizeof path ? elf_file_open(path, f) : -ENAMETOOLONG;
    if (err < 0 && !s->n_build_id) {
        (void)fprintf(stderr, "knell-symbolize: %s: %s\n", s->file, why(err));
        return err;
    }
    if (s->n_build_id) {
        memcpy(f->build_id, s->build_id, s->n_build_id);
        f->n_build_id = s->n_build_id;
    }
    /* Folders of debug files are named after the whole path. */
    char *whole = s->options.sysroot ? NULL : realpath(s->file, NULL);
    if (whole) {
        free(f->path);
        f->path = whole;
    }
    *m = (struct knell_symbol_module){.path = whole ? whole : s->file,
        .build_id = f->n_build_id ? f->build_id : NULL,
        .n_build_id = f->n_build_id,
        .base = f->first_vaddr};
    if (s->n_build_id)
        m->base = first_vaddr_of(s, m);
    return 0;
}

static int look_up(struct settings *s, struct addresses *a)
{
    struct elf_file f = {.fd = -1};
    struct knell_symbol_module module;
    struct knell_symbolizer *symbolizer = NULL;
    CLEANUP(free_p)
    struct knell_symbol_result *results = calloc(a->n ? a->n : 1, sizeof *results);
    int err = results ? describe(s, &f, &module) : -ENOMEM;
    if (err < 0)
        return err;
    s->options.demangle = s->plain_names ? KNELL_DEMANGLE_ON : KNELL_DEMANGLE_OFF;
    err = knell_symbolizer_new(&s->options, &symbolizer);
    if (err == 0)
        err = knell_symbolize(symbolizer, &module, 1, a->q, a->n, results);
    struct output out = {.fd = STDOUT_FILENO};
    for (size_t i = 0; err == 0 && i < a->n; i++)
        print_result(&out, s, a->q[i].pc, &results[i]);
    if (!output_end(&out) && err == 0)
        err = -EIO;
    knell_symbolizer_free(symbolizer);
    elf_file_done(&f);
    if (err < 0)
        (void)fprintf(stderr, "knell-symbolize: %s\n", strerror(-err));
    return err;
}

int command_look_up(int argc, char **argv)
{
    struct settings s = {0};
    struct addresses a = {0};
    int err = settings_parse(argc, argv, &s);
    if (err)
        return err < 0 ? EXIT_USAGE : EXIT_OK;
    if (!s.file && optind == argc) {
        (void)fputs("knell-symbolize: no file; see --help\n", stderr);
        return EXIT_USAGE;
    }
    if (!s.file) {
        s.file = argv[optind++];
        s.functions = s.inlines = s.plain_names = true;
    }
    if (optind == argc)
        err = read_addresses(&a);
    for (int i = optind; err == 0 && i < argc; i++)
        err = add_address(&a, argv[i]);
    int code = err == -ENOMEM        ? EXIT_FAILED
               : err < 0             ? EXIT_USAGE
               : look_up(&s, &a) < 0 ? EXIT_FAILED
                                     : EXIT_OK;
    free(a.q);
    return code;
}
