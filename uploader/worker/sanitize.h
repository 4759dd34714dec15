/**
 * A copy of a report that may leave the machine: stacks keep what a stack walker needs
 * and nothing else.
 */
#pragma once
#include "symbolize/cleanup.h"
#include "uploader/report/crash.h"

/**
 * Replace every word of the stacks and of other captured memory that is neither small,
 * nor points into the thread's own stack, nor into a module, by KNELL_SANITIZED_WORD.
 * Code (executable memory of modules) stays, and so do the general registers, which the
 * event shows, too. Blanked out are vector registers, the host's name, the command
 * line, messages of abort() and of C++ exceptions, whose clean texts the event has, and
 * names of users in paths of home directories.
 *
 * @c    the parsed report
 * @ret  malloc'ed, c->n_bytes long; the caller frees
 * Errors: -ENOMEM.
 * Source: the rules of Breakpad's minidump sanitizer, in words of 8 bytes.
 */
int sanitize_report(const struct crash *c, uint8_t **ret) MUST_CHECK;
