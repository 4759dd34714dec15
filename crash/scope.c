#include "crash/scope_object.h"
#include "crash/self.h"
#include "crash/session.h"
#include "crash/span.h"
#include "crash/tags.h"
#include "crash/text.h"

#include <errno.h>
#include <knell/knell.h>
#include <stdio.h>
#include <unistd.h>

/* Where a setting goes: the scope given, or the calling thread's innermost one. */
struct target {
    struct kn_areas *areas;     /* NULL: not started; then only @object counts */
    struct knell_scope *object; /* NULL: none */
    struct kn_self *thread;     /* NULL: not the thread's level */
};

/* Whether the bound scope is the thread's innermost level. */
static bool at_bound(const struct kn_self *t)
{
    return t->bound && t->n_lost == t->outer_lost + t->bound_lost &&
           t->list.depth == t->bound_depth + !t->bound_lost;
}

static struct target innermost(void)
{
    struct target to = {.areas = kn_areas_current()};
    if (!to.areas)
        return to;
    struct kn_self *t = kn_self_get(to.areas);
    if (t->list.depth || t->n_lost)
        to.thread = t;
    if (at_bound(t))
        to.object = t->bound;
    return to;
}

static struct target of_object(struct knell_scope *scope)
{
    struct target to = {.areas = kn_areas_current(), .object = scope};
    struct kn_self *t = to.areas ? kn_self_get(to.areas) : NULL;
    /* Below a pushed level the journal gets it at the next bind. */
    if (t && scope && t->bound == scope && at_bound(t))
        to.thread = t;
    return to;
}

static bool nowhere(const struct target *to)
{
    return !to->areas && !to->object;
}

static void noted_cut(const struct target *to, bool cut)
{
    if (cut && to->areas)
        kn_count(to->areas, KNELL_COUNT_CUT);
}

static void put(const struct target *to, const struct kn_entry *entry)
{
    int r = 0;
    if (to->object)
        r = kn_scope_object_put(to->object, entry);
    if (!to->areas)
        return;
    if (to->thread) {
        r = !to->thread->block || to->thread->n_lost
                ? -ENOSPC
                : kn_list_put(&to->thread->list, entry);
    } else if (!to->object) {
        (void)pthread_mutex_lock(&to->areas->lock);
        r = kn_list_put(&to->areas->global, entry);
        (void)pthread_mutex_unlock(&to->areas->lock);
    }
    if (r < 0)
        kn_count(to->areas, KNELL_COUNT_SCOPE_LOST);
}

static void put_text(
    const struct target *to, uint8_t type, const char *key, const char *text, size_t max)
{
    bool cut = false;
    struct kn_entry e = {.type = type,
        .value_type = text ? KNELL_VALUE_TEXT : KNELL_VALUE_NONE,
        .key = key,
        .n_key = kn_text_cut(key, KNELL_KEY_MAX, &cut),
        .value = text,
        .n_value = kn_text_cut(text, max, &cut)};
    put(to, &e);
    noted_cut(to, cut);
}

static void put_value(
    const struct target *to, uint8_t type, const char *group, const struct knell_data *v)
{
    bool cut = false;
    char key[2 * KNELL_KEY_MAX + 1];
    size_t n = 0, n_key = kn_text_cut(v->key, KNELL_KEY_MAX, &cut);
    if (group) {
        n = kn_text_cut(group, KNELL_KEY_MAX, &cut);
        memcpy(key, group, n);
        key[n++] = '\0';
    }
    if (!n_key)
        return;
    memcpy(key + n, v->key, n_key);
    struct kn_entry e = {.type = type, .key = key, .n_key = n + n_key};
    e.value = kn_value_bytes(v, &e.value_type, &e.n_value, &cut);
    put(to, &e);
    noted_cut(to, cut);
}

static void set_tag(const struct target *to, const char *key, const char *value)
{
    if (to->areas && !to->thread && !to->object) {
        int r = kn_tag_set(to->areas->tags, key, value);
        if (r == KN_TAG_LOST)
            kn_count(to->areas, KNELL_COUNT_SCOPE_LOST);
        noted_cut(to, r == KN_TAG_WAS_CUT);
        return;
    }
    char clean_key[KNELL_MAX_TAG_KEY], clean[KNELL_MAX_TAG_VALUE];
    int cut = 0;
    struct kn_entry e = {.type = KNELL_ENTRY_TAG, .key = clean_key};
    e.n_key = kn_tag_key(key, clean_key, &cut);
    if (value) {
        e.value_type = KNELL_VALUE_TEXT;
        e.value = clean;
        e.n_value = kn_tag_value(value, clean, &cut);
    }
    if (e.n_key)
        put(to, &e);
    noted_cut(to, cut);
}

