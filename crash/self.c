#include "crash/self.h"

#include "crash/altstack.h"
#include "crash/scope_object.h"
#include "crash/span.h"
#include <errno.h>

#include <unistd.h>

_Thread_local struct kn_self kn_self_tls;

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool has_key;

/* The thread ends: its block is for another, and nothing of it is used any more, also
 * not by destructors that run after this one. */
static void leave(void *self)
{
    struct kn_self *t = self;
    if (t->block) {
        kn_list_pop(&t->list, 0); /* below its levels nothing was ever put */
        __atomic_store_n(&t->block->tid, 0, __ATOMIC_RELEASE);
    }
    if (t->bound) { /* open in it, for whoever binds it next */
        t->bound->span = t->span;
        t->span = NULL;
    }
    kn_span_let_go(&t->span);
    kn_span_let_go(&t->outer_span);
    *t = (struct kn_self){.areas = t->areas, .tid = t->tid, .ring = t->ring};
}

static void make_key(void)
{
    has_key = !pthread_key_create(&key, leave);
}

/* Returns whether the thread's end will be seen. */
static bool watch_end(struct kn_self *t)
{
    (void)pthread_once(&once, make_key);
    return has_key && !pthread_setspecific(key, t);
}

void kn_self_attach(struct kn_self *t, struct kn_areas *a)
{
    int saved = errno;
    kn_span_let_go(&t->span);
    kn_span_let_go(&t->outer_span);
    *t = (struct kn_self){.areas = a, .tid = (uint32_t)gettid()};
    (void)kn_altstack_enter(); /* an overflow of its stack is reported from now on */
    (void)watch_end(t);
    errno = saved;
    t->ring = kn_areas_ring(a);
}

void kn_self_fork_child(void)
{
    struct kn_self *t = &kn_self_tls;
    t->tid = (uint32_t)gettid();
    if (t->block) /* a report of the child is asked for under the new id */
        __atomic_store_n(&t->block->tid, t->tid, __ATOMIC_RELEASE);
}

bool kn_self_block(struct kn_self *t)
{
    if (t->block)
        return true;
    /* Else a block would never come back. Asked for again: a destructor of the thread's
     * may use knell after leave(). */
    t->block = watch_end(t) ? kn_areas_thread(t->areas, t->tid) : NULL;
    if (!t->block) {
        kn_count(t->areas, KNELL_COUNT_SCOPES_LOST);
        return false;
    }
    t->list = (struct kn_list){.scope = kn_block_scope(t->block)};
    kn_self_trace(t, NULL);
    return true;
}

void kn_self_trace(struct kn_self *t, const struct knell_journal_trace *trace)
{
    if (!t->block)
        return;
    struct knell_journal_trace *two = kn_block_traces(t->block), next = {0};
    struct knell_journal_trace *old = two[0].version > two[1].version ? &two[1] : &two[0];
    if (trace)
        next = *trace;
    uint64_t version =
        (two[0].version > two[1].version ? two[0].version : two[1].version) + 1;
    size_t at = offsetof(struct knell_journal_trace, trace_id);
    size_t n = offsetof(struct knell_journal_trace, text) - at + next.n_op + next.n_name;
    old->sum = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    memcpy((uint8_t *)old + at, (uint8_t *)&next + at, n);
    old->version = version;
    uint32_t sum = knell_journal_sum((uint8_t *)old + at, n, version);
    __atomic_store_n(&old->sum, sum, __ATOMIC_RELEASE);
}
