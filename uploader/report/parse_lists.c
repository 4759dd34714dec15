#include "uploader/report/parse_internal.h"

#include <stdlib.h>

/* The tids of a report in order, to find a thread without comparing each with each. */
struct tid_index {
    uint32_t tid, thread;
};

static int by_tid(const void *a, const void *b)
{
    const struct tid_index *x = a, *y = b;
    if (x->tid != y->tid)
        return x->tid < y->tid ? -1 : 1;
    return x->thread < y->thread ? -1 : x->thread > y->thread;
}

static struct crash_thread *thread_of(
    struct crash *c, const struct tid_index *index, uint32_t tid)
{
    uint32_t low = 0, high = c->n_threads;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (index[middle].tid < tid)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == c->n_threads || index[low].tid != tid)
        return NULL;
    return &c->threads[index[low].thread];
}

/* The count before a list of @size-byte entries, and a reader at the first of them. Some
 * writers pad the list by 4 bytes after the count. */
static int open_list(struct parser *p, enum knell_stream_type type, const char *what,
    size_t size, uint32_t max, struct bytes *ret_list, uint32_t *ret_n)
{
    struct bytes b = parse_stream(p, type, what);
    *ret_n = 0;
    if (b.err == -ENODATA)
        return 0;
    if (b.err) {
        parse_damage(p, what, b.err_at);
        return 0;
    }
    uint64_t at = (uint64_t)(b.base - p->c->bytes);
    uint32_t n = bytes_u32(&b, what);
    if (!b.err && n > max)
        return parse_refuse(p, -E2BIG, what, at);
    uint64_t need = (uint64_t)n * size;
    if (b.err || need > b.n - b.at) {
        parse_damage(p, what, at);
        return 0;
    }
    if (b.n == need + 8)
        b.at += 4;
    *ret_list = b;
    *ret_n = n;
    return 0;
}

static void one_thread(
    struct parser *p, const struct knell_md_thread *from, struct crash_thread *t)
{
    t->tid = from->tid;
    t->how = KNELL_THREAD_SIGNAL;
    if (from->context.n_bytes)
        t->has_registers = parse_registers(p, from->context, t->registers, &t->context);
    if (!t->has_registers)
        t->how = KNELL_THREAD_NONE;
    if (!from->stack.at.n_bytes)
        return;
    struct bytes stack = parse_at(p, from->stack.at, "stack of a thread");
    if (stack.err || from->stack.start + stack.n < from->stack.start) {
        parse_damage(p, "stack of a thread", from->stack.at.rva);
        return;
    }
    t->stack_start = from->stack.start;
    t->stack = stack.base;
    t->n_stack = (uint32_t)stack.n;
}

/* Puts the thread that the exception names first, with the registers it names. */
static void mark_crashed(struct parser *p, const struct tid_index *index)
{
    struct crash *c = p->c;
    struct crash_thread *t =
        p->exception_tid ? thread_of(c, index, p->exception_tid) : NULL;
    if (!t)
        return;
    uint64_t registers[CRASH_N_REGISTERS] = {0};
    if (p->exception_context.n_bytes &&
        parse_registers(p, p->exception_context, registers, &c->exception_context)) {
        memcpy(t->registers, registers, sizeof registers);
        t->has_registers = true;
        t->how = KNELL_THREAD_SIGNAL;
    }
    t->crashed = c->has_signal;
    struct crash_thread first = *t;
    memmove(c->threads + 1, c->threads, (size_t)(t - c->threads) * sizeof *t);
    c->threads[0] = first;
    c->crashed_thread = 0;
}

static int name_threads(struct parser *p, const struct tid_index *index)
{
    struct bytes b;
    uint32_t n;
    int err = open_list(p, KNELL_STREAM_THREAD_NAMES, "thread names",
        sizeof(struct knell_md_thread_name), KNELL_MAX_THREADS, &b, &n);
    for (uint32_t i = 0; !err && i < n; i++) {
        struct knell_md_thread_name one;
        bytes_copy(&b, &one, sizeof one, "thread names");
        struct crash_thread *t = thread_of(p->c, index, one.tid);
        if (t && !t->name)
            t->name = parse_string(p, one.name_rva, 63, "name of a thread", &err);
    }
    return err;
}

static void thread_methods(struct parser *p, const struct tid_index *index)
{
    struct bytes b = parse_stream(p, KNELL_STREAM_THREAD_METHODS, "thread methods");
    if (b.err) {
        if (b.err != -ENODATA)
            parse_damage(p, "thread methods", b.err_at);
        return;
    }
    struct knell_thread_method m;
    while (bytes_has(&b, sizeof m)) {
        bytes_copy(&b, &m, sizeof m, "thread methods");
        struct crash_thread *t = thread_of(p->c, index, m.tid);
        if (!t || m.how < KNELL_THREAD_SIGNAL || m.how > KNELL_THREAD_NONE)
            continue;
        t->how = (enum knell_thread_how)m.how;
        /* The format wants a context of every thread; this one's is all zero. */
        if (t->how == KNELL_THREAD_NONE)
            t->has_registers = false;
    }
}

