/**
 * Lists, strings, streams and the commit of the report; see include/knell/minidump.h.
 */
#pragma once
#include "crash/handler/state.h"

/**
 * Name a stream of the next commit; a later one of the same type takes its place.
 *
 * Context: signal handler.
 */
void kn_stream(struct kn_capture *c, uint32_t type, uint32_t rva, uint32_t n_bytes);

/**
 * Append one structure or array and name it as a stream.
 *
 * Context: signal handler.
 */
void kn_stream_put(struct kn_capture *c, uint32_t type, const void *p, uint32_t n);

/**
 * Append a string as UTF-16 (MINIDUMP_STRING): one unit per byte of ASCII, characters
 * decoded from UTF-8, what is no UTF-8 taken as Latin-1.
 *
 * Context: signal handler.
 * Returns its offset.
 */
uint32_t kn_put_utf16(struct kn_capture *c, const char *s, size_t n);

/**
 * Append a string as u32 length, bytes, NUL (MinidumpUTF8String).
 *
 * Context: signal handler.
 * Returns its offset.
 */
uint32_t kn_put_utf8(struct kn_capture *c, const char *s);

/**
 * Note a range of memory that lies in the file at @rva.
 *
 * Context: signal handler.
 */
void kn_memory(struct kn_capture *c, uint64_t start, uint32_t rva, uint32_t n);

/**
 * Write memory list, capture log and directory, then the header over the old one: from
 * here on the file is the report it says. When a write failed, or a step without which
 * there is no report, the last commit holds.
 *
 * Context: signal handler.
 * @durable  wait for the disk: what is committed outlives a power cut when this returns
 */
void kn_commit(struct kn_capture *c, bool durable);

/**
 * Make the last commit durable. A report that no signal made is not: its process lives on
 * and is not made to wait for its disk.
 *
 * Context: signal handler.
 */
void kn_make_durable(struct kn_capture *c);
