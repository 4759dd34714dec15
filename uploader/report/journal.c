#include "uploader/report/journal.h"

#include "symbolize/bytes.h"

#include <stdlib.h>

enum { MAX_ENTRIES_READ = 1 << 16 }; /* the writer's lists hold some thousand */

struct reader {
    struct arena *arena;
    struct journal *j;
    const uint8_t *image;
    size_t n;
    bool no_memory;
};

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* A value from its bytes; false when they cannot be one of that type. */
static bool value_of(
    struct reader *r, uint8_t type, const uint8_t *p, size_t n, struct journal_value *ret)
{
    struct journal_value v = {.type = type, .n = (uint32_t)n, .text = ""};
    switch (type) {
    case KNELL_VALUE_NONE:
        break;
    case KNELL_VALUE_INT:
        if (n != 8)
            return false;
        memcpy(&v.integer, p, 8);
        break;
    case KNELL_VALUE_DOUBLE:
        if (n != 8)
            return false;
        memcpy(&v.real, p, 8);
        break;
    case KNELL_VALUE_BOOL:
        if (n != 1)
            return false;
        v.integer = *p != 0;
        break;
    case KNELL_VALUE_TEXT:
    case KNELL_VALUE_BYTES:
        v.text = arena_text(r->arena, p, n);
        if (!v.text) {
            r->no_memory = true;
            return false;
        }
        break;
    default:
        return false;
    }
    *ret = v;
    return true;
}

static uint32_t count_pairs(const uint8_t *bytes, size_t n)
{
    struct bytes b = bytes_of(bytes, n);
    uint32_t count = 0;
    while (
        count < JOURNAL_MAX_PAIRS && bytes_has(&b, sizeof(struct knell_journal_pair))) {
        struct knell_journal_pair p;
        bytes_copy(&b, &p, sizeof p, "pair");
        if (!bytes_take(&b, (size_t)p.n_key + p.n_value, "pair"))
            break;
        count++;
    }
    return count;
}

int journal_pairs(
    struct arena *arena, const uint8_t *bytes, size_t n, const struct journal_pair **ret)
{
    struct reader r = {.arena = arena};
    uint32_t count = count_pairs(bytes, n), kept = 0;
    *ret = NULL;
    if (!count)
        return 0;
    struct journal_pair *pairs = arena_array(arena, count, sizeof *pairs);
    if (!pairs)
        return -ENOMEM;
    struct bytes b = bytes_of(bytes, n);
    for (uint32_t i = 0; i < count && !r.no_memory; i++) {
        struct knell_journal_pair p;
        bytes_copy(&b, &p, sizeof p, "pair");
        const uint8_t *key = bytes_take(&b, p.n_key, "key");
        const uint8_t *value = bytes_take(&b, p.n_value, "value");
        pairs[kept].key = arena_text(arena, key, p.n_key);
        if (!pairs[kept].key)
            return -ENOMEM;
        if (value_of(&r, p.type, value, p.n_value, &pairs[kept].value))
            kept++;
    }
    *ret = pairs;
    return r.no_memory ? -ENOMEM : (int)kept;
}

bool journal_pair_returns(const struct journal_pair *pairs, uint32_t n, uint32_t i)
{
    enum { MANY = 128 }; /* more than a writer has room for: not worth the time */
    for (uint32_t k = i + 1; n <= MANY && k < n; k++) {
        if (!strcmp(pairs[k].key, pairs[i].key))
            return true;
    }
    return false;
}

/* The bytes of an area that are in the image; empty when there is none. */
static struct bytes area(const struct reader *r, uint32_t type)
{
    const struct knell_journal_head *h = r->j->head;
    for (size_t i = 0; i < KNELL_JOURNAL_MAX_AREAS && h->areas[i].type; i++) {
        const struct knell_journal_area *a = &h->areas[i];
        if (a->type != type || a->offset % 8 || a->offset < sizeof *h || a->offset > r->n)
            continue;
        size_t left = r->n - a->offset;
        return bytes_of(r->image + a->offset, a->n_bytes < left ? a->n_bytes : left);
    }
    return bytes_of(r->image, 0);
}

static const char *text_of(struct reader *r, const void *p, size_t n)
{
    const char *text = arena_text(r->arena, p, n);
    if (!text)
        r->no_memory = true;
    return text ? text : "";
}

