/* Sections, stored and packed, read in any order, dropped and read again. */
#include "symbolize/section.h"

#include "symbolize/budget.h"
#include "symbolize/elf_file.h"
#include "test.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

enum { N = 24 << 20 };

static uint8_t *plain;
static uint64_t seed = 88172645463325252u;

static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Text that packs about as well as debug information does. */
static void fill_plain(void)
{
    plain = malloc(N);
    for (size_t i = 0; plain && i < N; i++) {
        uint64_t r = next_random();
        plain[i] = i > 4096 && r % 8 ? plain[i - 1 - (r >> 8) % 64] : (uint8_t)(r >> 16);
    }
}

struct packed {
    struct elf_file file;
    struct elf_section section;
    uint8_t *bytes;
};

static bool pack(struct packed *p, uint32_t type)
{
    Elf64_Chdr h = {.ch_type = type, .ch_size = N, .ch_addralign = 3};
    size_t max = type == 2 ? ZSTD_compressBound(N) : compressBound(N), n = 0;
    uint8_t *to;
    p->bytes = malloc(sizeof h + max);
    if (!p->bytes || !plain)
        return false;
    memcpy(p->bytes, &h, sizeof h);
    to = p->bytes + sizeof h;
    if (type == 2) {
        n = ZSTD_compress(to, max, plain, N, 1);
    } else {
        uLongf got = max;
        if (compress2(to, &got, plain, N, 1) != Z_OK)
            return false;
        n = got;
    }
    p->file = (struct elf_file){
        .fd = -1, .image = p->bytes, .n_bytes = sizeof h + n, .is_64 = true};
    p->section = (struct elf_section){.name = ".debug_info",
        .type = SHT_PROGBITS,
        .flags = SHF_COMPRESSED,
        .n_bytes = sizeof h + n};
    return true;
}

static void random_access(uint32_t type, bool streamed)
{
    struct packed p = {0};
    struct budget b = {.max_bytes = 256 << 20};
    struct section s;
    if (!CHECK(pack(&p, type)) ||
        !CHECK_INT(section_open(&p.file, &p.section, &b, &s), 0)) {
        free(p.bytes);
        return;
    }
    s.streamed = streamed;
    int wrong = 0;
    for (int i = 0; i < (type == 2 ? 12 : 60); i++) {
        uint64_t at = next_random() % (N - 70000), n = next_random() % 70000;
        if (i == 5)
            section_drop(&s, 0, s.n);
        if (i % 7 == 6)
            section_drop(&s, at / 2, at + n / 2);
        if (section_need(&s, at, n) < 0 ||
            memcmp(s.bytes + at, plain + at, (size_t)n) != 0)
            wrong++;
    }
    CHECK_INT(wrong, 0);
    CHECK_INT(section_need(&s, N - 1, 1), 0);
    CHECK_INT(section_need(&s, N - 1, 2), -EBADMSG);
    CHECK_INT(section_need(&s, UINT64_MAX, 2), -EBADMSG);
    section_done(&s);
    CHECK_INT(b.used_bytes, 0);
    free(p.bytes);
}

static void zlib_random_access(void)
{
    random_access(ELFCOMPRESS_ZLIB, false);
}

static void zlib_streamed(void)
{
    random_access(ELFCOMPRESS_ZLIB, true);
}

static void zstd_random_access(void)
{
    random_access(2, false);
}

static void zstd_streamed(void)
{
    random_access(2, true);
}

static void broken_streams(void)
{
    for (uint32_t type = 1; type <= 2; type++) {
        struct packed p = {0};
        struct budget b = {0};
        struct section s;
        if (!CHECK(pack(&p, type)))
            return;
        p.bytes[p.section.n_bytes / 2] ^= 0xff;
        memset(p.bytes + p.section.n_bytes / 2 + 100, 0xff, 64);
        if (CHECK_INT(section_open(&p.file, &p.section, &b, &s), 0)) {
            /* Either the stream breaks, or other bytes come out of it. */
            int err = section_need(&s, 0, N);
            CHECK(err == -EBADMSG || (err == 0 && memcmp(s.bytes, plain, N) != 0));
            section_done(&s);
        }
        p.section.n_bytes /= 3;
        if (CHECK_INT(section_open(&p.file, &p.section, &b, &s), 0)) {
            CHECK_INT(section_need(&s, 0, N), -EBADMSG);
            section_done(&s);
        }
        CHECK_INT(b.used_bytes, 0);
        free(p.bytes);
    }
}

/* Bytes that are stored as they are, one of them changed, or the checksum itself: it is
 * found where the stream ends, and not missed when some of it was passed over or read
 * twice. */