static void set_user(const struct target *to, const struct knell_user *user)
{
    put_text(to, KNELL_ENTRY_USER, "", NULL, 0);
    if (!user)
        return;
    const char *const keys[] = {"id", "username", "email", "ip_address"};
    const char *const values[] = {
        user->id, user->username, user->email, user->ip_address};
    for (int i = 0; i < 4; i++) {
        if (values[i])
            put_text(to, KNELL_ENTRY_USER, keys[i], values[i], 256);
    }
    for (size_t i = 0; user->extra && i < user->n_extra; i++)
        put_value(to, KNELL_ENTRY_USER, NULL, &user->extra[i]);
    const char *who = user->id ? user->id : user->email ? user->email : user->username;
    if (who && *who && to->areas && !to->thread && !to->object)
        kn_session_user(to->areas, who);
}

static void set_context(
    const struct target *to, const char *group, const struct knell_data *values, size_t n)
{
    if (!group || !*group)
        return;
    put_text(to, KNELL_ENTRY_CONTEXT, group, NULL, 0);
    for (size_t i = 0; values && i < n; i++)
        put_value(to, KNELL_ENTRY_CONTEXT, group, &values[i]);
}

void knell_set_tag(const char *key, const char *value)
{
    struct target to = innermost();
    if (!nowhere(&to))
        set_tag(&to, key, value);
}

void knell_set_user(const struct knell_user *user)
{
    struct target to = innermost();
    if (!nowhere(&to))
        set_user(&to, user);
}

void knell_set_context(const char *group, const struct knell_data *values, size_t n)
{
    struct target to = innermost();
    if (!nowhere(&to))
        set_context(&to, group, values, n);
}

void knell_set_extra(struct knell_data value)
{
    struct target to = innermost();
    if (!nowhere(&to))
        put_value(&to, KNELL_ENTRY_EXTRA, NULL, &value);
}

void knell_set_fingerprint(const char *const *parts, size_t n)
{
    struct target to = innermost();
    char all[KNELL_VALUE_MAX];
    size_t at = 0;
    if (!parts)
        n = 0;
    bool cut = n > KNELL_FINGERPRINT_PARTS_MAX;
    if (nowhere(&to))
        return;
    for (size_t i = 0; i < n && i < KNELL_FINGERPRINT_PARTS_MAX; i++) {
        if (i && at < sizeof all)
            all[at++] = '\0';
        size_t len = kn_text_cut(parts[i], sizeof all - at, &cut);
        memcpy(all + at, parts[i] ? parts[i] : "", len);
        at += len;
    }
    struct kn_entry e = {.type = KNELL_ENTRY_FINGERPRINT,
        .value_type = n ? KNELL_VALUE_BYTES : KNELL_VALUE_NONE,
        .value = all,
        .n_value = at};
    put(&to, &e);
    noted_cut(&to, cut);
}

void knell_set_level(enum knell_level level)
{
    struct target to = innermost();
    int64_t value = level;
    struct kn_entry e = {.type = KNELL_ENTRY_LEVEL,
        .value_type = KNELL_VALUE_INT,
        .value = &value,
        .n_value = sizeof value};
    if (!nowhere(&to))
        put(&to, &e);
}

void knell_set_transaction(const char *name)
{
    struct target to = innermost();
    if (!nowhere(&to))
        put_text(&to, KNELL_ENTRY_TRANSACTION, "", name, 200);
}

void knell_attach_bytes(const char *name, const void *bytes, size_t n)
{
    struct target to = innermost();
    bool cut = n > KNELL_ATTACHMENT_BYTES_MAX;
    if (nowhere(&to) || !name || !*name)
        return;
    struct kn_entry e = {.type = KNELL_ENTRY_BYTES,
        .value_type = bytes ? KNELL_VALUE_BYTES : KNELL_VALUE_NONE,
        .key = name,
        .n_key = kn_text_cut(name, KNELL_KEY_MAX, &cut),
        .value = bytes,
        .n_value = !bytes                           ? 0
                   : n < KNELL_ATTACHMENT_BYTES_MAX ? n
                                                    : KNELL_ATTACHMENT_BYTES_MAX};
    put(&to, &e);
    noted_cut(&to, cut);
}

