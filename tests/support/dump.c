#include "dump.h"

#include <knell/journal.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LIST = 64 };

struct dump {
    uint8_t *bytes;
    size_t n;
    struct knell_md_directory streams[KNELL_MAX_STREAMS];
    uint32_t n_streams;
    struct knell_md_thread threads[MAX_LIST];
    struct knell_md_thread_name names[MAX_LIST];
    struct knell_md_module modules[MAX_LIST];
    struct knell_md_memory memory[MAX_LIST];
    uint32_t n_threads, n_modules, n_memory;
};

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

struct knell_md_location dump_put(struct dump *d, const void *bytes, size_t n)
{
    size_t at = (d->n + 7) & ~7ul;
    d->bytes = must(realloc(d->bytes, at + n + 1));
    memset(d->bytes + d->n, 0, at - d->n);
    if (n)
        memcpy(d->bytes + at, bytes, n);
    d->n = at + n;
    return (struct knell_md_location){.n_bytes = (uint32_t)n, .rva = (uint32_t)at};
}

static void stream_at(struct dump *d, uint32_t type, struct knell_md_location at)
{
    d->streams[d->n_streams++] = (struct knell_md_directory){.type = type, .at = at};
}

void dump_stream(struct dump *d, uint32_t type, const void *bytes, size_t n)
{
    stream_at(d, type, dump_put(d, bytes, n));
}

void dump_stream_text(struct dump *d, uint32_t type, const char *text)
{
    dump_stream(d, type, text, strlen(text));
}

uint32_t dump_string(struct dump *d, const char *text)
{
    uint32_t n = (uint32_t)strlen(text);
    uint8_t *p = must(calloc(1, 4 + 2 * n + 2));
    uint32_t n_bytes = 2 * n;
    memcpy(p, &n_bytes, 4);
    for (uint32_t i = 0; i < n; i++) /* ASCII only */
        p[4 + 2 * i] = (uint8_t)text[i];
    uint32_t rva = dump_put(d, p, 4 + 2 * n + 2).rva;
    free(p);
    return rva;
}

struct dump *dump_new(void)
{
    struct dump *d = must(calloc(1, sizeof *d));
    static const uint8_t header[32];
    (void)dump_put(d, header, sizeof header);
    struct knell_md_system_info info = {.arch = KNELL_MINIDUMP_ARCH_AMD64,
        .n_cpus = 2,
        .platform = KNELL_MINIDUMP_PLATFORM_LINUX};
    info.csd_version_rva = dump_string(d, "Linux 6.1.0 #1 SMP x86_64");
    dump_stream(d, KNELL_STREAM_SYSTEM_INFO, &info, sizeof info);
    return d;
}

void dump_free(struct dump *d)
{
    if (!d)
        return;
    free(d->bytes);
    free(d);
}

void dump_thread(struct dump *d, uint32_t tid, const char *name,
    const uint64_t registers[17], const void *stack, size_t n_stack)
{
    const uint64_t *r = registers;
    struct knell_md_context_amd64 c = {.flags = KNELL_MINIDUMP_CONTEXT_AMD64,
        .rax = r[0],
        .rdx = r[1],
        .rcx = r[2],
        .rbx = r[3],
        .rsi = r[4],
        .rdi = r[5],
        .rbp = r[6],
        .rsp = r[7],
        .r8 = r[8],
        .r9 = r[9],
        .r10 = r[10],
        .r11 = r[11],
        .r12 = r[12],
        .r13 = r[13],
        .r14 = r[14],
        .r15 = r[15],
        .rip = r[16]};
    uint32_t i = d->n_threads++;
    d->threads[i] = (struct knell_md_thread){.tid = tid};
    d->threads[i].context = dump_put(d, &c, sizeof c);
    d->threads[i].stack =
        (struct knell_md_memory){.start = r[7], .at = dump_put(d, stack, n_stack)};
    d->names[i] =
        (struct knell_md_thread_name){.tid = tid, .name_rva = dump_string(d, name)};
}

void dump_module(struct dump *d, uint64_t base, uint32_t size, const char *path,
    const void *build_id, size_t n)
{
    uint8_t cv[4 + KNELL_MAX_BUILD_ID_BYTES];
    uint32_t magic = KNELL_MINIDUMP_CV_ELF;
    memcpy(cv, &magic, 4);
    memcpy(cv + 4, build_id, n);
    struct knell_md_module *m = &d->modules[d->n_modules++];
    *m = (struct knell_md_module){.base = base, .size = size};
    m->name_rva = dump_string(d, path);
    m->cv_record = dump_put(d, cv, 4 + n);
}

void dump_memory(struct dump *d, uint64_t start, const void *bytes, size_t n)
{
    d->memory[d->n_memory++] =
        (struct knell_md_memory){.start = start, .at = dump_put(d, bytes, n)};
}

void dump_signal(struct dump *d, uint32_t tid, int signo, int code, uint64_t address)
{
    struct knell_md_exception e = {
        .tid = tid, .code = (uint32_t)signo, .flags = (uint32_t)code, .address = address};
    struct knell_signal_record r = {.tid = tid,
        .signo = signo,
        .code = code,
        .address = address,
        .time_ns = 1795228881085183281};
    dump_stream(d, KNELL_STREAM_EXCEPTION, &e, sizeof e);
    dump_stream(d, KNELL_STREAM_SIGNAL, &r, sizeof r);
}

