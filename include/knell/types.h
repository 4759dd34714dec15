/**
 * What the other headers of knell share: levels, typed values, event ids.
 */
#ifndef KNELL_TYPES_H
#define KNELL_TYPES_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define KNELL_API __attribute__((visibility("default")))
#define KNELL_FORMAT(at, first) __attribute__((format(printf, at, first)))
#else
#define KNELL_API
#define KNELL_FORMAT(at, first)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* 0 is left free, so that a zeroed structure says "not set". */
enum knell_level {
    KNELL_LEVEL_DEBUG = 1,
    KNELL_LEVEL_INFO = 2,
    KNELL_LEVEL_WARNING = 3,
    KNELL_LEVEL_ERROR = 4,
    KNELL_LEVEL_FATAL = 5,
};

/* 32 lower-case hex digits; empty when nothing was written. */
struct knell_event_id {
    char text[33];
};

enum knell_data_type {
    KNELL_DATA_TEXT = 1,
    KNELL_DATA_INT = 2,
    KNELL_DATA_DOUBLE = 3,
    KNELL_DATA_BOOL = 4,
};

/* A named value; made by the functions below. Texts are borrowed for the call they are
 * handed to; a NULL text is taken as empty. */
struct knell_data {
    const char *key;
    enum knell_data_type type;
    union {
        const char *text;
        int64_t integer;
        double real;
    } value;
};

static inline struct knell_data knell_text(const char *key, const char *value)
{
    struct knell_data d;
    d.key = key;
    d.type = KNELL_DATA_TEXT;
    d.value.text = value;
    return d;
}

static inline struct knell_data knell_int(const char *key, int64_t value)
{
    struct knell_data d;
    d.key = key;
    d.type = KNELL_DATA_INT;
    d.value.integer = value;
    return d;
}

static inline struct knell_data knell_double(const char *key, double value)
{
    struct knell_data d;
    d.key = key;
    d.type = KNELL_DATA_DOUBLE;
    d.value.real = value;
    return d;
}

static inline struct knell_data knell_bool(const char *key, int value)
{
    struct knell_data d;
    d.key = key;
    d.type = KNELL_DATA_BOOL;
    d.value.integer = value != 0;
    return d;
}

#ifdef __cplusplus
}
#endif

#endif
