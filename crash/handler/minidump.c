#include "crash/handler/minidump.h"

#include "crash/handler/digits.h"
#include "crash/handler/end.h"
#include "crash/handler/failpoint.h"
#include <errno.h>
#include <string.h>

#include "crash/handler/poison.h"

void kn_stream(struct kn_capture *c, uint32_t type, uint32_t rva, uint32_t n_bytes)
{
    const struct knell_md_directory d = {type, {n_bytes, rva}};
    for (uint32_t i = 0; i < c->n_streams; i++) {
        if (c->streams[i].type == type) {
            c->streams[i] = d;
            return;
        }
    }
    if (c->n_streams < KN_MAX_STREAMS)
        c->streams[c->n_streams++] = d;
    else
        kn_note(c, 0, 1);
}

void kn_stream_put(struct kn_capture *c, uint32_t type, const void *p, uint32_t n)
{
    kn_sink_align(&c->sink, 8);
    uint32_t at = kn_sink_at(&c->sink);
    kn_sink_put(&c->sink, p, n);
    kn_stream(c, type, at, n);
}

/* One character of UTF-8, or one byte of what is none. */
static uint32_t next_character(const uint8_t *s, size_t n, size_t *used)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = s[0] < 0xc0 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    *used = 1;
    if (len == 1 || len > n || s[0] > 0xf4)
        return s[0];
    uint32_t v = s[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return s[0];
        v = v << 6 | (s[i] & 0x3f);
    }
    if (v < least[len] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
        return s[0];
    *used = len;
    return v;
}

static uint32_t encode(uint32_t v, uint16_t *out)
{
    if (v < 0x10000) {
        out[0] = (uint16_t)v;
        return 1;
    }
    out[0] = (uint16_t)(0xd800 + ((v - 0x10000) >> 10));
    out[1] = (uint16_t)(0xdc00 + ((v - 0x10000) & 0x3ff));
    return 2;
}

uint32_t kn_put_utf16(struct kn_capture *c, const char *text, size_t n)
{
    const uint8_t *s = (const uint8_t *)text;
    uint16_t units[2] = {0};
    uint32_t n_units = 0;
    size_t used;
    for (size_t i = 0; i < n; i += used)
        n_units += encode(next_character(s + i, n - i, &used), units);
    kn_sink_align(&c->sink, 4);
    uint32_t at = kn_sink_at(&c->sink), n_bytes = n_units * 2;
    kn_sink_put(&c->sink, &n_bytes, sizeof n_bytes);
    for (size_t i = 0; i < n; i += used) {
        uint32_t got = encode(next_character(s + i, n - i, &used), units);
        kn_sink_put(&c->sink, units, got * sizeof *units);
    }
    units[0] = 0;
    kn_sink_put(&c->sink, units, sizeof units[0]);
    return at;
}

uint32_t kn_put_utf8(struct kn_capture *c, const char *s)
{
    uint32_t n = (uint32_t)kn_length(s);
    kn_sink_align(&c->sink, 4);
    uint32_t at = kn_sink_at(&c->sink);
    kn_sink_put(&c->sink, &n, sizeof n);
    kn_sink_put(&c->sink, s, n + 1u);
    return at;
}

void kn_memory(struct kn_capture *c, uint64_t start, uint32_t rva, uint32_t n)
{
    if (!n)
        return;
    if (c->n_memory < KN_MAX_MEMORY)
        c->memory[c->n_memory++] = (struct knell_md_memory){start, {n, rva}};
    else
        kn_note(c, 0, 1);
}

