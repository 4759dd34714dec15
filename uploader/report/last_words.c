#include "uploader/report/last_words.h"

#include "symbolize/bytes.h"
#include "uploader/report/dump_writer.h"

#include <errno.h>
#include <stdlib.h>

enum { MAX_PATH_UNITS = KNELL_MAX_STRING_BYTES / 2 };

/* The bytes of an area that are in the image. */
static struct bytes area(
    const uint8_t *image, size_t n, const struct knell_journal_head *head, uint32_t type)
{
    const struct bytes all = bytes_of(image, n);
    for (size_t i = 0; i < KNELL_JOURNAL_MAX_AREAS && head->areas[i].type; i++) {
        const struct knell_journal_area *a = &head->areas[i];
        if (a->type == type)
            return bytes_sub(&all, a->offset, a->n_bytes, "area");
    }
    return bytes_of(image, 0);
}

static bool find_crash(struct bytes b, struct knell_journal_crash *ret)
{
    const size_t from = offsetof(struct knell_journal_crash, tid);
    const size_t to = offsetof(struct knell_journal_crash, step);
    bytes_copy(&b, ret, sizeof *ret, "last words");
    if (b.err || !ret->sum ||
        knell_journal_sum((const uint8_t *)ret + from, to - from, ret->tid) != ret->sum)
        return false;
    if (ret->n_stack > sizeof ret->stack)
        ret->n_stack = 0;
    bool amd64 = ret->arch == KNELL_MINIDUMP_ARCH_AMD64 &&
                 ret->n_context == sizeof(struct knell_md_context_amd64);
    bool arm64 = ret->arch == KNELL_MINIDUMP_ARCH_ARM64 &&
                 ret->n_context == sizeof(struct knell_md_context_arm64);
    return (amd64 || arm64) && ret->signo > 0 && ret->signo < 65;
}

static void find_modules(struct bytes b, struct last_words *ret)
{
    struct knell_journal_modules head;
    bytes_copy(&b, &head, sizeof head, "modules");
    const uint8_t *p = bytes_take(&b, head.n_bytes, "modules");
    if (b.err || !head.sum || !p ||
        knell_journal_sum(p, head.n_bytes, head.n_bytes) != head.sum)
        return;
    ret->modules = p;
    ret->n_modules = head.n_bytes;
}

bool last_words_find(const uint8_t *image, size_t n,
    const struct knell_journal_head *head, struct last_words *ret)
{
    *ret = (struct last_words){0};
    if (!find_crash(area(image, n, head, KNELL_AREA_CRASH), &ret->crash))
        return false;
    find_modules(area(image, n, head, KNELL_AREA_MODULES), ret);
    return true;
}

struct module {
    struct knell_journal_module head;
    const uint8_t *build_id, *path;
};

/* The next record; false at the end. */
static bool next_module(struct bytes *b, struct module *ret)
{
    if (!bytes_has(b, sizeof ret->head))
        return false;
    bytes_copy(b, &ret->head, sizeof ret->head, "module");
    const struct knell_journal_module *h = &ret->head;
    size_t n = (size_t)h->n_build_id + h->n_path;
    if (h->n_bytes < sizeof *h + n || h->n_bytes % 8 || h->n_path > MAX_PATH_UNITS ||
        h->n_build_id > KNELL_MAX_BUILD_ID_BYTES)
        return false;
    ret->build_id = bytes_take(b, h->n_build_id, "module");
    ret->path = bytes_take(b, h->n_path, "module");
    (void)bytes_take(b, h->n_bytes - sizeof *h - n, "module");
    return !b->err;
}

/* One UTF-16 unit per byte is what a path of ASCII is; others are shown as Latin-1. */
static uint32_t put_path(struct dump_writer *w, const uint8_t *path, uint32_t n)
{
    struct {
        uint32_t n_bytes;
        uint16_t units[MAX_PATH_UNITS + 1];
    } s = {.n_bytes = n * 2};
    for (uint32_t i = 0; i < n; i++)
        s.units[i] = path[i];
    return dump_writer_put(w, &s, sizeof s.n_bytes + ((size_t)n + 1) * 2);
}

static uint32_t put_build_id(struct dump_writer *w, const struct module *m)
{
    uint8_t cv[4 + KNELL_MAX_BUILD_ID_BYTES];
    const uint32_t magic = KNELL_MINIDUMP_CV_ELF;
    memcpy(cv, &magic, sizeof magic);
    memcpy(cv + sizeof magic, m->build_id, m->head.n_build_id);
    return dump_writer_put(w, cv, sizeof magic + m->head.n_build_id);
}