/* Whether @later makes @earlier count no more, as in the writer. */
static bool replaces(const struct journal_fact *l, const struct journal_fact *e)
{
    if (l->type != e->type)
        return false;
    if (l->n_key == e->n_key && !strcmp(l->group, e->group) && !strcmp(l->key, e->key))
        return true;
    if (l->value.type != KNELL_VALUE_NONE)
        return false;
    if (l->type == KNELL_ENTRY_USER)
        return l->n_key == 0;
    return l->type == KNELL_ENTRY_CONTEXT && !l->key[0] && !strcmp(l->group, e->group);
}

static void add_fact(struct reader *r, const struct journal_fact *fact)
{
    struct journal *j = r->j;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < j->n_facts; i++) {
        if (!replaces(fact, &j->facts[i]))
            j->facts[kept++] = j->facts[i];
    }
    j->n_facts = kept;
    if (fact->value.type != KNELL_VALUE_NONE && kept < JOURNAL_MAX_ENTRIES)
        j->facts[j->n_facts++] = *fact;
}

static void read_entry(struct reader *r, const struct knell_journal_entry *e,
    const uint8_t *key, const uint8_t *value)
{
    struct journal_fact f = {.type = e->type, .group = "", .n_key = e->n_key};
    if (!value_of(r, e->value_type, value, e->n_value, &f.value))
        return;
    const uint8_t *nul = e->type == KNELL_ENTRY_CONTEXT ? memchr(key, 0, e->n_key) : NULL;
    if (e->type == KNELL_ENTRY_CONTEXT) {
        size_t n_group = nul ? (size_t)(nul - key) : e->n_key;
        f.group = text_of(r, key, n_group);
        f.key = nul ? text_of(r, nul + 1, e->n_key - n_group - 1) : "";
    } else {
        f.key = text_of(r, key, e->n_key);
    }
    if (!r->no_memory)
        add_fact(r, &f);
}

/* @b  begins with struct knell_journal_scope */
static void read_scope(struct reader *r, struct bytes b)
{
    struct knell_journal_scope s;
    bytes_copy(&b, &s, sizeof s, "scope");
    if (b.err || s.capacity > b.n || KNELL_SCOPE_BYTES(s.word) > s.capacity)
        return;
    struct bytes list =
        bytes_sub(&b, b.at + (uint64_t)KNELL_SCOPE_LIST(s.word) * s.capacity,
            KNELL_SCOPE_BYTES(s.word), "list");
    for (int i = 0; !list.err && list.at < list.n && !r->no_memory; i++) {
        struct knell_journal_entry e;
        if (i == MAX_ENTRIES_READ)
            return;
        uint32_t offset = (uint32_t)list.at;
        const uint8_t *p = list.base + list.at;
        bytes_copy(&list, &e, sizeof e, "entry");
        size_t n = (size_t)e.n_key + e.n_value;
        const uint8_t *rest = NULL;
        if (e.n_bytes >= sizeof e + n)
            rest = bytes_take(&list, e.n_bytes - sizeof e, "entry");
        if (!rest || (int32_t)(KNELL_SCOPE_GENERATION(s.word) - e.generation) < 0 ||
            e.sum != knell_journal_sum(p + 4, (size_t)e.n_bytes - 4, offset)) {
            r->j->n_torn++;
            return;
        }
        read_entry(r, &e, rest, rest + e.n_key);
    }
}

static void read_tags(struct reader *r)
{
    struct bytes b = area(r, KNELL_AREA_TAGS);
    struct knell_journal_tag t;
    for (uint32_t i = 0; i < KNELL_GLOBAL_TAGS && bytes_has(&b, sizeof t); i++) {
        bytes_copy(&b, &t, sizeof t, "tag");
        if (t.ready != 1 || !t.n_key || t.n_key > sizeof t.key ||
            t.hash != knell_journal_sum(t.key, t.n_key, 0))
            continue;
        const struct knell_journal_tag_value *best = NULL;
        for (int k = 0; k < 2; k++) {
            const struct knell_journal_tag_value *v = &t.values[k];
            size_t n = v->n_text == 0xffff ? 0 : v->n_text;
            if (!v->sum)
                continue;
            if (n > sizeof v->text ||
                v->sum != knell_journal_sum(v->text, n, v->version << 16 ^ v->n_text))
                r->j->n_torn++;
            else if (!best || v->version > best->version)
                best = v;
        }
        if (!best || best->n_text == 0xffff)
            continue;
        struct journal_fact f = {.type = KNELL_ENTRY_TAG, .group = "", .n_key = t.n_key};
        f.key = text_of(r, t.key, t.n_key);
        if (value_of(
                r, KNELL_VALUE_TEXT, (const uint8_t *)best->text, best->n_text, &f.value))
            add_fact(r, &f);
    }
}

