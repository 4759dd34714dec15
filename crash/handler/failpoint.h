/**
 * Named places at which a test makes the handler fault or hang. Nothing in a release:
 * only the objects of the test build define KN_FAILPOINTS.
 */
#pragma once

#ifdef KN_FAILPOINTS
/**
 * Fault or hang when @name is the place that the test chose.
 *
 * Context: signal handler.
 */
void kn_failpoint(const char *name);
#define KN_FAILPOINT(name) kn_failpoint(name)
#else
#define KN_FAILPOINT(name) ((void)0)
#endif