/* Absolute: the uploader is elsewhere. Returns the length, or -1 when it does not fit. */
static int absolute(const char *path, char out[static KNELL_ATTACHED_PATH_MAX + 1])
{
    char cwd[KNELL_ATTACHED_PATH_MAX + 1] = "";
    if (*path != '/' && (!getcwd(cwd, sizeof cwd) || *cwd != '/'))
        return -1;
    int n = snprintf(
        out, KNELL_ATTACHED_PATH_MAX + 1, "%s%s%s", cwd, *path == '/' ? "" : "/", path);
    return n <= KNELL_ATTACHED_PATH_MAX ? n : -1;
}

void knell_attach_file(const char *name, const char *path)
{
    struct target to = innermost();
    char full[KNELL_ATTACHED_PATH_MAX + 1];
    bool cut = false;
    const char *slash = path ? strrchr(path, '/') : NULL;
    if (!name)
        name = slash ? slash + 1 : path;
    if (nowhere(&to) || !name || !*name || (path && !*path))
        return;
    int saved = errno, n = path ? absolute(path, full) : 0;
    errno = saved;
    if (n < 0) {
        if (to.areas)
            kn_count(to.areas, KNELL_COUNT_SCOPE_LOST);
        return;
    }
    struct kn_entry e = {.type = KNELL_ENTRY_FILE,
        .value_type = path ? KNELL_VALUE_TEXT : KNELL_VALUE_NONE,
        .key = name,
        .n_key = kn_text_cut(name, KNELL_KEY_MAX, &cut),
        .value = full,
        .n_value = (size_t)n};
    put(&to, &e);
    noted_cut(&to, cut);
}

int knell_scope_push(void)
{
    int saved = errno;
    struct kn_areas *a = kn_areas_current();
    if (!a)
        return 0;
    struct kn_self *t = kn_self_get(a);
    bool lost = t->n_lost || !kn_self_block(t) || kn_list_push(&t->list);
    t->n_lost += lost;
    errno = saved;
    return lost ? -ENOMEM : 0;
}

void knell_scope_pop(void)
{
    struct kn_areas *a = kn_areas_current();
    struct kn_self *t = a ? kn_self_get(a) : NULL;
    if (!t)
        return;
    if (at_bound(t)) /* it goes by being unbound */
        return;
    if (t->n_lost)
        t->n_lost--;
    else if (t->list.depth)
        kn_list_pop(&t->list, t->list.depth - 1);
}

static void unbind(struct kn_self *t)
{
    if (!t->bound)
        return;
    kn_span_unbind(t, t->bound);
    t->bound = NULL;
    t->n_lost = t->outer_lost;
    if (t->block)
        kn_list_pop(&t->list, t->bound_depth);
}

void knell_scope_bind(struct knell_scope *scope)
{
    struct kn_areas *a = kn_areas_current();
    /* After knell_stop() too the one bound before is the program's to free. */
    struct kn_self *t = a ? kn_self_get(a) : &kn_self_tls;
    int saved = errno;
    unbind(t);
    if (a && scope) {
        bool ok = !t->n_lost && kn_self_block(t) && !kn_list_push(&t->list);
        t->bound = scope;
        t->bound_lost = !ok;
        t->bound_depth = t->list.depth - ok;
        t->outer_lost = t->n_lost;
        t->n_lost += !ok;
        if (ok && kn_list_copy(&t->list, &scope->list))
            kn_count(a, KNELL_COUNT_SCOPE_LOST);
        kn_span_bind(t, scope);
    }
    errno = saved;
}

void knell_scope_set_tag(struct knell_scope *scope, const char *key, const char *value)
{
    struct target to = of_object(scope);
    if (scope)
        set_tag(&to, key, value);
}

void knell_scope_set_user(struct knell_scope *scope, const struct knell_user *user)
{
    struct target to = of_object(scope);
    if (scope)
        set_user(&to, user);
}

void knell_scope_set_context(struct knell_scope *scope, const char *group,
    const struct knell_data *values, size_t n)
{
    struct target to = of_object(scope);
    if (scope)
        set_context(&to, group, values, n);
}

void knell_scope_set_extra(struct knell_scope *scope, struct knell_data value)
{
    struct target to = of_object(scope);
    if (scope)
        put_value(&to, KNELL_ENTRY_EXTRA, NULL, &value);
}