static bool trace_whole(const struct knell_journal_trace *t)
{
    size_t n = (size_t)t->n_op + t->n_name,
           at = offsetof(struct knell_journal_trace, trace_id);
    return t->version && n <= sizeof t->text &&
           t->sum == knell_journal_sum((const uint8_t *)t + at,
                         offsetof(struct knell_journal_trace, text) - at + n, t->version);
}

/* @b  behind the block's head: two traces, then the scope */
static void read_thread(struct reader *r, struct bytes b)
{
    struct knell_journal_trace best = {0}, t;
    for (int i = 0; i < 2; i++) {
        bytes_copy(&b, &t, sizeof t, "trace");
        if (t.version && !trace_whole(&t))
            r->j->n_torn++;
        else if (t.version > best.version)
            best = t;
    }
    if (b.err)
        return;
    r->j->trace = best;
    r->j->trace_op = text_of(r, best.text, best.n_op);
    r->j->trace_name = text_of(r, best.text + best.n_op, best.n_name);
    read_scope(r, bytes_sub(&b, b.at, b.n - b.at, "scope"));
}

static void read_crumb(struct reader *r, const uint8_t *slot, uint32_t slot_bytes)
{
    struct knell_journal_crumb c;
    size_t at = offsetof(struct knell_journal_crumb, n_bytes);
    memcpy(&c, slot, sizeof c);
    if (!c.seq)
        return;
    if (c.seq & 1 || c.n_bytes > slot_bytes - sizeof c ||
        (size_t)c.n_category + c.n_message > c.n_bytes ||
        c.sum != knell_journal_sum(slot + at, sizeof c - at + c.n_bytes, c.seq)) {
        r->j->n_torn++;
        return;
    }
    struct journal_crumb *out = &r->j->crumbs[r->j->n_crumbs];
    const uint8_t *text = slot + sizeof c;
    size_t n_texts = (size_t)c.n_category + c.n_message;
    *out = (struct journal_crumb){.time_ns = c.time_ns,
        .tid = c.tid,
        .level = c.level,
        .cut = c.flags & KNELL_CRUMB_CUT,
        .is_log = c.flags & KNELL_CRUMB_LOG,
        .category = text_of(r, text, c.n_category),
        .message = text_of(r, text + c.n_category, c.n_message)};
    int n = journal_pairs(r->arena, text + n_texts, c.n_bytes - n_texts, &out->pairs);
    if (n < 0)
        r->no_memory = true;
    out->n_pairs = n < 0 ? 0 : (uint32_t)n;
    r->j->n_crumbs++;
}

static int by_time(const void *a, const void *b)
{
    const struct journal_crumb *x = a, *y = b;
    return x->time_ns < y->time_ns ? -1 : x->time_ns > y->time_ns;
}

/* The block at *@at of the blocks' area, or false at their end. */
static bool next_block(
    struct bytes *b, struct knell_journal_block *ret, struct bytes *ret_rest)
{
    struct knell_journal_block k;
    if (b->err || !bytes_has(b, sizeof k))
        return false;
    bytes_copy(b, &k, sizeof k, "block");
    if (!k.type || k.n_bytes < sizeof k || k.n_bytes % 8)
        return false;
    size_t n = k.n_bytes - sizeof k, left = b->n - b->at;
    *ret = k;
    *ret_rest = bytes_of(b->base + b->at, n < left ? n : left);
    (void)bytes_take(b, n, "block");
    return true;
}

static size_t slots_in(const struct knell_journal_block *k, const struct bytes *rest)
{
    if (k->type != KNELL_BLOCK_CRUMBS ||
        k->slot_bytes < sizeof(struct knell_journal_crumb) || k->slot_bytes % 8)
        return 0;
    size_t fit = rest->n / k->slot_bytes;
    return k->n_slots < fit ? k->n_slots : fit;
}

static int read_crumbs(struct reader *r)
{
    struct knell_journal_block k;
    struct bytes rest, b = area(r, KNELL_AREA_BLOCKS);
    size_t total = 0;
    uint32_t shown = 0;
    while (next_block(&b, &k, &rest)) {
        total += slots_in(&k, &rest);
        if (k.type == KNELL_BLOCK_CRUMBS && k.n_slots > shown)
            shown = k.n_slots;
    }
    if (!total)
        return 0;
    r->j->crumbs = arena_array(r->arena, total, sizeof *r->j->crumbs);
    if (!r->j->crumbs)
        return -ENOMEM;
    b = area(r, KNELL_AREA_BLOCKS);
    while (next_block(&b, &k, &rest)) {
        size_t n = slots_in(&k, &rest);
        for (size_t i = 0; i < n && !r->no_memory; i++)
            read_crumb(r, rest.base + i * k.slot_bytes, k.slot_bytes);
    }
    struct journal *j = r->j;
    if (j->n_crumbs)
        qsort(j->crumbs, j->n_crumbs, sizeof *j->crumbs, by_time);
    /* Each thread's ring holds as many as are to be shown of all together. */
    if (shown > JOURNAL_MAX_CRUMBS)
        shown = JOURNAL_MAX_CRUMBS;
    if (j->n_crumbs > shown) {
        j->crumbs += j->n_crumbs - shown;
        j->n_crumbs = shown;
    }
    if (j->n_crumbs)
        j->last_sign_ns = later(j->last_sign_ns, j->crumbs[j->n_crumbs - 1].time_ns);
    return 0;
}

