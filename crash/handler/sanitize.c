#include "crash/handler/sanitize.h"

#include "crash/handler/maps.h"
#include "crash/handler/memory.h"
#include "crash/handler/modules.h"
#include <string.h>

#include "crash/handler/poison.h"

enum {
    SMALL = 4096,
    PART_BYTES = KN_SCRATCH_BYTES,
};

struct range {
    uint64_t start, n;
};

/* What the program itself can write to is data, whatever else it is. */
static bool is_code(const struct kn_map *m)
{
    return m && (m->end_flags & KN_MAP_EXEC) && !(m->end_flags & KN_MAP_WRITE);
}

bool kn_sanitize_keeps(const struct kn_capture *c, uint64_t address)
{
    const struct kn_map *m = kn_maps_find(c, address);
    if (!c->process->sanitizes)
        return true;
    if (m || kn_maps_tell(c, address))
        return is_code(m);
    return kn_modules_find(c, address) != NULL;
}

static bool is_harmless(
    const struct kn_capture *c, uint64_t word, const struct range *whole)
{
    const int64_t number = (int64_t)word;
    if ((number >= -SMALL && number <= SMALL) || word - whole->start < whole->n)
        return true;
    const uint64_t pc = kn_regs_plain_pc(word); /* it may be signed */
    const struct kn_map *m = kn_maps_find(c, pc);
    if (!m && kn_maps_tell(c, pc))
        return false;
    return (m && m->end_flags & KN_MAP_EXEC) || kn_modules_find(c, pc);
}

void kn_sanitize(const struct kn_capture *c, void *copy, uint32_t n, uint64_t at,
    uint64_t start, uint64_t n_range)
{
    const struct range whole = {start, n_range};
    uint8_t *bytes = (uint8_t *)copy;
    uint32_t i = (uint32_t)(-at & 7);
    if (!c->process->sanitizes)
        return;
    i = i < n ? i : n;
    memset(bytes, 0, i);
    for (; i + sizeof(uint64_t) <= n; i += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, bytes + i, sizeof word);
        if (is_harmless(c, word, &whole))
            continue;
        word = KNELL_SANITIZED_WORD;
        memcpy(bytes + i, &word, sizeof word);
    }
    memset(bytes + i, 0, n - i);
}

uint32_t kn_sanitize_put(struct kn_capture *c, uint64_t address, uint32_t n)
{
    uint32_t got = 0;
    if (!c->process->sanitizes)
        return kn_sink_memory(&c->sink, address, n);
    kn_memory_forget(); /* other threads may have unmapped what was there */
    while (got < n && !c->sink.err) {
        const uint64_t at = address + got;
        uint32_t part = PART_BYTES - (uint32_t)(at % PART_BYTES);
        part = part < n - got ? part : n - got;
        /* Not by way of the file: it must not have what is taken out here. */
        if (!kn_memory_copy(c->scratch, at, part))
            break;
        if (!is_code(kn_maps_find(c, at)))
            kn_sanitize(c, c->scratch, part, at, address, n);
        kn_sink_put(&c->sink, c->scratch, part);
        got += part;
    }
    return got;
}

void kn_sanitize_registers(const struct kn_capture *c, kn_context *context)
{
    if (c->process->sanitizes)
        kn_regs_forget_vectors(context);
}
