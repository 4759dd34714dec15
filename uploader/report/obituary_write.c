/* The report of a death that no handler saw, as a minidump without threads. */
#include "uploader/report/dump_writer.h"
#include "uploader/report/last_words.h"
#include "uploader/report/obituary.h"
#include "uploader/spool/adopt.h"

#include <errno.h>
#include <knell/minidump.h>
#include <knell/types.h>
#include <stdio.h>
#include <stdlib.h>

enum { ITEM_BYTES = 8192, ARENA_BYTES = 64 << 20 };
/* Most time that a crash handler of the program's own takes to end it. */
#define OWN_HANDLER_NS (10 * 1000000000ull)

static size_t pair(uint8_t *out, size_t room, const char *key, const char *text)
{
    size_t n_key = strlen(key), n = strlen(text);
    struct knell_journal_pair p = {
        .type = KNELL_VALUE_TEXT, .n_key = (uint8_t)n_key, .n_value = (uint16_t)n};
    if (sizeof p + n_key + n > room)
        return 0;
    memcpy(out, &p, sizeof p);
    memcpy(out + sizeof p, key, n_key);
    memcpy(out + sizeof p + n_key, text, n);
    return sizeof p + n_key + n;
}

static size_t make_item(
    uint8_t out[ITEM_BYTES], const struct obituary *o, uint64_t time_ns)
{
    struct knell_item_head head = {.magic = KNELL_ITEM_MAGIC,
        .version = KNELL_ITEM_VERSION,
        .kind = KNELL_ITEM_OBITUARY,
        .level = KNELL_LEVEL_FATAL,
        .time_ns = time_ns};
    memcpy(out, &head, sizeof head);
    size_t n = sizeof head;
    n += pair(out + n, ITEM_BYTES - n, "type", o->type);
    n += pair(out + n, ITEM_BYTES - n, "message", o->value);
    for (uint32_t i = 0; i < o->n_reasons; i++) {
        char key[24];
        (void)snprintf(key, sizeof key, "evidence %u", i + 1);
        n += pair(out + n, ITEM_BYTES - n, key, o->reasons[i]);
    }
    return n;
}

static int make_report(const uint8_t *image, size_t n_image, const struct journal *j,
    const struct obituary *o, uint64_t time_ns, uint8_t **ret, size_t *ret_n)
{
    uint8_t item[ITEM_BYTES];
    struct dump_writer w;
    int r = dump_writer_init(&w, n_image + ITEM_BYTES + 4096);
    if (r)
        return r;
    struct knell_md_system_info system = {.arch = KNELL_MINIDUMP_ARCH_AMD64,
        .platform = KNELL_MINIDUMP_PLATFORM_LINUX,
        .n_cpus = 1};
#if defined(__aarch64__)
    system.arch = KNELL_MINIDUMP_ARCH_ARM64;
#endif
    struct knell_md_exception exception = {.tid = j->head->pid,
        .code = KNELL_EXCEPTION_REQUESTED}; /* no handler of that signal ran */
    struct knell_md_misc_info misc = {.n_bytes = sizeof misc,
        .flags = 3,
        .pid = j->head->pid,
        .create_time_s = (uint32_t)(j->head->start_realtime_ns / 1000000000)};
    uint32_t empty_list = 0;
    dump_writer_stream(&w, KNELL_STREAM_SYSTEM_INFO, &system, sizeof system);
    dump_writer_stream(&w, KNELL_STREAM_THREAD_LIST, &empty_list, sizeof empty_list);
    dump_writer_stream(&w, KNELL_STREAM_MODULE_LIST, &empty_list, sizeof empty_list);
    dump_writer_stream(&w, KNELL_STREAM_MEMORY_LIST, &empty_list, sizeof empty_list);
    dump_writer_stream(&w, KNELL_STREAM_EXCEPTION, &exception, sizeof exception);
    dump_writer_stream(&w, KNELL_STREAM_MISC_INFO, &misc, sizeof misc);
    dump_writer_stream(&w, KNELL_STREAM_JOURNAL, image, n_image);
    dump_writer_stream(&w, KNELL_STREAM_ITEM, item, make_item(item, o, time_ns));
    dump_writer_finish(&w, (uint32_t)(time_ns / 1000000000));
    *ret = w.bytes;
    *ret_n = w.n;
    return 0;
}

/* The session's last update as a segment of one record. */
static int make_segment(const struct journal *j, enum knell_session_status status,
    uint64_t time_ns, uint8_t **ret, size_t *ret_n)
{
    struct {
        struct knell_segment_head head;
        struct knell_segment_record record;
        struct knell_journal_session session;
    } *s = calloc(1, sizeof *s);
    const struct knell_journal_head *h = j->head;
    if (!s)
        return -ENOMEM;
    s->head = (struct knell_segment_head){.magic = KNELL_SEGMENT_MAGIC,
        .version = KNELL_SEGMENT_VERSION,
        .head_bytes = sizeof s->head,
        .used_bytes = sizeof *s,
        .n_records = 1,
        .created_ns = time_ns};
    memcpy(s->head.event_id, h->event_id, sizeof s->head.event_id);
    memcpy(s->head.release, h->release, sizeof s->head.release);
    memcpy(s->head.environment, h->environment, sizeof s->head.environment);
    memcpy(s->head.dist, h->dist, sizeof s->head.dist);
    memcpy(s->head.server_name, h->server_name, sizeof s->head.server_name);
    memcpy(s->head.app, h->app, sizeof s->head.app);
    memcpy(s->head.sdk, h->sdk, sizeof s->head.sdk);
    s->session = j->session;
    s->session.status = status;
    s->session.ended_ns = time_ns;
    s->session.sequence++;
    s->session.sum = knell_journal_sum(s->session.id,
        sizeof s->session - offsetof(struct knell_journal_session, id),
        s->session.version);
    s->record = (struct knell_segment_record){
        .type = KNELL_RECORD_SESSION, .n_bytes = sizeof s->session};
    s->record.sum = knell_journal_sum(
        &s->session, sizeof s->session, sizeof(struct knell_segment_head));
    *ret = (uint8_t *)s;
    *ret_n = sizeof *s;
    return 0;
}

