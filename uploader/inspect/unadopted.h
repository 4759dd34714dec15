/**
 * Deaths that the spool does not list yet: what a dead process left in live/ becomes a
 * report when the uploader runs, or at once with unadopted_take_in().
 */
#pragma once
#include "uploader/inspect/session.h"
#include "uploader/spool/dir.h"

/* Dead processes with something to report. Opens the files of live/ that no process
 * holds; changes nothing. */
unsigned unadopted_count(const struct spool *s);

/* "1 process died ...: `knell verify --repair` takes its report in." Nothing when @n is
 * 0. */
void unadopted_tell(FILE *f, unsigned n);

/**
 * Make reports of them, as the uploader does. The caller holds the spool's lock.
 *
 * @ret_taken  how many are reports now, also after an error
 * Returns 0, or the negative errno for which some were left as they are.
 */
int unadopted_take_in(struct spool *s, unsigned *ret_taken) MUST_CHECK;
