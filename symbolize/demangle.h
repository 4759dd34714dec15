/**
 * Mangled C++ and Rust names made readable, through libiberty, within bounds.
 */
#pragma once
#include "symbolize/store.h"

#include <stdbool.h>

/**
 * The readable form of a name: demangled when it is @on, and without what the
 * compiler appended to a copy (.constprop.0, .isra.0, .part.0, .cold, .llvm.123 …).
 * A name that is not mangled, or too long, or that grows too long, is kept as it is.
 *
 * @out  owns the text, unless it is @name itself
 * Returns NULL without memory only.
 */
const char *demangle(struct store *out, const char *name, bool on) MUST_CHECK;