static void read_small_areas(struct reader *r)
{
    struct journal *j = r->j;
    struct bytes b = area(r, KNELL_AREA_STATUS);
    bytes_copy(&b, &j->status, sizeof j->status, "status");
    for (struct knell_journal_counts c; !b.err && bytes_has(&b, sizeof c);) {
        bytes_copy(&b, &c, sizeof c, "counts");
        for (size_t i = 0; i < KNELL_N_COUNTS; i++)
            j->status.counts[i] += c.counts[i];
    }
    b = area(r, KNELL_AREA_SESSION);
    for (int i = 0; i < 2; i++) {
        struct knell_journal_session s;
        size_t at = offsetof(struct knell_journal_session, id);
        bytes_copy(&b, &s, sizeof s, "session");
        if (!s.version)
            continue;
        if (s.sum != knell_journal_sum((uint8_t *)&s + at, sizeof s - at, s.version)) {
            j->n_torn++;
            continue;
        }
        s.user[sizeof s.user - 1] = '\0';
        if (s.version > j->session.version)
            j->session = s;
    }
    b = area(r, KNELL_AREA_HEARTS);
    for (int i = 0; i < KNELL_MAX_HEARTS; i++) {
        struct knell_journal_heart *h = &j->hearts[j->n_hearts];
        bytes_copy(&b, h, sizeof *h, "heart");
        h->name[sizeof h->name - 1] = '\0';
        if (h->state)
            j->n_hearts++;
    }
}

static const struct knell_journal_head *copy_head(
    struct arena *arena, const uint8_t *image)
{
    struct knell_journal_head *h = arena_array(arena, 1, sizeof *h);
    if (!h)
        return NULL;
    memcpy(h, image, sizeof *h);
    char *const texts[] = {h->app, h->release, h->environment, h->dist, h->server_name,
        h->executable, h->cgroup, h->kernel, h->libc, h->sdk};
    const size_t sizes[] = {sizeof h->app, sizeof h->release, sizeof h->environment,
        sizeof h->dist, sizeof h->server_name, sizeof h->executable, sizeof h->cgroup,
        sizeof h->kernel, sizeof h->libc, sizeof h->sdk};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        texts[i][sizes[i] - 1] = '\0';
    return h;
}

int journal_read(struct arena *arena, const uint8_t *image, size_t n, uint32_t tid,
    const struct journal **ret)
{
    struct knell_journal_head probe;
    if (n < sizeof probe)
        return -EBADMSG;
    memcpy(&probe, image, sizeof probe);
    if (probe.magic != KNELL_JOURNAL_MAGIC)
        return -EBADMSG;
    if (probe.version != KNELL_JOURNAL_VERSION || probe.head_bytes != sizeof probe)
        return -EPROTONOSUPPORT;
    struct journal *j = arena_array(arena, 1, sizeof *j);
    if (!j)
        return -ENOMEM;
    struct reader r = {.arena = arena, .j = j, .image = image, .n = n};
    j->head = copy_head(arena, image);
    j->trace_op = j->trace_name = "";
    j->facts = arena_array(arena, JOURNAL_MAX_ENTRIES, sizeof *j->facts);
    if (!j->head || !j->facts)
        return -ENOMEM;
    j->last_sign_ns = later(j->head->start_realtime_ns, j->head->heartbeat_ns);
    read_small_areas(&r);
    if (read_crumbs(&r) < 0)
        return -ENOMEM;
    read_tags(&r);
    read_scope(&r, area(&r, KNELL_AREA_SCOPE));
    struct knell_journal_block k;
    struct bytes rest, b = area(&r, KNELL_AREA_BLOCKS);
    while (tid && next_block(&b, &k, &rest)) {
        if (k.type == KNELL_BLOCK_THREAD && k.tid == tid)
            read_thread(&r, rest);
    }
    if (r.no_memory)
        return -ENOMEM;
    *ret = j;
    return 0;
}