static int put_modules(struct dump_writer *w, const struct last_words *words)
{
    struct list {
        uint32_t n;
        struct knell_md_module all[KNELL_MAX_MODULES];
    } __attribute__((packed)) *list = calloc(1, sizeof *list);
    struct bytes b = bytes_of(words->modules, words->n_modules);
    struct module m;
    if (!list)
        return -ENOMEM;
    while (list->n < KNELL_MAX_MODULES && next_module(&b, &m)) {
        struct knell_md_module r = {.base = m.head.base,
            .size = m.head.size < UINT32_MAX ? (uint32_t)m.head.size : UINT32_MAX,
            .name_rva = put_path(w, m.path, m.head.n_path)};
        if (m.head.n_build_id) {
            r.cv_record.rva = put_build_id(w, &m);
            r.cv_record.n_bytes = 4u + m.head.n_build_id;
        }
        memcpy(&list->all[list->n++], &r, sizeof r);
    }
    dump_writer_stream(
        w, KNELL_STREAM_MODULE_LIST, list, sizeof list->n + list->n * sizeof *list->all);
    free(list);
    return 0;
}

/* The crashed thread: all that is known of any. */
static void put_thread(struct dump_writer *w, const struct knell_journal_crash *c)
{
    struct {
        uint32_t n;
        struct knell_md_thread t;
    } __attribute__((packed)) threads = {.n = 1, .t = {.tid = c->tid}};
    struct {
        uint32_t n;
        struct knell_md_memory m;
    } __attribute__((packed)) memory = {.n = c->n_stack != 0};
    const struct knell_thread_method how = {c->tid, KNELL_THREAD_SIGNAL};
    threads.t.context.rva = dump_writer_put(w, c->context, c->n_context);
    threads.t.context.n_bytes = c->n_context;
    threads.t.stack.start = c->stack_start;
    threads.t.stack.at.rva = dump_writer_put(w, c->stack, c->n_stack);
    threads.t.stack.at.n_bytes = c->n_stack;
    memory.m = threads.t.stack;
    struct knell_md_exception e = {.tid = c->tid,
        .code = (uint32_t)c->signo,
        .flags = (uint32_t)c->code,
        .address = c->code > 0 ? c->address : c->pc,
        .context = threads.t.context};
    if (c->code <= 0) {
        e.n_parameters = 2;
        e.parameters[0] = c->sender_pid;
        e.parameters[1] = c->sender_uid;
    }
    struct knell_signal_record signal = {.tid = c->tid,
        .signo = c->signo,
        .code = c->code,
        .error = c->error,
        .address = c->address,
        .pc = c->pc,
        .sender_pid = c->sender_pid,
        .sender_uid = c->sender_uid,
        .time_ns = c->time_ns};
    dump_writer_stream(w, KNELL_STREAM_THREAD_LIST, &threads, sizeof threads);
    dump_writer_stream(w, KNELL_STREAM_MEMORY_LIST, &memory,
        sizeof memory.n + memory.n * sizeof memory.m);
    dump_writer_stream(w, KNELL_STREAM_EXCEPTION, &e, sizeof e);
    dump_writer_stream(w, KNELL_STREAM_SIGNAL, &signal, sizeof signal);
    dump_writer_stream(w, KNELL_STREAM_THREAD_METHODS, &how, sizeof how);
}

int last_words_report(const struct last_words *words,
    const struct knell_journal_head *head, const uint8_t *image, size_t n_image,
    uint8_t **ret, size_t *ret_n)
{
    const struct knell_journal_crash *c = &words->crash;
    const size_t n_small = 4096; /* streams of fixed size, with their padding */
    struct dump_writer w;
    /* A module's path takes twice its bytes, its record and its padding some more. */
    int r = dump_writer_init(&w, n_image + sizeof *c + n_small + 2 * words->n_modules +
                                     words->n_modules / 24 * 160);
    if (r)
        return r;
    struct knell_md_system_info system = {
        .arch = c->arch, .platform = KNELL_MINIDUMP_PLATFORM_LINUX, .n_cpus = 1};
    struct knell_md_misc_info misc = {.n_bytes = sizeof misc,
        .flags = 3,
        .pid = head->pid,
        .create_time_s = (uint32_t)(head->start_realtime_ns / 1000000000)};
    struct knell_capture_note note = {
        .step = (uint16_t)c->step, .reason = KNELL_NOTE_ENDED};
    dump_writer_stream(&w, KNELL_STREAM_SYSTEM_INFO, &system, sizeof system);
    dump_writer_stream(&w, KNELL_STREAM_MISC_INFO, &misc, sizeof misc);
    put_thread(&w, c);
    r = put_modules(&w, words);
    if (r) {
        free(w.bytes);
        return r;
    }
    dump_writer_stream(&w, KNELL_STREAM_JOURNAL, image, n_image);
    dump_writer_stream(&w, KNELL_STREAM_CAPTURE_LOG, &note, sizeof note);
    dump_writer_finish(&w, (uint32_t)(c->time_ns / 1000000000));
    *ret = w.bytes;
    *ret_n = w.n;
    return 0;
}
