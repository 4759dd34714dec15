#include "uploader/report/parse_internal.h"

#include <stdlib.h>

int parse_refuse(struct parser *p, int err, const char *what, uint64_t offset)
{
    p->why = (struct report_error){.what = what, .offset = offset};
    return err;
}

void parse_damage(struct parser *p, const char *what, uint64_t offset)
{
    struct crash *c = p->c;
    if (c->n_damages < CRASH_MAX_DAMAGES)
        c->damages[c->n_damages] = (struct crash_damage){.what = what, .offset = offset};
    c->n_damages++;
}

struct bytes parse_at(struct parser *p, struct knell_md_location at, const char *what)
{
    return bytes_sub(&p->file, at.rva, at.n_bytes, what);
}

struct bytes parse_stream(struct parser *p, enum knell_stream_type type, const char *what)
{
    for (uint32_t i = 0; i < p->n_streams; i++) {
        if (p->directory[i].type == (uint32_t)type)
            return parse_at(p, p->directory[i].at, what);
    }
    return (struct bytes){.err = -ENODATA, .what = what};
}

static size_t utf8_put(uint32_t u, char out[static 4])
{
    if (u < 0x80) {
        out[0] = (char)u;
        return 1;
    }
    if (u < 0x800) {
        out[0] = (char)(0xc0 | u >> 6);
        out[1] = (char)(0x80 | (u & 0x3f));
        return 2;
    }
    if (u < 0x10000) {
        out[0] = (char)(0xe0 | u >> 12);
        out[1] = (char)(0x80 | (u >> 6 & 0x3f));
        out[2] = (char)(0x80 | (u & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | u >> 18);
    out[1] = (char)(0x80 | (u >> 12 & 0x3f));
    out[2] = (char)(0x80 | (u >> 6 & 0x3f));
    out[3] = (char)(0x80 | (u & 0x3f));
    return 4;
}

/* The next code point; a surrogate without its partner is U+FFFD. */
static uint32_t utf16_next(struct bytes *b, const char *what)
{
    uint32_t u = bytes_u16(b, what);
    if (u < 0xd800 || u > 0xdfff)
        return u;
    if (u > 0xdbff || !bytes_has(b, 2))
        return 0xfffd;
    struct bytes ahead = *b;
    uint32_t low = bytes_u16(&ahead, what);
    if (low < 0xdc00 || low > 0xdfff)
        return 0xfffd;
    *b = ahead;
    return 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
}

const char *parse_string(
    struct parser *p, uint64_t rva, size_t max, const char *what, int *err)
{
    struct bytes head = bytes_sub(&p->file, rva, 4, what);
    uint32_t n = bytes_u32(&head, what);
    struct bytes b = bytes_sub(&p->file, rva + 4, n, what);
    if (head.err || b.err || n % 2 || n > KNELL_MAX_STRING_BYTES) {
        parse_damage(p, what, rva);
        return NULL;
    }
    char out[KNELL_MAX_STRING_BYTES / 2 * 3];
    size_t used = 0;
    while (b.at < b.n) {
        char one[4];
        uint32_t u = utf16_next(&b, what);
        size_t k = utf8_put(u, one);
        if (!u || k > max - used)
            break;
        memcpy(out + used, one, k);
        used += k;
    }
    const char *s = arena_text(p->c->arena, out, used);
    if (!s)
        *err = -ENOMEM;
    return s;
}

/* What was changed since it was written may still say most of what it said. */
static void check_sum(struct parser *p, struct knell_md_header h)
{
    const uint64_t end =
        h.directory_rva + (uint64_t)h.n_streams * sizeof(struct knell_md_directory);
    const uint32_t said = h.checksum;
    bool whole = end >= sizeof h && end <= p->file.n;
    if (!said)
        return;
    h.checksum = 0;
    uint32_t sum = knell_journal_sum(&h, sizeof h, 0);
    for (uint64_t at = sizeof h, n; whole && at < end; at += n) {
        n = end - at < KNELL_SUM_PIECE_BYTES ? end - at : KNELL_SUM_PIECE_BYTES;
        sum = knell_journal_sum(p->c->bytes + at, n, sum);
    }
    p->c->is_changed = !whole || sum != said;
    if (p->c->is_changed)
        parse_damage(p, "checksum", offsetof(struct knell_md_header, checksum));
}

/* The header and the directory; a stream type may appear once (0 fills unused entries).
 */
static int parse_directory(struct parser *p)
{
    struct knell_md_header h;
    struct bytes b = p->file;
    bytes_copy(&b, &h, sizeof h, "header");
    if (b.err)
        return parse_refuse(p, -EBADMSG, "header", 0);
    static const struct knell_md_header empty;
    if (!memcmp(&h, &empty, sizeof h))
        return parse_refuse(p, -ENODATA, "header: not committed", 0);
    if (h.magic != KNELL_MINIDUMP_MAGIC)
        return parse_refuse(p, -EBADMSG, "header: magic", 0);
    if ((h.version & 0xffff) != KNELL_MINIDUMP_VERSION)
        return parse_refuse(p, -EPROTONOSUPPORT, "header: version", 4);
    if (h.n_streams > KNELL_MAX_STREAMS)
        return parse_refuse(p, -E2BIG, "number of streams", 8);
    p->c->time_s = h.time_s;
    check_sum(p, h);

    bytes_seek(&b, h.directory_rva, "directory");
    for (uint32_t i = 0; i < h.n_streams; i++) {
        struct knell_md_directory *d = &p->directory[i];
        size_t at = b.at;
        bytes_copy(&b, d, sizeof *d, "directory");
        for (uint32_t k = 0; k < i && d->type; k++) {
            if (p->directory[k].type == d->type)
                return parse_refuse(p, -EBADMSG, "directory: a stream twice", at);
        }
    }
    if (b.err)
        return parse_refuse(p, b.err, b.what, b.err_at);
    p->n_streams = h.n_streams;
    return 0;
}

static int parse_system(struct parser *p)
{
    struct crash *c = p->c;
    struct knell_md_system_info info;
    struct bytes b = parse_stream(p, KNELL_STREAM_SYSTEM_INFO, "system info");
    if (b.err == -ENODATA)
        return 0;
    uint64_t at = b.err ? b.err_at : (uint64_t)(b.base - c->bytes);
    bytes_copy(&b, &info, sizeof info, "system info");
    if (b.err)
        return parse_refuse(p, b.err, b.what, at);
    if (info.arch != KNELL_MINIDUMP_ARCH_AMD64 && info.arch != KNELL_MINIDUMP_ARCH_ARM64)
        return parse_refuse(p, -EPROTONOSUPPORT, "system info: architecture", at);
    c->arch = info.arch;
    c->n_cpus = info.n_cpus;
    int err = 0;
    if (info.csd_version_rva)
        c->os_description =
            parse_string(p, info.csd_version_rva, 512, "system info: description", &err);
    return err;
}

static int parse_all(struct parser *p)
{
    int err = parse_directory(p);
    if (!err)
        err = parse_system(p);
    if (err)
        return err;
    parse_misc(p);
    parse_signal(p);
    parse_texts(p);
    int (*const steps[])(struct parser *) = {
        parse_item,
        parse_threads,
        parse_modules,
        parse_memory,
        parse_other_crashes,
        parse_prewalked,
        parse_notes,
        parse_journal,
        parse_said,
    };
    for (size_t i = 0; !err && i < sizeof steps / sizeof *steps; i++)
        err = steps[i](p);
    if (!err && !p->c->n_threads && !p->c->journal && !p->c->item_head)
        err = parse_refuse(p, -EBADMSG, "no threads and no journal", 0);
    return err;
}

int report_read(
    const uint8_t *bytes, size_t n, struct crash **ret, struct report_error *why)
{
    if (n > KNELL_MAX_REPORT_BYTES) {
        if (why)
            *why = (struct report_error){.what = "size"};
        return -E2BIG;
    }
    struct arena *arena = arena_new(REPORT_MAX_ARENA_BYTES);
    struct crash *c = arena ? arena_array(arena, 1, sizeof *c) : NULL;
    if (!c) {
        arena_free(arena);
        return -ENOMEM;
    }
    c->arena = arena;
    c->bytes = bytes;
    c->n_bytes = n;
    c->crashed_thread = -1;
    struct parser p = {.c = c, .file = bytes_of(bytes, n)};
    int err = parse_all(&p);
    if (err == -ENOMEM && arena_is_full(arena))
        err = parse_refuse(&p, -E2BIG, "more than a report may hold", 0);
    if (err) {
        if (why)
            *why = p.why.what ? p.why : (struct report_error){.what = "memory"};
        crash_free(c);
        return err;
    }
    *ret = c;
    return 0;
}

void crash_free(struct crash *c)
{
    if (c)
        arena_free(c->arena);
}
