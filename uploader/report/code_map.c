#include "uploader/report/code_map.h"

#include "uploader/report/parse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILES = 200, MAX_RANGES = 65536, MAX_PATH_BYTES = 4096 };

struct range {
    uint64_t start, end;
};

struct code_map {
    const struct crash *c;
    const struct report_unwind_options *options;
    struct image_budget budget;
    struct image **images; /* per module; NULL until tried */
    bool *tried;
    struct range *ranges; /* executable, in the order of the maps text: ascending */
    uint32_t n_ranges;
};

static bool hex(const char **p, const char *end, uint64_t *ret)
{
    uint64_t v = 0;
    const char *from = *p;
    for (; *p < end && *p - from < 16; (*p)++) {
        char ch = **p;
        if (ch >= '0' && ch <= '9')
            v = v << 4 | (uint64_t)(ch - '0');
        else if (ch >= 'a' && ch <= 'f')
            v = v << 4 | (uint64_t)(ch - 'a' + 10);
        else
            break;
    }
    *ret = v;
    return *p > from;
}

/* "START-END rwxp ...": true when the line maps code. */
static bool executable_line(const char *p, const char *end, struct range *ret)
{
    if (!hex(&p, end, &ret->start) || p == end || *p++ != '-' ||
        !hex(&p, end, &ret->end) || end - p < 5)
        return false;
    return p[0] == ' ' && p[3] == 'x' && ret->start < ret->end;
}

static int read_maps(struct code_map *map)
{
    const struct crash_text *t = &map->c->maps;
    const char *p = t->text, *end = p ? p + t->n_bytes : p;
    size_t room = 0;
    while (p < end && map->n_ranges < MAX_RANGES) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        if (!eol)
            break; /* cut short: not a line to rely on */
        struct range one;
        if (executable_line(p, eol, &one) &&
            (!map->n_ranges || one.start >= map->ranges[map->n_ranges - 1].end)) {
            if (map->n_ranges == room) {
                room = room ? room * 2 : 64;
                struct range *more = realloc(map->ranges, room * sizeof *more);
                if (!more)
                    return -ENOMEM;
                map->ranges = more;
            }
            map->ranges[map->n_ranges++] = one;
        }
        p = eol + 1;
    }
    return 0;
}

int code_map_new(const struct crash *c, const struct report_unwind_options *options,
    struct code_map **ret)
{
    struct code_map *map = calloc(1, sizeof *map);
    if (!map)
        return -ENOMEM;
    map->c = c;
    map->options = options;
    map->budget.bytes_left =
        options->max_total_bytes ? options->max_total_bytes : 256u << 20;
    map->budget.files_left = MAX_FILES;
    size_t n = c->n_modules ? c->n_modules : 1;
    map->images = calloc(n, sizeof(struct image *));
    map->tried = calloc(n, sizeof *map->tried);
    if (!map->images || !map->tried || read_maps(map) < 0) {
        code_map_free(map);
        return -ENOMEM;
    }
    *ret = map;
    return 0;
}

void code_map_free(struct code_map *map)
{
    if (!map)
        return;
    for (uint32_t i = 0; map->images && i < map->c->n_modules; i++)
        image_free(map->images[i]);
    free(map->images);
    free(map->tried);
    free(map->ranges);
    free(map);
}

static struct image *open_path(struct code_map *map, const struct crash_module *m)
{
    static const char deleted[] = " (deleted)"; /* as proc(5) maps says it */
    size_t n = strlen(m->path), tail = sizeof deleted - 1;
    if (n > tail && !strcmp(m->path + n - tail, deleted))
        n -= tail;
    const char *root = map->options->sysroot ? map->options->sysroot : "";
    char path[MAX_PATH_BYTES];
    struct image *image = NULL;
    int k = snprintf(path, sizeof path, "%s%.*s", root, (int)n, m->path);
    if (k > 0 && (size_t)k < sizeof path)
        IGNORE(image_open(path, m, &map->budget, &image), "no image, no CFI");
    return image;
}

static struct image *open_stored(
    struct code_map *map, const struct crash_module *m, const char *dir)
{
    char id[2 * KNELL_MAX_BUILD_ID_BYTES + 1] = "", path[MAX_PATH_BYTES];
    for (uint32_t i = 0; i < m->n_build_id; i++)
        (void)snprintf(id + 2 * i, 3, "%02x", m->build_id[i]);
    struct image *image = NULL;
    int k = snprintf(path, sizeof path, "%s/%s/executable", dir ? dir : "", id);
    if (dir && *dir && *id && k > 0 && (size_t)k < sizeof path)
        IGNORE(image_open(path, m, &map->budget, &image), "no image, no CFI");
    return image;
}

