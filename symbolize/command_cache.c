#include "symbolize/budget.h"
#include "symbolize/build.h"
#include "symbolize/cache.h"
#include "symbolize/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_GC_BYTES (UINT64_C(256) << 20)

static const char *why(int err)
{
    switch (err) {
    case -EBADMSG:
        return "not sound";
    case -EPROTONOSUPPORT:
        return "of another version";
    case -ENODATA:
        return "no build-id or no debug information";
    case -EPERM:
        return "not ours, or others may write to it";
    default:
        return strerror(-err);
    }
}

static int parse(int argc, char **argv, struct settings *s, bool needs_cache)
{
    int r = settings_parse(argc, argv, s);
    if (r == 0 && needs_cache && !s->options.cache_dir) {
        (void)fprintf(stderr, "knell-symbolize %s: --cache DIR is missing\n", argv[0]);
        return -EINVAL;
    }
    return r;
}

static int build_one(const struct settings *s, const char *path)
{
    struct debug_places places = settings_places(s);
    struct budget budget = {.max_bytes = s->options.max_memory_bytes};
    struct build_result r;
    /* Folders of debug files are named after the whole path. */
    CLEANUP(free_p) char *whole = s->options.sysroot ? NULL : realpath(path, NULL);
    uint64_t max = s->options.cache_max_bytes ? s->options.cache_max_bytes : UINT64_MAX;
    int err = build_cache(
        whole ? whole : path, &places, s->options.cache_dir, max, &budget, &r);
    if (err < 0) {
        (void)fprintf(stderr, "knell-symbolize build: %s: %s (%s)\n", path, why(err),
            knell_symbol_status_name(r.status));
        return EXIT_FAILED;
    }
    (void)printf("%s: %" PRIu64 " ranges, %" PRIu64 " functions, %" PRIu64 " places\n",
        path, r.n_ranges, r.n_functions, r.n_places);
    return EXIT_OK;
}

int command_build(int argc, char **argv)
{
    struct settings s = {0};
    int r = parse(argc, argv, &s, true), code = EXIT_OK;
    if (r)
        return r < 0 ? EXIT_USAGE : EXIT_OK;
    if (optind == argc) {
        (void)fputs("knell-symbolize build: no file\n", stderr);
        return EXIT_USAGE;
    }
    for (int i = optind; i < argc; i++) {
        if (build_one(&s, argv[i]) != EXIT_OK)
            code = EXIT_FAILED;
    }
    return code;
}

static int open_cache_file(const char *path, struct cache **ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    return fd < 0 ? -errno : cache_open_fd(fd, ret);
}

static void print_info(const char *path, struct cache *c)
{
    const struct cache_head *h = &c->head;
    const char *debug_path = table_text(&c->table, h->debug_path);
    (void)printf("%s\n  build-id   ", path);
    for (uint32_t i = 0; i < h->n_build_id; i++)
        (void)printf("%02x", h->build_id[i]);
    (void)printf("\n  version    %" PRIu32 "\n  complete   %s\n  from       %s\n",
        h->version, h->complete ? "yes" : "no", debug_path ? debug_path : "unknown");
    (void)printf("  bytes      %" PRIu64 "\n  ranges     %zu\n  functions  %" PRIu32
                 "\n  places     %zu\n  symbols    %zu\n  covered    %zu\n",
        h->n_bytes + CACHE_PAGE_BYTES, c->table.edges.n, c->table.functions.n,
        c->table.packed_places.n, c->table.symbols.n, c->table.covered.n);
}

static int look_at(int argc, char **argv, bool verify)
{
    struct settings s = {0};
    int r = parse(argc, argv, &s, false), code = EXIT_OK;
    if (r)
        return r < 0 ? EXIT_USAGE : EXIT_OK;
    if (optind == argc) {
        (void)fprintf(stderr, "knell-symbolize %s: no file\n", argv[0]);
        return EXIT_USAGE;
    }
    for (int i = optind; i < argc; i++) {
        struct cache *c = NULL;
        const char *what = NULL;
        int err = open_cache_file(argv[i], &c);
        bool damaged = err == -EBADMSG || err == -EPROTONOSUPPORT;
        if (err == 0 && verify) {
            err = build_verify(c, &what);
            damaged = err < 0;
        }
        if (err < 0) {
            (void)printf(
                "%s: %s%s%s\n", argv[i], why(err), what ? ": " : "", what ? what : "");
            code = damaged && code != EXIT_FAILED ? EXIT_CORRUPT : EXIT_FAILED;
        } else if (verify) {
            (void)printf("%s: sound\n", argv[i]);
        } else {
            print_info(argv[i], c);
        }
        cache_free(c);
    }
    return code;
}

int command_info(int argc, char **argv)
{
    return look_at(argc, argv, false);
}

int command_verify(int argc, char **argv)
{
    return look_at(argc, argv, true);
}

int command_gc(int argc, char **argv)
{
    struct settings s = {0};
    struct cache_usage u;
    int r = parse(argc, argv, &s, true);
    if (r)
        return r < 0 ? EXIT_USAGE : EXIT_OK;
    uint64_t max =
        s.options.cache_max_bytes ? s.options.cache_max_bytes : DEFAULT_GC_BYTES;
    int err = cache_trim(s.options.cache_dir, max, &u);
    if (err < 0) {
        (void)fprintf(
            stderr, "knell-symbolize gc: %s: %s\n", s.options.cache_dir, why(err));
        return EXIT_FAILED;
    }
    (void)printf("%" PRIu64 " files, %" PRIu64 " bytes; removed %" PRIu64
                 " files, %" PRIu64 " bytes\n",
        u.n_files, u.n_bytes, u.n_removed, u.n_removed_bytes);
    return EXIT_OK;
}
