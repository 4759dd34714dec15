/**
 * Minidumps written byte by byte, for tests of what reads them: sound ones, and ones with
 * the fault a test needs. Shares the structures of <knell/minidump.h> with the reader and
 * no code.
 */
#pragma once
#include <knell/minidump.h>
#include <stddef.h>
#include <stdint.h>

struct dump;

/* A dump of amd64 with a system info and nothing else. Aborts without memory. */
struct dump *dump_new(void);
void dump_free(struct dump *d);

/* Bytes at the end of what there is so far; where they are. */
struct knell_md_location dump_put(struct dump *d, const void *bytes, size_t n);
/* A string as minidumps have it; its rva. */
uint32_t dump_string(struct dump *d, const char *text);
/* A stream of given bytes. */
void dump_stream(struct dump *d, uint32_t type, const void *bytes, size_t n);
void dump_stream_text(struct dump *d, uint32_t type, const char *text);

/* Registers by DWARF number: 7 sp, 6 bp, 16 pc. @stack  its bytes from @sp up */
void dump_thread(struct dump *d, uint32_t tid, const char *name,
    const uint64_t registers[17], const void *stack, size_t n_stack);
void dump_module(struct dump *d, uint64_t base, uint32_t size, const char *path,
    const void *build_id, size_t n);
void dump_memory(struct dump *d, uint64_t start, const void *bytes, size_t n);
/* Exception and signal streams. */
void dump_signal(struct dump *d, uint32_t tid, int signo, int code, uint64_t address);
/* A journal head with these words, and nothing behind it. */
void dump_journal(
    struct dump *d, const char *app, const char *release, const char *environment);

/* Lists, directory and header; the bytes live until dump_free(). */
const uint8_t *dump_finish(struct dump *d, size_t *ret_n);
/* Give a whole report that ends with its directory its checksum. */
void dump_seal(uint8_t *bytes, size_t n);

/* A whole small report: two threads, two modules, a null write in "/usr/bin/exampled",
 * a journal, maps, an abort message. */
struct dump *dump_example(void);