static void checksum_at_the_end(void)
{
    uLongf max = compressBound(N);
    Elf64_Chdr h = {.ch_type = ELFCOMPRESS_ZLIB, .ch_size = N, .ch_addralign = 1};
    uint8_t *bytes = malloc(sizeof h + max);
    if (!CHECK(bytes && plain) ||
        !CHECK_INT(compress2(bytes + sizeof h, &max, plain, N, 0), Z_OK)) {
        free(bytes);
        return;
    }
    const size_t end = sizeof h + max, changed[] = {end - 1, end / 2};
    for (int i = 0; i < 3; i++) {
        for (int streamed = 0; streamed < 2; streamed++) {
            struct budget b = {0};
            struct section s;
            memcpy(bytes, &h, sizeof h);
            bytes[changed[i % 2]] ^= i < 2;
            struct elf_file f = {.fd = -1, .image = bytes, .n_bytes = end, .is_64 = true};
            struct elf_section e = {.name = ".debug_info",
                .type = SHT_PROGBITS,
                .flags = SHF_COMPRESSED,
                .n_bytes = end};
            if (CHECK_INT(section_open(&f, &e, &b, &s), 0)) {
                s.streamed = streamed;
                CHECK_INT(section_need(&s, N / 4, 10), 0);
                CHECK_INT(section_need(&s, N / 8, 10), 0);
                CHECK_INT(section_need(&s, N - 1, 1), i < 2 ? -EBADMSG : 0);
                section_drop(&s, 0, s.n);
                CHECK_INT(section_need(&s, N - 1, 1), i < 2 ? -EBADMSG : 0);
                section_done(&s);
            }
            bytes[changed[i % 2]] ^= i < 2;
        }
    }
    free(bytes);
}

/* A stream that holds more than was promised. */
static void promises_too_little(void)
{
    struct packed p = {0};
    struct budget b = {0};
    struct section s;
    if (!CHECK(pack(&p, ELFCOMPRESS_ZLIB)))
        return;
    Elf64_Chdr h = {.ch_type = ELFCOMPRESS_ZLIB, .ch_size = N - 1};
    memcpy(p.bytes, &h, sizeof h);
    if (CHECK_INT(section_open(&p.file, &p.section, &b, &s), 0)) {
        CHECK_INT(section_need(&s, 0, N - 1), -EBADMSG);
        section_done(&s);
    }
    free(p.bytes);
}

static void promises_too_much(void)
{
    Elf64_Chdr h = {.ch_type = ELFCOMPRESS_ZLIB, .ch_size = UINT64_C(16) << 30};
    uint8_t bytes[1024] = {0};
    struct budget b = {.max_bytes = 1 << 20};
    struct section s;
    memcpy(bytes, &h, sizeof h);
    struct elf_file f = {
        .fd = -1, .image = bytes, .n_bytes = sizeof bytes, .is_64 = true};
    struct elf_section e = {.name = ".debug_info",
        .type = SHT_PROGBITS,
        .flags = SHF_COMPRESSED,
        .n_bytes = sizeof bytes};
    CHECK_INT(section_open(&f, &e, &b, &s), -EBADMSG);
    h.ch_type = 2;
    h.ch_size = UINT64_MAX;
    memcpy(bytes, &h, sizeof h);
    CHECK_INT(section_open(&f, &e, &b, &s), -E2BIG);
    h.ch_type = 77;
    memcpy(bytes, &h, sizeof h);
    CHECK_INT(section_open(&f, &e, &b, &s), -EPROTONOSUPPORT);
    e.n_bytes = sizeof bytes + 1;
    CHECK_INT(section_open(&f, &e, &b, &s), -EBADMSG);
}

static void budget_ends_it(void)
{
    struct packed p = {0};
    struct budget b = {.max_bytes = 4 << 20};
    struct section s;
    if (CHECK(pack(&p, ELFCOMPRESS_ZLIB)) &&
        CHECK_INT(section_open(&p.file, &p.section, &b, &s), 0)) {
        CHECK_INT(section_need(&s, 0, N), -E2BIG);
        CHECK_INT(section_need(&s, 0, 1000), 0);
        CHECK_INT(memcmp(s.bytes, plain, 1000), 0);
        section_done(&s);
    }
    free(p.bytes);
}

static void strings_end_inside(void)
{
    static const uint8_t bytes[] = "one\0two\0open";
    struct section s = {.bytes = bytes, .n = 11};
    const char *text;
    CHECK_INT(section_string(&s, 4, &text), 0);
    CHECK_STR(text, "two");
    CHECK_INT(section_string(&s, 8, &text), -EBADMSG);
    CHECK_INT(section_string(&s, 11, &text), -EBADMSG);
    CHECK_INT(section_string(&s, UINT64_MAX, &text), -EBADMSG);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {TEST(zlib_random_access), TEST(zlib_streamed),
        TEST(zstd_random_access), TEST(zstd_streamed), TEST(broken_streams),
        TEST(checksum_at_the_end), TEST(promises_too_little), TEST(promises_too_much),
        TEST(budget_ends_it), TEST(strings_end_inside)};
    fill_plain();
    int code = test_run(tests, sizeof tests / sizeof *tests, argc, argv);
    free(plain);
    return code;
}
