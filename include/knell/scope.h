/**
 * What the daemon says about itself while it runs: tags, user, contexts, breadcrumbs.
 * All of it lies in the journal, so it is in every report, even after SIGKILL.
 *
 * Three kinds of scope hold it, each laid over the one before when a report is made:
 *   - the global scope, of the process;
 *   - the calling thread's, between knell_scope_push() and knell_scope_pop();
 *   - a free-standing struct knell_scope, for a connection or a request, while it is
 * bound to a thread by knell_scope_bind(). The knell_set_…() functions write to the
 * innermost one of the calling thread.
 *
 * Nothing here fails for a long text or a full table: it is cut or left out, and counted
 * in knell_status(). Every function may be called at any time by any thread; before
 * knell_start() and after knell_stop() it does nothing (free-standing scopes can be
 * filled all the same). None may be called from a signal handler, but for
 * knell_add_breadcrumb().
 */
#ifndef KNELL_SCOPE_H
#define KNELL_SCOPE_H

#include <knell/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Limits, in bytes unless said otherwise; what is longer is cut at a character. */
enum {
    KNELL_TAG_KEY_MAX = 32, /* letters, digits, _ . : - ; other characters become _ */
    KNELL_TAG_VALUE_MAX = 200,
    KNELL_KEY_MAX = 64,
    KNELL_VALUE_MAX = 1024,
    KNELL_FINGERPRINT_PARTS_MAX = 16,
    KNELL_ATTACHMENT_BYTES_MAX = 2048, /* of knell_attach_bytes() */
    KNELL_ATTACHED_PATH_MAX = 1024,    /* of knell_attach_file(); a longer one is lost */
};

/**
 * Set a tag: a short word to search and group by. Lock-free for the global scope.
 *
 * @key, @value  borrowed; NULL value removes the tag
 */
KNELL_API void knell_set_tag(const char *key, const char *value);

/* Who was served when it happened. Any member may be NULL. */
struct knell_user {
    const char *id, *username, *email, *ip_address;
    const struct knell_data *extra; /* @n_extra more facts */
    size_t n_extra;
};

/* @user  borrowed; replaces what was set before; NULL: nobody. The first one of the
 * global scope is whom the process's session counts for: its id, else email, else
 * username */
KNELL_API void knell_set_user(const struct knell_user *user);

/**
 * Set a named group of facts, shown as a block of its own: {"pool", {size 8, idle 2}}.
 *
 * @values  @n of them, borrowed; they replace the group; n 0 removes it
 */
KNELL_API void knell_set_context(
    const char *group, const struct knell_data *values, size_t n);

/* A single fact outside any group. */
KNELL_API void knell_set_extra(struct knell_data value);

/* How reports are grouped: @n texts; "{{ default }}" stands for knell's own grouping.
 * n 0: back to the default. */
KNELL_API void knell_set_fingerprint(const char *const *parts, size_t n);

/* Level of reports that have none of their own. Crashes stay fatal. */
KNELL_API void knell_set_level(enum knell_level level);

/* What the thread is at, such as "GET /users/{id}"; NULL: nothing. An open transaction
 * (trace.h) has precedence. */
KNELL_API void knell_set_transaction(const char *name);

/* Attach bytes, kept in the journal; at most KNELL_ATTACHMENT_BYTES_MAX, else cut.
 * NULL bytes: take them back. */
KNELL_API void knell_attach_bytes(const char *name, const void *bytes, size_t n);

/**
 * Attach a file: the uploader reads it when it sends the report, as the user the spool
 * belongs to, so it holds what was written up to then. Of a long file the newest part is
 * sent ([event] attached_file_bytes in knell.conf). A symbolic link, a device, a pipe or
 * a file of /proc or /sys is not read, nor, where the kernel has Landlock, one of /run,
 * /dev/shm, /boot or /etc/knell; what was cut or could not be read is said in the event.
 *
 * @name  shown with the report, borrowed; NULL: the path's last part. Setting the same
 *        name again replaces the file
 * @path  borrowed; a relative one is taken from the present working folder. NULL: take
 *        the file of this name back
 */
KNELL_API void knell_attach_file(const char *name, const char *path);

/* Open a scope of the calling thread inside the present one; what is set from now on is
 * forgotten at the pop. Returns 0, or a negative errno, after which pop is a no-op for
 * this level (-ENOMEM). */
KNELL_API int knell_scope_push(void);
KNELL_API void knell_scope_pop(void);

struct knell_scope;

/* A scope of a connection or request, empty. Not thread-safe by itself: use it from one
 * thread at a time, as the connection it belongs to. Free with knell_scope_free(), which
 * accepts NULL and unbinds it from the calling thread. NULL without memory; every
 * function accepts a NULL scope. */
KNELL_API struct knell_scope *knell_scope_new(void);
KNELL_API void knell_scope_free(struct knell_scope *scope);

/**
 * Make a free-standing scope the calling thread's innermost one, until it is unbound or
 * another is bound. The spans that were open in it when it was unbound are open again.
 * Costs a copy of what it holds into the journal: tens of nanoseconds.
 *
 * @scope  must stay until it is unbound, as the thread's end does; NULL: unbind
 */
KNELL_API void knell_scope_bind(struct knell_scope *scope);

/* As the functions without a scope, for one that need not be bound. */
KNELL_API void knell_scope_set_tag(
    struct knell_scope *scope, const char *key, const char *value);
KNELL_API void knell_scope_set_user(
    struct knell_scope *scope, const struct knell_user *user);
KNELL_API void knell_scope_set_context(struct knell_scope *scope, const char *group,
    const struct knell_data *values, size_t n);
KNELL_API void knell_scope_set_extra(struct knell_scope *scope, struct knell_data value);

/**
 * Note a step on the way to what may go wrong. The newest ones (options.max_breadcrumbs)
 * are in every report. No lock, no system call, tens of nanoseconds.
 *
 * Context: any, even a signal handler once the thread has left one breadcrumb before, or
 * started knell: since the last knell_start() of all threads.
 * @category  a word such as "http" or "db"; NULL: none
 * @message   borrowed; cut to fit options.breadcrumb_bytes
 */
KNELL_API void knell_add_breadcrumb(
    enum knell_level level, const char *category, const char *message);

/* As above with @n typed values; those that do not fit are left out. */
KNELL_API void knell_add_breadcrumb_data(enum knell_level level, const char *category,
    const char *message, const struct knell_data *values, size_t n);

#ifdef __cplusplus
}
#endif

#endif
