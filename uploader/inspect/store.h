/**
 * The reports of one spool or of all: file names and index, nothing opened. Which spool
 * is meant when nobody says: $KNELL_SPOOL, else every spool under the system's and the
 * user's folder.
 */
#pragma once
#include "uploader/inspect/session.h"
#include "uploader/spool/index.h"

struct store_spool {
    struct spool *spool;
    struct index *index;
};

struct report {
    struct spool_name name;
    uint32_t spool; /* index into store.spools */
    uint32_t state; /* enum spool_state */
};

enum { STORE_MAX_SPOOLS = 256 };

struct store {
    struct store_spool *spools;
    size_t n_spools;
    struct report *reports; /* in order by store_newest() only */
    size_t n_reports, n_sorted;
    int refused; /* why a spool is not among them: negative errno of the last; 0 */
    unsigned n_unadopted; /* deaths that became no report yet, see unadopted.h */
};

/**
 * Open what the options name and list it.
 *
 * @ret  close with store_close() also after a failure
 * Returns 0 or a negative errno, after a message on stderr. No spool at all is -ENOENT.
 * Where some can be read and others not it is 0, and @refused is set.
 */
int store_open(struct session *s, struct store *ret) MUST_CHECK;
void store_close(struct store *t);

/* Say on stderr that a spool cannot be read. */
void store_complain(const struct session *s, const char *path, int err);

/* The report that is number @i, below n_reports, from the newest on; sorts no more than
 * that takes. It stays where it is from then on. */
struct report *store_newest(struct store *t, size_t i);

/* The spool to work on where a command needs exactly one.
 * Returns 0, or -ENOENT or -EINVAL (several) after a message. */
int store_open_one(struct session *s, struct store *ret) MUST_CHECK;

/* Paths of the spools that the options name; free each and the array with
 * store_paths_free(). Returns their number or a negative errno. */
int store_paths(const struct options *o, char ***ret) MUST_CHECK;
void store_paths_free(char **paths, int n);
