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
 * Returns how many there are now, or a negative errno.
 */
int unadopted_take_in(struct spool *s) MUST_CHECK;
