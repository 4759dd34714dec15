#include "uploader/event/scrub.h"

#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PATTERNS = 64, MAX_TEXT_BYTES = 64 * 1024, MAX_REPLACED = 10000 };

/* Built-in shapes. Each replaces its last group, or all of it when it has none.
 * Keys: those that Sentry's clients filter. */
static const struct {
    const char *pattern;
    int group;
} shapes[] = {
    /* key = value, key: value, "key": "value", --key value */
    {"(auth|token|secret|password|passwd|pwd|api_?-?key|apikey|private_?-?key|access_?-?"
     "key"
     "|session_?-?key|jwt|bearer|sso|saml|csrf|xsrf|credentials?)[A-Za-z0-9_-]*"
     "[\"']?[[:space:]]*[=:][[:space:]]*[\"']?((basic|bearer|token)[[:space:]]+)?"
     "([^[:space:]\"'&,;]+)",
        4},
    {"--?(auth|token|secret|password|passwd|pwd|api-?key|credentials?)[A-Za-z0-9_-]*"
     "[[:space:]]+([^[:space:]-][^[:space:]]*)",
        2},
    {"(bearer|basic)[[:space:]]+([A-Za-z0-9._~+/=-]{8,})", 2},
    {"[a-z][a-z0-9+.-]*://[^/@[:space:]:]*:([^/@[:space:]]+)@", 1},
    {"eyJ[A-Za-z0-9_-]{8,}[.][A-Za-z0-9_-]{8,}[.][A-Za-z0-9_-]*", 0},
    {"(AKIA|ASIA)[A-Z0-9]{16}", 0},
    {"gh[pousr]_[A-Za-z0-9]{30,}", 0},
    {"xox[abprs]-[A-Za-z0-9-]{10,}", 0},
    {"(sk|pk|rk)_(live|test)_[A-Za-z0-9]{10,}", 0},
    {"-----BEGIN [A-Z ]*PRIVATE KEY-----.*", 0},
    {"/(home|Users)/([^/[:space:]\"':]+)", 2},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

struct scrub {
    regex_t shapes[N_SHAPES];
    regex_t own[MAX_PATTERNS];
    size_t n_shapes, n_own;
};

/* Whether a key names a secret: auth, token, secret, password ... */
static bool scrub_is_secret_key(const char *key, size_t n)
{
    static const char *const words[] = {"auth", "token", "secret", "password", "passwd",
        "pwd", "apikey", "api_key", "api-key", "private_key", "jwt", "bearer", "sso",
        "saml", "csrf", "xsrf", "credential"};
    char lower[64];
    if (n >= sizeof lower)
        n = sizeof lower - 1;
    for (size_t i = 0; i < n; i++)
        lower[i] = (char)tolower((unsigned char)key[i]);
    lower[n] = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strstr(lower, words[i]))
            return true;
    }
    return false;
}

static int add_own(struct scrub *s, const char *line, char *note, size_t n_note)
{
    if (!*line)
        return 0;
    int err = s->n_own < MAX_PATTERNS
                  ? regcomp(&s->own[s->n_own], line, REG_EXTENDED | REG_ICASE)
                  : REG_ESPACE;
    if (!err)
        s->n_own++;
    else if (!*note)
        (void)snprintf(note, n_note, "not a pattern: %s", line);
    return 0;
}

int scrub_new(const char *patterns, struct scrub **ret, char *note, size_t n_note)
{
    struct scrub *s = calloc(1, sizeof *s);
    note[0] = 0;
    if (!s)
        return -ENOMEM;
    for (; s->n_shapes < N_SHAPES; s->n_shapes++) {
        bool exact = strstr(shapes[s->n_shapes].pattern, "A-Z0-9]{16}") != NULL;
        if (regcomp(&s->shapes[s->n_shapes], shapes[s->n_shapes].pattern,
                REG_EXTENDED | (exact ? 0 : REG_ICASE)) != 0) {
            scrub_free(s);
            return -ENOMEM;
        }
    }
    CLEANUP(free_p) char *copy = strdup(patterns ? patterns : "");
    if (!copy) {
        scrub_free(s);
        return -ENOMEM;
    }
    char *rest = copy, *line;
    while ((line = strsep(&rest, "\n"))) {
        int err = add_own(s, line, note, n_note);
        if (err) {
            scrub_free(s);
            return err;
        }
    }
    *ret = s;
    return 0;
}

void scrub_free(struct scrub *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n_shapes; i++)
        regfree(&s->shapes[i]);
    for (size_t i = 0; i < s->n_own; i++)
        regfree(&s->own[i]);
    free(s);
}

