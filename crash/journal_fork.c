#include "crash/journal.h"
#include "crash/self.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

enum { N_TRIES = 10 };

/* Made before fork(2): the parent goes on at once, and may have written over everything
 * before the child gets a processor. Of the thread that forks. */
static _Thread_local struct {
    struct knell_journal_head *head; /* what it is a copy of; NULL: there is none */
    struct knell_journal_head *copy;
    size_t n_bytes; /* of the mapping */
} kept;

/* Word by word, since other threads are writing: each is as it was at some instant. */
__attribute__((no_sanitize("thread"))) static void copy_words(
    void *to, const void *from, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes / sizeof(uint64_t); i++)
        ((uint64_t *)to)[i] =
            __atomic_load_n((const uint64_t *)from + i, __ATOMIC_ACQUIRE);
}

static void *in_copy(const void *of)
{
    return (uint8_t *)kept.copy + ((const uint8_t *)of - (const uint8_t *)kept.head);
}

/* A list only grows until it is rewritten, which changes its generation: what the word
 * that was copied first says of it is then there. */
static void copy_list(const struct knell_journal_scope *list)
{
    struct knell_journal_scope *copy = in_copy(list);
    for (int i = 0; i < N_TRIES; i++) {
        copy_words(copy, list, kn_list_bytes(list->capacity));
        uint64_t now = __atomic_load_n(&list->word, __ATOMIC_ACQUIRE);
        if (KNELL_SCOPE_GENERATION(now) == KNELL_SCOPE_GENERATION(copy->word))
            return;
    }
    copy->word = 0;
}

/* What a thread was about to write: it is not in the child to go on. */
static void free_busy_tags(struct knell_journal_tag *tags)
{
    for (size_t i = 0; i < KNELL_GLOBAL_TAGS; i++) {
        tags[i].seq &= ~1ull;
        tags[i].ready = tags[i].ready == 1;
    }
}

static void copy_ring(
    struct knell_journal_block *ring, const struct knell_journal_block *of)
{
    copy_words(ring, of, of->n_bytes);
    uint8_t *slots = (uint8_t *)(ring + 1);
    for (uint32_t i = 0; i < ring->n_slots; i++) {
        struct knell_journal_crumb *slot = (void *)(slots + (size_t)i * ring->slot_bytes);
        if (slot->seq & 1)
            slot->seq = 0;
    }
    /* Now, so that no slot was written for one that is still to come. */
    ring->next = __atomic_load_n(&of->next, __ATOMIC_ACQUIRE);
}

/* Of the threads only this one is in the child: the others' blocks are free there. */
static void copy_blocks(size_t at, size_t end)
{
    while (at < end) {
        struct knell_journal_block *b = (void *)((uint8_t *)kept.copy + at);
        const struct knell_journal_block *of = (void *)((uint8_t *)kept.head + at);
        if (of->type == KNELL_BLOCK_CRUMBS) {
            copy_ring(b, of);
        } else if (of == kn_self_tls.block) {
            copy_words(b, of, of->n_bytes);
        } else {
            *b = (struct knell_journal_block){.type = of->type, .n_bytes = of->n_bytes};
            kn_block_scope(b)->capacity = KN_LIST_BYTES;
        }
        if (!of->n_bytes) /* its page is lost */
            break;
        at += of->n_bytes;
    }
}

void kn_journal_fork_prepare(void)
{
    const struct kn_areas *a = kn_areas_current();
    kept.head = NULL;
    if (!a || a->in_child) /* a fork of a private copy is one */
        return;
    int saved = errno;
    kept.n_bytes = a->head->total_bytes;
    void *copy = mmap(NULL, kept.n_bytes, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    errno = saved;
    if (copy == MAP_FAILED)
        return;
    kept.copy = copy;
    kept.head = a->head;
    uint32_t used = __atomic_load_n(&a->head->used_bytes, __ATOMIC_ACQUIRE);
    uint32_t blocks = a->head->areas[KNELL_AREA_BLOCKS - 1].offset;
    copy_words(copy, a->head, blocks);
    kept.copy->used_bytes = used;
    copy_list(a->global.scope);
    free_busy_tags(in_copy(a->tags));
    copy_blocks(blocks, used);
}

void kn_journal_fork_parent(void)
{
    if (kept.head)
        (void)munmap(kept.copy, kept.n_bytes);
    kept.head = NULL;
}

/* Put the copy in the journal's place. Returns whether it is there. */
static bool become_private(struct kn_journal *j)
{
    struct kn_areas *a = j->areas;
    if (a->in_child)
        return true;
    if (kept.head != j->head || mremap(kept.copy, kept.n_bytes, kept.n_bytes,
                                    MREMAP_MAYMOVE | MREMAP_FIXED, j->head) == MAP_FAILED)
        return false;
    kept.head = NULL;
    /* Blocks that other threads took after the copy was made. */
    const uint8_t *end = (uint8_t *)j->head + j->head->used_bytes;
    for (size_t i = 0; i < KN_MAX_STRIPES; i++) {
        if ((const uint8_t *)a->stripes[i] >= end)
            a->stripes[i] = NULL;
    }
    while (a->n_threads && (const uint8_t *)a->threads[a->n_threads - 1] >= end)
        a->n_threads--;
    return true;
}

void kn_journal_fork_child(struct kn_journal *j)
{
    if (j->head) {
        bool ok = become_private(j);
        j->areas->in_child = true;
        j->areas->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
        if (ok) {
            j->head->pid = (uint32_t)getpid();
            j->head->flags |= KNELL_JOURNAL_FORKED;
        } else {
            /* Nothing is said in this child rather than in its parent's name. */
            kn_areas_publish(NULL);
            kn_self_tls = (struct kn_self){0};
            j->head = NULL;
            j->words = NULL;
        }
        kn_file_close(&j->file);
    }
    kn_journal_fork_parent();
}
