/* ISA-L deflates like zlib's lower levels in a fraction of their time. */
#include "uploader/deliver/gzip.h"

#include <errno.h>
#include <isa-l/igzip_lib.h>

enum { HEAD_AND_TAIL = 64 };

struct gzip {
    struct isal_zstream z;
    uint8_t *room; /* what its level works in */
};

static uint32_t room_of(uint32_t level)
{
    static const uint32_t bytes[] = {
        0, ISAL_DEF_LVL1_DEFAULT, ISAL_DEF_LVL2_DEFAULT, ISAL_DEF_LVL3_DEFAULT};
    return bytes[level];
}

int gzip_new(int level, struct gzip **ret)
{
    struct gzip *g = calloc(1, sizeof *g);
    if (!g)
        return -ENOMEM;
    isal_deflate_init(&g->z);
    int most = ISAL_DEF_MAX_LEVEL;
    g->z.level = (uint32_t)(level < 1 ? 1 : level > most ? most : level);
    g->z.level_buf_size = room_of(g->z.level);
    g->room = malloc(g->z.level_buf_size);
    if (!g->room) {
        free(g);
        return -ENOMEM;
    }
    g->z.level_buf = g->room;
    g->z.end_of_stream = 1;
    *ret = g;
    return 0;
}

void gzip_free(struct gzip *g)
{
    if (!g)
        return;
    free(g->room);
    free(g);
}

int gzip_pack(struct gzip *g, const void *bytes, size_t n, uint8_t **ret, size_t *ret_n)
{
    if (n > 1u << 30)
        return -E2BIG;
    /* Bytes that cannot be packed get a little longer. */
    size_t max = n + n / 8 + HEAD_AND_TAIL;
    CLEANUP(free_p) uint8_t *p = malloc(max);
    if (!p)
        return -ENOMEM;
    isal_deflate_reset(&g->z);
    g->z.gzip_flag = IGZIP_GZIP; /* it is changed once the head is written */
    g->z.next_in = (uint8_t *)(uintptr_t)bytes;
    g->z.avail_in = (uint32_t)n;
    g->z.next_out = p;
    g->z.avail_out = (uint32_t)max;
    if (isal_deflate(&g->z) != COMP_OK || g->z.internal_state.state != ZSTATE_END)
        return -EOVERFLOW;
    *ret_n = max - g->z.avail_out;
    *ret = p;
    p = NULL;
    return 0;
}