int parse_threads(struct parser *p)
{
    struct crash *c = p->c;
    struct bytes b;
    uint32_t n;
    int err = open_list(p, KNELL_STREAM_THREAD_LIST, "thread list",
        sizeof(struct knell_md_thread), KNELL_MAX_THREADS, &b, &n);
    if (err)
        return err;
    if (n && !c->arch)
        return parse_refuse(p, -EBADMSG, "system info", 0);
    struct crash_thread *threads = arena_array(c->arena, n, sizeof *threads);
    struct tid_index *index = calloc(n ? n : 1, sizeof *index);
    if (!threads || !index) {
        free(index);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct knell_md_thread from;
        bytes_copy(&b, &from, sizeof from, "thread list");
        one_thread(p, &from, &threads[i]);
        index[i] = (struct tid_index){.tid = from.tid, .thread = i};
    }
    c->threads = threads;
    c->n_threads = n;
    if (n)
        qsort(index, n, sizeof *index, by_tid);
    thread_methods(p, index);
    err = name_threads(p, index);
    if (!err)
        mark_crashed(p, index);
    free(index);
    return err;
}

static int one_module(
    struct parser *p, const struct knell_md_module *from, struct crash_module *m)
{
    int err = 0;
    m->base = from->base;
    m->size = from->size;
    if (m->base + m->size < m->base)
        m->size = UINT64_MAX - m->base;
    m->path =
        parse_string(p, from->name_rva, KNELL_MAX_STRING_BYTES, "name of a module", &err);
    if (err || from->cv_record.n_bytes <= 4)
        return err;
    struct bytes cv = parse_at(p, from->cv_record, "build-id of a module");
    uint32_t magic = bytes_u32(&cv, "build-id of a module");
    size_t n = cv.n - cv.at;
    if (cv.err || (magic == KNELL_MINIDUMP_CV_ELF && n > KNELL_MAX_BUILD_ID_BYTES)) {
        parse_damage(p, "build-id of a module", from->cv_record.rva);
        return 0;
    }
    if (magic != KNELL_MINIDUMP_CV_ELF)
        return 0;
    m->n_build_id = (uint32_t)n;
    bytes_copy(&cv, m->build_id, n, "build-id of a module");
    return 0;
}

static int by_base(const void *a, const void *b, void *arg)
{
    const struct crash_module *modules = arg;
    uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
    if (modules[i].base != modules[k].base)
        return modules[i].base < modules[k].base ? -1 : 1;
    return i < k ? -1 : i > k;
}

int parse_modules(struct parser *p)
{
    struct crash *c = p->c;
    struct bytes b;
    uint32_t n;
    int err = open_list(p, KNELL_STREAM_MODULE_LIST, "module list",
        sizeof(struct knell_md_module), KNELL_MAX_MODULES, &b, &n);
    if (err)
        return err;
    struct crash_module *modules = arena_array(c->arena, n, sizeof *modules);
    uint32_t *order = arena_array(c->arena, n, sizeof *order);
    if (!modules || !order)
        return -ENOMEM;
    for (uint32_t i = 0; !err && i < n; i++) {
        struct knell_md_module from;
        bytes_copy(&b, &from, sizeof from, "module list");
        err = one_module(p, &from, &modules[i]);
        order[i] = i;
    }
    if (n)
        qsort_r(order, n, sizeof *order, by_base, modules);
    c->modules = modules;
    c->modules_by_base = order;
    c->n_modules = n;
    return err;
}

static int by_start(const void *a, const void *b)
{
    const struct crash_memory *x = a, *y = b;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return x->n_bytes > y->n_bytes ? -1 : x->n_bytes < y->n_bytes;
}

/* Makes sorted ranges disjoint: what an earlier range holds is cut from the later one. */
static uint32_t cut_overlaps(struct crash_memory *m, uint32_t n)
{
    uint32_t kept = 0;
    uint64_t end = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct crash_memory one = m[i];
        if (one.start < end) {
            uint64_t over = end - one.start;
            if (over >= one.n_bytes)
                continue;
            one.start += over;
            one.bytes += over;
            one.n_bytes -= (uint32_t)over;
        }
        end = one.start + one.n_bytes;
        m[kept++] = one;
    }
    return kept;
}

int parse_memory(struct parser *p)
{
    struct crash *c = p->c;
    struct bytes b;
    uint32_t n_listed, n = 0;
    int err = open_list(p, KNELL_STREAM_MEMORY_LIST, "memory list",
        sizeof(struct knell_md_memory), KNELL_MAX_MEMORY_RANGES, &b, &n_listed);
    if (err)
        return err;
    struct crash_memory *memory =
        arena_array(c->arena, (size_t)n_listed + c->n_threads, sizeof *memory);
    if (!memory)
        return -ENOMEM;
    for (uint32_t i = 0; i < n_listed; i++) {
        struct knell_md_memory from;
        bytes_copy(&b, &from, sizeof from, "memory list");
        struct bytes at = parse_at(p, from.at, "memory range");
        if (at.err || from.start + at.n < from.start)
            parse_damage(p, "memory range", from.at.rva);
        else if (at.n)
            memory[n++] = (struct crash_memory){from.start, at.base, (uint32_t)at.n};
    }
    for (uint32_t i = 0; i < c->n_threads; i++) {
        const struct crash_thread *t = &c->threads[i];
        if (t->n_stack)
            memory[n++] = (struct crash_memory){t->stack_start, t->stack, t->n_stack};
    }
    struct crash_memory *listed = arena_array(c->arena, n ? n : 1, sizeof *listed);
    if (!listed)
        return -ENOMEM;
    if (n) {
        memcpy(listed, memory, n * sizeof *memory);
        qsort(memory, n, sizeof *memory, by_start);
    }
    c->listed = listed;
    c->n_listed = n;
    c->memory = memory;
    c->n_memory = cut_overlaps(memory, n);
    return 0;
}
