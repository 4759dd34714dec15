/* A program with much inlining, for asking symbolizers about it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node {
    struct node *left, *right;
    unsigned key;
    char text[24];
};

static inline unsigned mix(unsigned h, unsigned v)
{
    h ^= v;
    h *= 0x9e3779b1u;
    return h ^ h >> 15;
}

static inline unsigned hash_text(const char *s)
{
    unsigned h = 7;
    for (; *s; s++)
        h = mix(h, (unsigned char)*s);
    return h;
}

static inline int before(const struct node *a, const struct node *b)
{
    if (a->key != b->key)
        return a->key < b->key;
    return strcmp(a->text, b->text) < 0;
}

static struct node *make(const char *text)
{
    struct node *n = calloc(1, sizeof *n);
    if (!n)
        abort();
    (void)snprintf(n->text, sizeof n->text, "%s", text);
    n->key = hash_text(n->text);
    return n;
}

static struct node *insert(struct node *root, struct node *n)
{
    struct node **at = &root;
    while (*at)
        at = before(n, *at) ? &(*at)->left : &(*at)->right;
    *at = n;
    return root;
}

static inline unsigned weigh(const struct node *n)
{
    unsigned w = mix(n->key, hash_text(n->text));
    return w & 1 ? mix(w, 3) : mix(w, 5);
}

static __attribute__((noinline)) unsigned sum(const struct node *n)
{
    if (!n)
        return 0;
    return weigh(n) + sum(n->left) + sum(n->right);
}

static int by_weight(const void *a, const void *b)
{
    unsigned x = weigh(*(struct node *const *)a), y = weigh(*(struct node *const *)b);
    return x < y ? -1 : x > y;
}

static size_t flatten(struct node *n, struct node **out, size_t at)
{
    if (!n)
        return at;
    at = flatten(n->left, out, at);
    out[at++] = n;
    return flatten(n->right, out, at);
}

static void drop(struct node *n)
{
    if (n) {
        drop(n->left);
        drop(n->right);
        free(n);
    }
}

int main(int argc, char **argv)
{
    enum { N = 64 };
    struct node *root = NULL, *all[N];
    for (int i = 0; i < N; i++) {
        char text[24];
        (void)snprintf(text, sizeof text, "%s-%d", argv[i % argc], i * 7919);
        root = insert(root, make(text));
    }
    size_t n = flatten(root, all, 0);
    qsort(all, n, sizeof *all, by_weight);
    for (size_t i = 0; i < n; i += 16)
        printf("%s %u\n", all[i]->text, weigh(all[i]));
    printf("%u\n", sum(root));
    drop(root);
    return 0;
}
