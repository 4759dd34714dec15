/* knell-symbolize: addresses of an ELF file as functions, files and lines. */
#include "symbolize/elf_file.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <knell/knell.h>
#include <knell/symbolize.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct settings {
    const char *file;
    bool functions, inlines, addresses, plain_names, short_names;
};

struct addresses {
    struct knell_symbol_query *q;
    size_t n, max;
};

static void usage(FILE *out)
{
    (void)fputs(
        "usage: knell-symbolize [-fiCas] FILE ADDRESS...\n"
        "       knell-symbolize [-fiCas] -e FILE [ADDRESS...]\n"
        "Function, file and line of addresses of an ELF file. Without ADDRESS they are\n"
        "read from standard input. FILE first: -f -i -C are on.\n"
        "  -e FILE  the file; addr2line's way\n"
        "  -f       function names          -i  callers that it was inlined into\n"
        "  -a       the address before      -C  demangle\n"
        "  -s       file names without folders\n",
        out);
}

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
    while (err == 0 && fgets(line, sizeof line, stdin)) {
        line[strcspn(line, " \t\r\n")] = 0;
        if (*line)
            err = add_address(a, line);
    }
    return err;
}

static void print_place(const struct settings *s, const struct knell_symbol_frame *f)
{
    if (!f || !f->file)
        (void)fputs("??", stdout);
    else if (s->short_names)
        (void)fputs(strrchr(f->file, '/') ? strrchr(f->file, '/') + 1 : f->file, stdout);
    else if (f->directory && *f->file != '/')
        (void)printf("%s/%s", f->directory, f->file);
    else
        (void)fputs(f->file, stdout);
    if (f && f->line)
        (void)printf(":%" PRIu32 "\n", f->line);
    else
        (void)puts(f && f->file ? ":?" : ":0");
}

static void print_result(
    const struct settings *s, uint64_t pc, const struct knell_symbol_result *r)
{
    if (s->addresses)
        (void)printf("0x%016" PRIx64 "\n", pc);
    for (uint32_t i = 0; i == 0 || (s->inlines && i < r->n_frames); i++) {
        const struct knell_symbol_frame *f = i < r->n_frames ? &r->frames[i] : NULL;
        const char *name = f && (s->plain_names ? f->function : f->symbol)
                               ? s->plain_names ? f->function : f->symbol
                               : "??";
        if (s->functions)
            (void)puts(name);
        print_place(s, f);
    }
}

static const char *why(int err)
{
    return err == -EBADMSG ? "not a sound ELF file" : strerror(-err);
}

/* The file as a module that was mapped where it says. */
static int describe(const char *path, struct elf_file *f, struct knell_symbol_module *m)
{
    int err = elf_file_open(path, f);
    if (err < 0) {
        (void)fprintf(stderr, "knell-symbolize: %s: %s\n", path, why(err));
        return err;
    }
    *m = (struct knell_symbol_module){.path = path,
        .build_id = f->n_build_id ? f->build_id : NULL,
        .n_build_id = f->n_build_id,
        .base = f->first_vaddr};
    return 0;
}

static int look_up(const struct settings *s, struct addresses *a)
{
    struct elf_file f = {.fd = -1};
    struct knell_symbol_module module;
    struct knell_symbolizer *symbolizer = NULL;
    struct knell_symbolize_options o = {.size = sizeof o,
        .demangle = s->plain_names ? KNELL_DEMANGLE_ON : KNELL_DEMANGLE_OFF};
    CLEANUP(free_p)
    struct knell_symbol_result *results = calloc(a->n ? a->n : 1, sizeof *results);
    int err = results ? describe(s->file, &f, &module) : -ENOMEM;
    if (err < 0)
        return err;
    err = knell_symbolizer_new(&o, &symbolizer);
    if (err == 0)
        err = knell_symbolize(symbolizer, &module, 1, a->q, a->n, results);
    for (size_t i = 0; err == 0 && i < a->n; i++)
        print_result(s, a->q[i].pc, &results[i]);
    knell_symbolizer_free(symbolizer);
    elf_file_done(&f);
    if (err < 0)
        (void)fprintf(stderr, "knell-symbolize: %s\n", strerror(-err));
    return err;
}

static int parse(int argc, char **argv, struct settings *s)
{
    static const struct option words[] = {
        {"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {0}};
    for (int c; (c = getopt_long(argc, argv, "+e:fiaCsh", words, NULL)) != -1;) {
        switch (c) {
        case 'e':
            s->file = optarg;
            break;
        case 'f':
            s->functions = true;
            break;
        case 'i':
            s->inlines = true;
            break;
        case 'a':
            s->addresses = true;
            break;
        case 'C':
            s->plain_names = true;
            break;
        case 's':
            s->short_names = true;
            break;
        case 'h':
            usage(stdout);
            return 1;
        case 'V':
            (void)puts("knell-symbolize " KNELL_VERSION);
            return 1;
        default:
            usage(stderr);
            return -EINVAL;
        }
    }
    if (!s->file) {
        if (optind == argc) {
            usage(stderr);
            return -EINVAL;
        }
        s->file = argv[optind++];
        s->functions = s->inlines = s->plain_names = true;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct settings s = {0};
    struct addresses a = {0};
    int err = parse(argc, argv, &s);
    if (err)
        return err < 0 ? 2 : 0;
    if (optind == argc)
        err = read_addresses(&a);
    for (int i = optind; err == 0 && i < argc; i++)
        err = add_address(&a, argv[i]);
    if (err < 0) {
        free(a.q);
        return 2;
    }
    err = look_up(&s, &a);
    free(a.q);
    if (fflush(stdout) != 0)
        err = -errno;
    return err < 0 ? 1 : 0;
}
