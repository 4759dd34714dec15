/**
 * Read /proc as far as it is there.
 */
#pragma once
#include "crash/handler/state.h"

/**
 * Open a file of this process's folder in /proc, giving up the spare descriptor when
 * there is no other.
 *
 * Context: signal handler.
 * @name  below /proc/self, such as "task/1/comm"
 * Returns a descriptor or a negative errno.
 */
int kn_proc_open(struct kn_capture *c, const char *name, int flags);

/**
 * Read up to @n bytes of such a file.
 *
 * Context: signal handler.
 * Returns the count or a negative errno.
 */
int kn_proc_read(struct kn_capture *c, const char *name, char *out, uint32_t n);
void kn_close(int fd);