static void put_memory_list(struct kn_capture *c)
{
    uint32_t n = c->n_memory;
    for (uint32_t i = 0; i < c->n_threads; i++)
        n += c->threads[i].n_stack != 0;
    kn_sink_align(&c->sink, 8);
    uint32_t at = kn_sink_at(&c->sink);
    kn_sink_put(&c->sink, &n, sizeof n);
    kn_sink_put(&c->sink, c->memory, c->n_memory * sizeof *c->memory);
    for (uint32_t i = 0; i < c->n_threads; i++) {
        const struct kn_thread *t = &c->threads[i];
        const struct knell_md_memory m = {t->stack_start, {t->n_stack, t->stack_rva}};
        if (t->n_stack)
            kn_sink_put(&c->sink, &m, sizeof m);
    }
    kn_stream(c, KNELL_STREAM_MEMORY_LIST, at, kn_sink_at(&c->sink) - at);
}

void kn_make_durable(struct kn_capture *c)
{
    if (!c->info || !c->n_commits)
        return;
    kn_sink_sync(&c->sink);
    c->is_durable = true;
}

static bool has_stream(const struct kn_capture *c, uint32_t type)
{
    for (uint32_t i = 0; i < c->n_streams; i++) {
        if (c->streams[i].type == type)
            return true;
    }
    return false;
}

/* Of what the kernel has, since stacks went there without passing us; see minidump.h. */
static uint32_t checksum(struct kn_capture *c, const struct knell_md_header *head)
{
    static_assert((int)KNELL_SUM_PIECE_BYTES == (int)KN_SINK_BYTES, "a piece fits");
    const uint32_t end = kn_sink_at(&c->sink);
    uint32_t sum = knell_journal_sum(head, sizeof *head, 0), n;
    for (uint32_t at = sizeof *head; at < end; at += n) {
        n = end - at < KNELL_SUM_PIECE_BYTES ? end - at : KNELL_SUM_PIECE_BYTES;
        if (KN_SYS4(SYS_pread64, c->sink.fd, c->sink.buffer, n, at) != (long)n)
            return 0;
        sum = knell_journal_sum(c->sink.buffer, n, sum);
    }
    return sum;
}

/* Returns whether the header is there. */
static bool commit(struct kn_capture *c, bool durable)
{
    /* No reader takes a report without these. The journal's last words make a better one.
     */
    if (!c->n_threads || c->threads[0].tid != c->tid || !c->threads[0].context_rva ||
        !has_stream(c, KNELL_STREAM_THREAD_LIST) ||
        !has_stream(c, KNELL_STREAM_SYSTEM_INFO)) {
        kn_note(c, -ENODATA, 0);
        return false;
    }
    put_memory_list(c);
    if (c->n_notes)
        kn_stream_put(c, KNELL_STREAM_CAPTURE_LOG, c->notes,
            c->n_notes * (uint32_t)sizeof *c->notes);
    kn_sink_align(&c->sink, 8);
    struct knell_md_header head = {.magic = KNELL_MINIDUMP_MAGIC,
        .version = KNELL_MINIDUMP_VERSION,
        .n_streams = c->n_streams,
        .directory_rva = kn_sink_at(&c->sink),
        .time_s = (uint32_t)(c->time_ns / 1000000000u)};
    kn_sink_put(&c->sink, c->streams, c->n_streams * sizeof *c->streams);
    kn_sink_flush(&c->sink);
    if (c->sink.err) {
        kn_note(c, c->sink.err, 0);
        return false;
    }
    if (durable) /* the last one */
        head.checksum = checksum(c, &head);
    KN_FAILPOINT("commit.header");
    /* Never a header on the disk before what it names, where that would spoil one. */
    if (durable && c->is_durable)
        kn_make_durable(c);
    int r = kn_sink_put_at(&c->sink, &head, sizeof head, 0);
    if (r) {
        kn_note(c, r, 0);
        return false;
    }
    c->n_report_bytes = kn_sink_at(&c->sink);
    c->n_commits++;
    if (c->info)
        kn_end_set_state(c->process, KNELL_RUN_DUMPED, c->signo);
    return true;
}

void kn_commit(struct kn_capture *c, bool durable)
{
    bool done = commit(c, durable);
    /* Without the last one an earlier one is published, and nothing is before it lasts.
     */
    if (durable && (done || !c->is_durable))
        kn_make_durable(c);
}
