/**
 * The commands that read reports give up what they do not need before they look at the
 * first byte: an operator runs them as root on what a hostile process may have written.
 */
#pragma once
#include "uploader/inspect/store.h"

/**
 * From now on: root is the owner of the spools, where they are one other user's; no
 * sockets, no new programs, no signals; no file is opened that holds credentials or
 * configuration or belongs to another process; nothing is written but the spools, the
 * symbol cache and the folder of --output. A kernel without Landlock leaves the files
 * open to reading and writing, one without seccomp the rest.
 *
 * Call once everything else is open: the spool, the pager, --output. Reads the
 * configuration, which cannot be read afterwards. A failure is told on stderr and no
 * reason to leave the operator without an answer.
 */
void shut_in(struct session *s, const struct store *t);

/**
 * The first part of it, for who makes something in the spool before: root on another
 * user's spool becomes that user. What a report makes us open is then no more than its
 * owner could have opened himself, and what the index learns is his. Not with a file for
 * --output, which is root's to make, nor where the spools are several users'.
 *
 * Returns 0 or a negative errno.
 */
int become_owner(struct session *s, const struct store *t);

/* The same, once the first report is opened: a list that the index answers alone has
 * nothing to fear and is in a hurry. @t  stays until then */
void shut_in_before_reading(struct session *s, const struct store *t);
/* Called by whatever is about to open a report. */
void shut_in_if_due(struct session *s);
