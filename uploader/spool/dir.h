/**
 * A spool on disk: open it, list a folder, move a report, read a report safely. Every
 * access goes through the descriptors held here, never through a path, and follows no
 * link, so that nobody who can write to the spool can lead its reader elsewhere.
 */
#pragma once
#include "uploader/spool/name.h"

#include <limits.h>
#include <stddef.h>
#include <sys/stat.h>

enum spool_state {
    SPOOL_LIVE,
    SPOOL_NEW,
    SPOOL_WORK,
    SPOOL_WAIT,
    SPOOL_HOLD,
    SPOOL_SENT,
    SPOOL_BAD,
    SPOOL_N_STATES,
};

struct spool {
    int fd;                       /* the spool's own folder */
    int state_fd[SPOOL_N_STATES]; /* -1: that folder is missing (never after create) */
    int lock_fd;                  /* -1: not locked by us */
    uid_t owner;                  /* of the spool's folder: reports must be its */
    char *path;                   /* as opened, for messages only */
};

/* Folder of a spool that imported bundles bring their symbols to: HEX/debuginfo, … */
#define SPOOL_SYMBOLS "symbols"

struct spool_list {
    struct spool_name *names;
    size_t n, capacity;
};

/* "new", "work", …; static. */
const char *spool_state_name(enum spool_state state);
/* Returns the state or -EINVAL. */
int spool_state_parse(const char *text) MUST_CHECK;

/**
 * @path    of the spool; links in it are the administrator's affair and are followed
 * @create  make the folder and its seven folders (0700) when missing
 * @ret     free with spool_close()
 * Errors: -ENOENT no spool there, -ENOTDIR, -EACCES, -EXDEV when a state's folder lies on
 * another filesystem (a rename would not be atomic), -EPERM when others may write to the
 * spool or it is neither ours, nor root's, nor are we root; -ENOMEM.
 */
int spool_open(const char *path, bool create, struct spool **ret) MUST_CHECK;
void spool_close(struct spool *s);

/* mkdir -p: the last folder private, those on the way by the umask; what is there already
 * is left as it is. Returns 0 or a negative errno. */
int spool_make_path(const char *path) MUST_CHECK;

/**
 * A new file, or a folder unless it is there, in a folder of the spool. What root makes
 * is the folder's owner's, who could not go on with it otherwise.
 *
 * @flags  O_WRONLY, O_RDWR, O_APPEND
 * Returns an open descriptor (0 for a folder), -EEXIST, or a negative errno.
 */
int spool_make_file(int dir_fd, const char *file, int flags) MUST_CHECK;
int spool_make_folder(int dir_fd, const char *name) MUST_CHECK;
/* Open a file of the spool's own, or make it. No link is followed. */
int spool_keep_file(int dir_fd, const char *file, int flags) MUST_CHECK;

/* Become the one uploader at work; released by the kernel when the process ends.
 * Returns 0, -EBUSY when another holds it, or a negative errno. */
int spool_lock(struct spool *s) MUST_CHECK;
void spool_unlock(struct spool *s);
/* Whether there is one; makes no file. */
bool spool_is_locked(const struct spool *s);

/**
 * Visit every entry of a folder in no order, "." and ".." and names that begin with a dot
 * left out.
 *
 * @visit  gets the file name and, when it is in the report grammar, its fields (else
 *         NULL); a result other than 0 ends the walk and is returned
 */
int spool_each(const struct spool *s, enum spool_state state,
    int (*visit)(void *ctx, const char *file, const struct spool_name *name),
    void *ctx) MUST_CHECK;

/* Append the parsed names of a folder to @list (zeroed at first); other names are
 * skipped. Free with spool_list_done(). Returns 0 or a negative errno; on error nothing
 * was lost from the list. */
int spool_list_add(
    const struct spool *s, enum spool_state state, struct spool_list *list) MUST_CHECK;
void spool_list_sort(struct spool_list *list); /* oldest first, then by event id */
void spool_list_done(struct spool_list *list);

/* Whether a report of this event lies in any folder but live/, under whatever name.
 * Returns 1, 0, or a negative errno. */
int spool_has_event(const struct spool *s,
    const uint8_t event_id[static SPOOL_EVENT_ID_BYTES]) MUST_CHECK;

/**
 * One rename inside the spool. Nothing is overwritten.
 *
 * @as  the name at the goal; NULL: as it was
 * Errors: -ENOENT (somebody else moved it), -EEXIST, or what the file system said.
 */
int spool_move(const struct spool *s, enum spool_state from,
    const struct spool_name *name, enum spool_state to,
    const struct spool_name *as) MUST_CHECK;

/* As spool_move(), for any single file name (no slash). */
int spool_move_file(const struct spool *s, enum spool_state from, const char *file,
    enum spool_state to, const char *as) MUST_CHECK;

/* fsync the folders a batch of moves touched. */
int spool_sync(const struct spool *s, enum spool_state state) MUST_CHECK;

/**
 * Open a file of the spool for reading after the checks that a hostile spool needs: no
 * link followed, no FIFO waited for, a regular file with one name, owned by the spool's
 * owner (or us), not writable by others, at most @max_bytes long.
 *
 * @ret_stat  of the open file; may be NULL
 * Errors: -ELOOP link, -EBADF not a regular file, -EMLINK other names, -EPERM owner or
 * mode, -E2BIG; -EACCES a policy of this machine's; else open(2)'s.
 */
int spool_open_file(const struct spool *s, enum spool_state state, const char *file,
    uint64_t max_bytes, int *ret_fd, struct stat *ret_stat) MUST_CHECK;

/* What is wrong with a file of which spool_open_file() said @err, in words for people;
 * NULL: the trouble is this machine's, and the file may be sound. Static. */
const char *spool_fault(int err);

/* Read a whole file once into memory; the writer may still hold it, so only this copy is
 * ever looked at. @ret is malloc'd and never NULL, even for an empty file.
 * Errors: -E2BIG when it grew over @max_bytes, -ENOMEM, read(2)'s. */
int spool_read_all(int fd, uint64_t max_bytes, uint8_t **ret, size_t *ret_n) MUST_CHECK;

/**
 * Put a file into bad/ unread, with one line of reason beside it.
 *
 * @file  any name of the folder; the goal keeps it when it is free there, and its .why
 * has the name before the suffix
 * @why   one line; control characters are replaced
 */
int spool_quarantine(const struct spool *s, enum spool_state from, const char *file,
    const char *why) MUST_CHECK;

/* NAME.why for a file of bad/: its report's or segment's suffix left out, any other name
 * kept whole. -ENAMETOOLONG. */
int spool_why_name(const char *file, char out[static NAME_MAX + 1]) MUST_CHECK;

/**
 * Write a small file of the spool's own folder so that a reader sees the old one or the
 * new one, whole: temporary file, fsync, rename, fsync of the folder. Durable on return,
 * so that what it stands for may be removed elsewhere.
 *
 * @dir_fd  an open folder (not O_PATH); @file a single name in it
 */
int spool_replace_file(
    int dir_fd, const char *file, const void *bytes, size_t n) MUST_CHECK;

/* The same, but durable only after a syncfs(2) of the caller's: one for many files. */
int spool_replace_file_later(
    int dir_fd, const char *file, const void *bytes, size_t n) MUST_CHECK;