/* FNV-1a: deaths of one kind of one program are one group. */
static uint64_t signature_of(const struct obituary *o, const char *app)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (const char *p = o->type; *p; p++)
        h = (h ^ (uint8_t)*p) * 0x100000001b3u;
    for (const char *p = app; *p; p++)
        h = (h ^ (uint8_t)*p) * 0x100000001b3u;
    return (h ^ h >> 48) & 0xffffffffffffu;
}

/* When it died, at the latest sign: the file's last change or the newest breadcrumb. */
static uint64_t time_of(const struct journal *j, const struct spool_name *name)
{
    uint64_t file_ns = name->time_ms < UINT64_MAX / 1000000 ? name->time_ms * 1000000 : 0;
    return file_ns > j->last_sign_ns ? file_ns : j->last_sign_ns;
}

/* A handler began, and nothing it committed is left. */
static bool is_unfinished(const struct journal *j, bool slot_is_empty)
{
    return j->head->state == KNELL_RUN_CRASHING ||
           (j->head->state == KNELL_RUN_DUMPED && slot_is_empty);
}

/* A crash was reported, a handler of the program's own went on and ended it: nothing was
 * heard of the process after the time that such a handler takes. */
static bool is_told(const struct journal *j, const struct last_words *words)
{
    return j->head->state == KNELL_RUN_RUNNING && j->head->crash_signo > 0 &&
           words->crash.signo == j->head->crash_signo && words->crash.time_ns &&
           (j->last_sign_ns < words->crash.time_ns ||
               j->last_sign_ns - words->crash.time_ns < OWN_HANDLER_NS);
}

static int write_crash(const uint8_t *image, size_t n, const struct journal *j,
    const struct last_words *words, struct spool_name *name, uint8_t **ret, size_t *ret_n)
{
    const struct knell_journal_crash *c = &words->crash;
    if (c->time_ns)
        name->time_ms = c->time_ns / 1000000;
    name->signo = (uint8_t)c->signo;
    name->signature = adopt_signature((uint32_t)c->signo, c->pc);
    return last_words_report(words, j->head, image, n, ret, ret_n);
}

static int write_one(const uint8_t *image, size_t n, const struct journal *j,
    bool slot_is_empty, const struct obituary_evidence *evidence, struct spool_name *name,
    uint8_t **ret, size_t *ret_n)
{
    struct obituary o;
    struct last_words words;
    uint64_t time_ns = time_of(j, name);
    size_t used = j->head->used_bytes;
    if (used < sizeof *j->head || used > n)
        used = n;
    bool has_words = last_words_find(image, n, j->head, &words);
    if (has_words && is_unfinished(j, slot_is_empty))
        return write_crash(image, used, j, &words, name, ret, ret_n);
    if (has_words && is_told(j, &words))
        return -ENODATA;
    obituary_judge(j, evidence, &o);
    name->time_ms = time_ns / 1000000;
    if (o.cause == OBITUARY_NONE) {
        if (!j->session.version || j->session.status != KNELL_SESSION_OK)
            return -ENODATA;
        name->segment = true;
        return make_segment(j, KNELL_SESSION_EXITED, time_ns, ret, ret_n);
    }
    name->signo = (uint8_t)(o.signo < 65 ? o.signo : 0);
    name->signature = signature_of(&o, j->head->app);
    return make_report(image, used, j, &o, time_ns, ret, ret_n);
}

int obituary_make(const uint8_t *image, size_t n, bool has_slot,
    const struct obituary_evidence *evidence, struct spool_name *name, uint8_t **ret,
    size_t *ret_n)
{
    const struct journal *j;
    struct arena *arena = arena_new(ARENA_BYTES);
    if (!arena)
        return -ENOMEM;
    int r = journal_read(arena, image, n, 0, &j);
    if (!r)
        r = write_one(image, n, j, has_slot, evidence, name, ret, ret_n);
    arena_free(arena);
    return r == -EPROTONOSUPPORT ? -EBADMSG : r;
}

int obituary_write(void *ctx, const uint8_t *image, size_t n,
    const struct spool_live_name *live, const uint8_t *slot, size_t n_slot,
    struct spool_name *name, uint8_t **ret, size_t *ret_n)
{
    struct obituary_evidence evidence;
    (void)ctx;
    (void)live;
    (void)n_slot; /* what was never committed holds no list that names its bytes */
    obituary_gather_for(image, n, &evidence);
    return obituary_make(image, n, slot != NULL, &evidence, name, ret, ret_n);
}
