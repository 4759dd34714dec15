/**
 * The spool, from the side of the process that makes reports: find or make the folders,
 * and this process's two files in live/.
 */
#pragma once
#include "crash/handler/file.h"
#include "crash/settings.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct kn_spool {
    char path[KN_PATH_BYTES];
    struct kn_file dir, live, fresh; /* O_PATH: the spool, live/, new/; where the program
                                        has closed them the path serves */
};
#define KN_SPOOL_NONE                                                                    \
    (struct kn_spool)                                                                    \
    {                                                                                    \
        .dir.fd = -1, .live.fd = -1, .fresh.fd = -1                                      \
    }

/**
 * Open the spool that the settings ask for, making what is missing (0700).
 *
 * Context: normal.
 * @ret  close with kn_spool_done()
 * Returns 0; -EPERM when others may write into it; else the last place's errno.
 */
int kn_spool_init(const struct kn_settings *settings, struct kn_spool *ret);

/**
 * Context: normal. Accepts KN_SPOOL_NONE.
 */
void kn_spool_done(struct kn_spool *s);

/**
 * Make STEM + @suffix in live/, locked by flock(2) for as long as it is open.
 *
 * Context: normal.
 * @ret_fd  read-write, close-on-exec, out of the way of low numbers; owned by the caller
 * Returns 0 or a negative errno.
 */
int kn_spool_create_live(
    const struct kn_spool *s, const char *stem, const char *suffix, int *ret_fd);

/**
 * Give a new file all its blocks, so that a full disk is found out now and not by a
 * SIGBUS later. Beyond RLIMIT_FSIZE it is refused here, since the kernel would answer
 * with a SIGXFSZ as well, which ends the daemon.
 *
 * Context: normal.
 * Returns 0, -EFBIG, or what the file system said.
 */
int kn_spool_allocate(int fd, uint32_t n_bytes);

/**
 * Remove what this process left in live/ before it became another program by execve(2):
 * its files were closed then as by a death, which it was not. What a crash handler had
 * begun on is kept.
 *
 * Context: normal.
 * @own_stem  BOOT-PID-START-EVENT; files with the same first three are the process's own
 */
void kn_spool_forget_earlier(const struct kn_spool *s, const char *own_stem);

/**
 * Remove STEM + @suffix from live/.
 *
 * Context: normal. A file that is not there is no error.
 */
void kn_spool_remove_live(const struct kn_spool *s, const char *stem, const char *suffix);

/**
 * Move STEM + @suffix from live/ to new/.
 *
 * Context: normal.
 * @name  in new/
 * Returns 0 or a negative errno.
 */
int kn_spool_publish(
    const struct kn_spool *s, const char *stem, const char *suffix, const char *name);

/**
 * How many files a folder holds.
 *
 * Context: normal.
 * @folder  KNELL_SPOOL_NEW or another
 * @suffix  of those that count; "": all
 */
uint32_t kn_spool_count(const struct kn_spool *s, const char *folder, const char *suffix);

/**
 * Whether the spool holds work for the uploader: reports in new/, wait/ or work/, or
 * files in live/ whose process is gone.
 *
 * Context: normal.
 * @own_stem  names of this process, not counted
 */
bool kn_spool_has_work(const struct kn_spool *s, const char *own_stem);

/**
 * Whether there is something in new/.
 *
 * Context: normal.
 */
bool kn_spool_has_fresh(const struct kn_spool *s);

/**
 * Note what an open descriptor is.
 *
 * Context: normal.
 * @fd  owned by the result; -1: none
 * Returns none, with errno and the descriptor closed, when that cannot be said.
 */
struct kn_file kn_file_of(int fd);

/**
 * Close it unless the program has done so, and used the number again, perhaps.
 *
 * Context: normal.
 */
void kn_file_close(struct kn_file *f);

/**
 * Move a descriptor to a number at which neither a program's select(2) sets nor its loops
 * that close "all" descriptors usually look.
 *
 * Context: normal.
 * Returns the new number, or @fd itself where the limits do not allow one.
 */
int kn_fd_high(int fd);
