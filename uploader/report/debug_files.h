/**
 * The debug files that would say more about a report, and what came of asking for them.
 */
#pragma once
#include "symbolize/wish.h"
#include "uploader/report/crash.h"

/* The modules of a symbolized report that lack one, those of the crashed thread first. */
void debug_files_wished(const struct crash *c, struct wishes *w);

/* Set each such module's fetched from the notes in @dir. NULL: nothing is known. */
void debug_files_answers(struct crash *c, const char *dir);