/* Replaces each match's @group in *@text. */
static int replace(const regex_t *re, int group, char **text)
{
    regmatch_t m[8];
    size_t at = 0;
    for (int i = 0; i < MAX_REPLACED; i++) {
        int flags = at ? REG_NOTBOL : 0;
        if (regexec(re, *text + at, 8, m, flags) != 0)
            return 0;
        regmatch_t g = m[group];
        if (g.rm_so < 0 || g.rm_so == g.rm_eo) { /* nothing there: go on behind it */
            at += m[0].rm_eo > 0 ? (size_t)m[0].rm_eo : 1;
            if (at >= strlen(*text))
                return 0;
            continue;
        }
        size_t start = at + (size_t)g.rm_so, end = at + (size_t)g.rm_eo;
        size_t n = strlen(*text), with = sizeof SCRUB_FILTERED - 1;
        if (end - start == with && !memcmp(*text + start, SCRUB_FILTERED, with)) {
            at = end;
            continue;
        }
        char *out = malloc(n - (end - start) + with + 1);
        if (!out)
            return -ENOMEM;
        memcpy(out, *text, start);
        memcpy(out + start, SCRUB_FILTERED, with);
        memcpy(out + start + with, *text + end, n - end + 1);
        free(*text);
        *text = out;
        at = start + with;
    }
    return 0;
}

static bool luhn(const char *digits, int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++) {
        int d = digits[n - 1 - i] - '0';
        d = i % 2 ? d * 2 : d;
        sum += d > 9 ? d - 9 : d;
    }
    return sum % 10 == 0;
}

/* Card numbers: 13 to 19 digits, with blanks or dashes between, that pass the check. */
static void mask_cards(char *s)
{
    for (char *p = s; *p; p++) {
        char digits[20];
        int n = 0;
        char *q = p;
        if (!isdigit((unsigned char)*p) || (p > s && isalnum((unsigned char)p[-1])))
            continue;
        for (; *q && n < 20 &&
               (isdigit((unsigned char)*q) ||
                   ((*q == ' ' || *q == '-') && isdigit((unsigned char)q[1])));
             q++) {
            if (isdigit((unsigned char)*q))
                digits[n++] = *q;
        }
        if (n >= 13 && n <= 19 && !isalnum((unsigned char)*q) && luhn(digits, n)) {
            for (char *k = p; k < q; k++)
                *k = isdigit((unsigned char)*k) ? '*' : *k;
        }
        p = q - 1;
    }
}

int scrub_text(const struct scrub *s, const char *text, char **ret)
{
    CLEANUP(free_p) char *out = strndup(text, MAX_TEXT_BYTES);
    if (!out)
        return -ENOMEM;
    int err = 0;
    for (size_t i = 0; !err && i < s->n_shapes; i++)
        err = replace(&s->shapes[i], shapes[i].group, &out);
    for (size_t i = 0; !err && i < s->n_own; i++)
        err = replace(&s->own[i], 0, &out);
    if (err)
        return err;
    mask_cards(out);
    *ret = out;
    out = NULL;
    return 0;
}

int scrub_json(const struct scrub *s, cJSON *json)
{
    int err = 0;
    for (cJSON *i = json ? json->child : NULL; i && !err; i = i->next) {
        bool scalar = cJSON_IsString(i) || cJSON_IsNumber(i);
        if (cJSON_IsString(i)) {
            bool secret = i->string && scrub_is_secret_key(i->string, strlen(i->string));
            char *clean = secret ? strdup(SCRUB_FILTERED) : NULL;
            err = secret ? (clean ? 0 : -ENOMEM) : scrub_text(s, i->valuestring, &clean);
            if (!err && strcmp(clean, i->valuestring) != 0 &&
                !cJSON_SetValuestring(i, clean))
                err = -ENOMEM;
            free(clean);
        }
        if (!scalar)
            err = scrub_json(s, i);
    }
    return err;
}

/* "/home/ann/x" to "/home/[Filtered]/x" in place of @i's value; 1 when it changed. */
static int scrub_home(cJSON *i)
{
    static const char *const roots[] = {"/home/", "/Users/"};
    for (size_t k = 0; k < sizeof roots / sizeof *roots; k++) {
        size_t n = strlen(roots[k]);
        if (strncmp(i->valuestring, roots[k], n) != 0)
            continue;
        const char *rest = strchr(i->valuestring + n, '/');
        if (!rest)
            return 0;
        size_t room = strlen(rest) + n + sizeof SCRUB_FILTERED;
        CLEANUP(free_p) char *out = malloc(room);
        if (!out)
            return -ENOMEM;
        (void)snprintf(out, room, "%s" SCRUB_FILTERED "%s", roots[k], rest);
        return cJSON_SetValuestring(i, out) ? 1 : -ENOMEM;
    }
    return 0;
}

int scrub_homes(cJSON *json)
{
    int err = 0;
    for (cJSON *i = json ? json->child : NULL; i && err >= 0; i = i->next)
        err = cJSON_IsString(i) ? scrub_home(i) : scrub_homes(i);
    return err < 0 ? err : 0;
}
