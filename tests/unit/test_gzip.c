/* What ISA-L packs, zlib unpacks: a second opinion. */
#include "test.h"

#include "uploader/deliver/gzip.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { MOST = 1 << 20 };

static void check_round_trip(struct gzip *g, const uint8_t *bytes, size_t n)
{
    uint8_t *packed = NULL, *back = malloc(n + 1);
    size_t n_packed = 0;
    z_stream z = {0};
    CHECK_INT(gzip_pack(g, bytes, n, &packed, &n_packed), 0);
    CHECK_INT(inflateInit2(&z, 16 + MAX_WBITS), Z_OK); /* a gzip head and its sum */
    z.next_in = packed;
    z.avail_in = (uInt)n_packed;
    z.next_out = back;
    z.avail_out = (uInt)n + 1;
    CHECK_INT(inflate(&z, Z_FINISH), Z_STREAM_END);
    CHECK_INT(z.total_out, n);
    CHECK_INT(z.avail_in, 0);
    CHECK(!memcmp(back, bytes, n));
    (void)inflateEnd(&z);
    free(packed);
    free(back);
}

/* Of every kind and size, one after the other with one compressor. */
static void what_is_packed_comes_back(void)
{
    static const size_t sizes[] = {0, 1, 2, 7, 100, 4096, 20000, 65535, 65536, MOST};
    uint8_t *bytes = malloc(MOST);
    for (int level = -1; level <= 9; level++) {
        struct gzip *g = NULL;
        CHECK_INT(gzip_new(level, &g), 0);
        for (int kind = 0; kind < 3; kind++) {
            uint32_t x = 1;
            for (size_t i = 0; i < MOST; i++) {
                x = x * 1664525u + 1013904223u;
                bytes[i] =
                    kind == 0 ? 'x'
                    : kind == 1
                        ? (uint8_t)(i / 700 % 3 + (uint8_t) "{\"frame\":[0x7f,"[i % 15])
                        : (uint8_t)(x >> 24);
            }
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
                check_round_trip(g, bytes, sizes[i]);
        }
        gzip_free(g);
    }
    free(bytes);
    gzip_free(NULL);
}

static void text_becomes_smaller(void)
{
    static const char words[] = "{\"function\":\"main\",\"lineno\":42,\"in_app\":true},";
    uint8_t bytes[20000], *packed = NULL;
    size_t n = 0;
    struct gzip *g = NULL;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)words[i % (sizeof words - 1)];
    CHECK_INT(gzip_new(1, &g), 0);
    CHECK_INT(gzip_pack(g, bytes, sizeof bytes, &packed, &n), 0);
    CHECK(n < sizeof bytes / 20);
    free(packed);
    gzip_free(g);
}

TEST_MAIN(TEST(what_is_packed_comes_back), TEST(text_becomes_smaller))