struct image *code_map_image(struct code_map *map, int32_t module)
{
    if (module < 0)
        return NULL;
    struct image **image = &map->images[module];
    if (map->tried[module])
        return *image;
    map->tried[module] = true;
    const struct crash_module *m = &map->c->modules[module];
    bool is_file = m->path && m->path[0] == '/';
    if (!is_file)
        IGNORE(image_in_report(map->c, m, image), "only the vDSO is in a report");
    else if (!map->options->no_files)
        *image = open_path(map, m);
    if (!*image && !map->options->no_files)
        *image = open_stored(map, m, map->options->store_dir);
    if (!*image && !map->options->no_files)
        *image = open_stored(map, m, map->options->fetched_dir);
    return *image;
}

bool code_map_lacks_file(const struct code_map *map, uint32_t module)
{
    const struct crash_module *m = &map->c->modules[module];
    return map->tried[module] && !map->images[module] && m->n_build_id && m->path &&
           m->path[0] == '/';
}

bool code_map_read(struct code_map *map, uint64_t address, void *out, size_t n)
{
    const uint8_t *p = crash_memory_at(map->c, address, n);
    if (p) {
        memcpy(out, p, n);
        return true;
    }
    struct image *image = code_map_image(map, crash_module_at(map->c, address));
    return image && image_read(image, address, out, n);
}

bool code_map_executable(struct code_map *map, uint64_t pc)
{
    if (map->n_ranges) {
        uint32_t low = 0, high = map->n_ranges;
        while (low < high) {
            uint32_t middle = low + (high - low) / 2;
            if (map->ranges[middle].end <= pc)
                low = middle + 1;
            else
                high = middle;
        }
        return low < map->n_ranges && pc >= map->ranges[low].start;
    }
    int32_t module = crash_module_at(map->c, pc);
    struct image *image = code_map_image(map, module);
    return image ? image_is_code(image, pc) : module >= 0;
}

/* Source: Intel SDM volume 2A, CALL: E8 rel32; FF /2 in each addressing form. */
static bool amd64_call(const uint8_t b[8])
{
    if (b[3] == 0xe8)
        return true;
    for (int n = 2; n <= 7; n++) { /* FF, modrm, then 0 to 5 more bytes */
        const uint8_t *i = b + 8 - n;
        if (i[0] != 0xff || (i[1] & 0x38) != 0x10)
            continue;
        unsigned mode = i[1] >> 6, rm = i[1] & 7;
        bool scaled = mode != 3 && rm == 4; /* one more byte says by what */
        int length = 2 + scaled;
        if (mode == 1)
            length += 1;
        else if (mode == 2 || (mode == 0 && rm == 5))
            length += 4;
        else if (mode == 0 && scaled && n > 2 && (i[2] & 7) == 5)
            length += 4;
        if (length == n)
            return true;
    }
    return false;
}

/* Source: Arm ARM, BL (100101...) and BLR (1101011000111111...), and BLRA*. */
static bool arm64_call(const uint8_t b[8])
{
    uint32_t i;
    memcpy(&i, b + 4, sizeof i);
    return i >> 26 == 0x25 || (i & 0xfefff000) == 0xd63f0000;
}

int code_map_after_call(struct code_map *map, uint64_t pc)
{
    uint8_t b[8];
    if (pc < sizeof b || !code_map_read(map, pc - sizeof b, b, sizeof b))
        return -1;
    return map->c->arch == KNELL_MINIDUMP_ARCH_ARM64 ? arm64_call(b) : amd64_call(b);
}

bool code_map_is_sigreturn(struct code_map *map, uint64_t pc)
{
    /* mov $15,%rax; syscall. mov x8,#139; svc #0 */
    static const uint8_t amd64[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
    static const uint8_t arm64[] = {0x68, 0x11, 0x80, 0xd2, 0x01, 0, 0, 0xd4};
    bool arm = map->c->arch == KNELL_MINIDUMP_ARCH_ARM64;
    size_t n = arm ? sizeof arm64 : sizeof amd64;
    uint8_t b[sizeof amd64];
    return code_map_read(map, pc, b, n) && !memcmp(b, arm ? arm64 : amd64, n);
}