static void set(char *to, size_t n, const char *text)
{
    for (size_t i = 0; i + 1 < n && text[i]; i++)
        to[i] = text[i];
}

void dump_journal(
    struct dump *d, const char *app, const char *release, const char *environment)
{
    struct knell_journal_head h = {.magic = KNELL_JOURNAL_MAGIC,
        .version = KNELL_JOURNAL_VERSION,
        .head_bytes = sizeof h,
        .total_bytes = sizeof h,
        .used_bytes = sizeof h,
        .pid = 4711,
        .start_realtime_ns = 1795228000000000000,
        .oom_kills_at_start = ~0ull};
    for (int i = 0; i < 16; i++)
        h.event_id[i] = (uint8_t)(i + 1);
    set(h.app, sizeof h.app, app);
    set(h.release, sizeof h.release, release);
    set(h.environment, sizeof h.environment, environment);
    set(h.server_name, sizeof h.server_name, "node-7");
    set(h.kernel, sizeof h.kernel, "6.1.0");
    set(h.libc, sizeof h.libc, "glibc 2.36");
    set(h.sdk, sizeof h.sdk, "knell 0.1.0");
    dump_stream(d, KNELL_STREAM_JOURNAL, &h, sizeof h);
}

static void put_list(
    struct dump *d, uint32_t type, const void *entries, uint32_t n, size_t size)
{
    uint8_t *p = must(malloc(4 + n * size));
    memcpy(p, &n, 4);
    memcpy(p + 4, entries, n * size);
    dump_stream(d, type, p, 4 + n * size);
    free(p);
}

const uint8_t *dump_finish(struct dump *d, size_t *ret_n)
{
    if (d->n_threads) {
        put_list(
            d, KNELL_STREAM_THREAD_LIST, d->threads, d->n_threads, sizeof *d->threads);
        put_list(d, KNELL_STREAM_THREAD_NAMES, d->names, d->n_threads, sizeof *d->names);
    }
    if (d->n_modules)
        put_list(
            d, KNELL_STREAM_MODULE_LIST, d->modules, d->n_modules, sizeof *d->modules);
    if (d->n_memory)
        put_list(d, KNELL_STREAM_MEMORY_LIST, d->memory, d->n_memory, sizeof *d->memory);
    struct knell_md_location at =
        dump_put(d, d->streams, d->n_streams * sizeof *d->streams);
    struct knell_md_header h = {.magic = KNELL_MINIDUMP_MAGIC,
        .version = KNELL_MINIDUMP_VERSION,
        .n_streams = d->n_streams,
        .directory_rva = at.rva,
        .time_s = 1795228881};
    memcpy(d->bytes, &h, sizeof h);
    *ret_n = d->n;
    return d->bytes;
}

void dump_seal(uint8_t *bytes, size_t n)
{
    struct knell_md_header h;
    memcpy(&h, bytes, sizeof h);
    h.checksum = 0;
    uint32_t sum = knell_journal_sum(&h, sizeof h, 0);
    for (size_t at = sizeof h, k; at < n; at += k) {
        k = n - at < KNELL_SUM_PIECE_BYTES ? n - at : KNELL_SUM_PIECE_BYTES;
        sum = knell_journal_sum(bytes + at, k, sum);
    }
    memcpy(bytes + offsetof(struct knell_md_header, checksum), &sum, sizeof sum);
}

struct dump *dump_example(void)
{
    struct dump *d = dump_new();
    static const uint8_t id[20] = {0xd9, 0x76, 0x6c, 0x6f, 0x43, 0x9d, 0x23, 0x61, 0x54,
        0xdc, 0x28, 0x1e, 0x4f, 0x82, 0xd7, 0x6b, 0x21, 0x4b, 0xaf, 0x8a};
    static const uint8_t other_id[20] = {1, 2, 3};
    enum { STACK = 0x7ffe0000, CODE = 0x400000, LIB = 0x500000 };
    /* Frame pointers: two frames, the outer one's are zero. */
    const uint64_t stack[] = {0, 0, STACK + 32, CODE + 0x1234, 0, 0, 0, 0};
    uint64_t r[17] = {[6] = STACK + 16, [7] = STACK, [16] = CODE + 0x1000};
    dump_signal(d, 4712, 11, 1, 0);
    dump_module(d, CODE, 0x10000, "/usr/bin/exampled", id, sizeof id);
    dump_module(d, LIB, 0x10000, "/lib/libc.so.6", other_id, sizeof other_id);
    dump_thread(d, 4712, "worker", r, stack, sizeof stack);
    r[6] = 0;
    r[7] = STACK + 0x10000;
    r[16] = LIB + 0x100;
    dump_thread(d, 4711, "exampled", r, stack, sizeof stack);
    dump_journal(d, "exampled", "exampled@2.4.1", "staging");
    dump_stream_text(d, KNELL_STREAM_LINUX_MAPS,
        "00400000-00410000 r-xp 00000000 08:01 1 /usr/bin/exampled\n"
        "00500000-00510000 r-xp 00000000 08:01 2 /lib/libc.so.6\n");
    dump_stream_text(d, KNELL_STREAM_LINUX_LSB_RELEASE, "ID=debian\nVERSION_ID=\"12\"\n");
    dump_stream_text(
        d, KNELL_STREAM_LINUX_PROC_STATUS, "Name:\texampled\nVmRSS:\t 12 kB\n");
    return d;
}
