/**
 * JSON written as it comes, without a tree in between: a list of 100,000 reports takes
 * the memory of one. Strings from reports may be any bytes; the text that leaves is
 * always valid UTF-8 and holds nothing that drives a terminal.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Version of the schema of everything that `knell --json` prints, in "schema". Grows
 * when a member is renamed, removed or changes its meaning; new members do not count. */
enum { JSON_SCHEMA = 1 };

enum { JSON_MAX_DEPTH = 16 };

struct json {
    FILE *f;
    bool pretty; /* two spaces a level; else all on one line */
    unsigned depth;
    bool has_member[JSON_MAX_DEPTH];
};

/* @key  name of the member, static; NULL inside an array and at the top */
void json_object(struct json *j, const char *key);
void json_array(struct json *j, const char *key);
/* Close the innermost object or array. The top one ends with a newline. */
void json_end_object(struct json *j);
void json_end_array(struct json *j);

/* NULL becomes null. Bytes that are not UTF-8 become U+FFFD. */
void json_text(struct json *j, const char *key, const char *s);
void json_text_n(struct json *j, const char *key, const char *s, size_t n);
void json_int(struct json *j, const char *key, int64_t v);
void json_uint(struct json *j, const char *key, uint64_t v);
void json_bool(struct json *j, const char *key, bool v);
void json_null(struct json *j, const char *key);
/* "0x" and lower-case digits: 64-bit addresses do not survive as JSON numbers. */
void json_address(struct json *j, const char *key, uint64_t v);
/* Seconds or milliseconds with a fraction, @digits behind the point. */
void json_number(struct json *j, const char *key, double v, int digits);
/* A number that somebody else chose: as many digits as it takes to read it back. */
void json_double(struct json *j, const char *key, double v);
/* JSON that another writer made, for a terminal: in its strings, what is no UTF-8 or
 * would drive a terminal is escaped, so that the value is the same. */
void json_put(FILE *f, const char *text, size_t n);
/* Like json_text(), but leaves the member out when there is nothing to say. */
void json_text_if(struct json *j, const char *key, const char *s);
