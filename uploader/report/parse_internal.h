/** What the files of the report reader share. */
#pragma once
#include "symbolize/bytes.h"
#include "uploader/report/arena.h"
#include "uploader/report/parse.h"

struct parser {
    struct crash *c;
    struct bytes file;
    struct knell_md_directory directory[KNELL_MAX_STREAMS];
    uint32_t n_streams;
    /* The thread that the exception names, and its registers there. */
    uint32_t exception_tid;
    struct knell_md_location exception_context;
    struct report_error why;
};

/* Both note @what and where; the first makes the report unreadable and returns @err, the
 * second leaves a part out of it. */
int parse_refuse(struct parser *p, int err, const char *what, uint64_t offset);
void parse_damage(struct parser *p, const char *what, uint64_t offset);

/* The bytes of a stream or another location; empty with err set when they are not inside
 * the file or the stream is absent (err is then -ENODATA). */
struct bytes parse_stream(
    struct parser *p, enum knell_stream_type type, const char *what);
struct bytes parse_at(struct parser *p, struct knell_md_location at, const char *what);

/* A minidump string (UTF-16, length before it) as UTF-8 in the arena, at most @max bytes
 * of it; NULL when damaged (noted) or, with *@err set to -ENOMEM, without memory. */
const char *parse_string(
    struct parser *p, uint64_t rva, size_t max, const char *what, int *err);

/* Threads, modules and memory. Errors as report_read(). */
int parse_threads(struct parser *p) MUST_CHECK;
int parse_modules(struct parser *p) MUST_CHECK;
int parse_memory(struct parser *p) MUST_CHECK;

/* What is optional: absent it is left empty, damaged it is noted. In this order, with the
 * item before the threads and the journal after them. */
void parse_misc(struct parser *p);
void parse_signal(struct parser *p);
void parse_texts(struct parser *p);
int parse_item(struct parser *p) MUST_CHECK;
int parse_other_crashes(struct parser *p) MUST_CHECK;
int parse_prewalked(struct parser *p) MUST_CHECK;
int parse_notes(struct parser *p) MUST_CHECK;
int parse_journal(struct parser *p) MUST_CHECK;
int parse_said(struct parser *p) MUST_CHECK;

/* The registers in a context record of the crash's architecture, and where it lies; false
 * and noted when it is not whole. */
bool parse_registers(struct parser *p, struct knell_md_location at, uint64_t *ret,
    const uint8_t **ret_context);
