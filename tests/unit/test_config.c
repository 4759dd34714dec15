#include "test.h"
#include "tmpdir.h"

#include "uploader/config.h"
#include "uploader/destinations.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct config_set load(const struct config_sources *s)
{
    struct config_set c = {0};
    CHECK_INT(config_load(s, &c), 0);
    return c;
}

static void text(const char *dir, const char *file, const char *what)
{
    test_write_file(dir, file, what, strlen(what));
}

static void built_in_values_stand(void)
{
    struct config_set c = load(&(struct config_sources){.root = "/nonexistent"});
    CHECK_INT(c.n_notes, 0);
    CHECK(!c.values.dsn);
    CHECK(c.values.enabled);
    CHECK_INT(c.values.concurrency, 4);
    CHECK_INT(c.values.connect_timeout_ms, 10000);
    CHECK_INT(c.values.retry_max_ms, 6 * 3600000);
    CHECK_INT(c.values.max_bytes_per_day, 24 << 20);
    CHECK(c.values.max_rate.is_auto);
    config_done(&c);
}

static void later_sources_win(void)
{
    const char *root = test_tmpdir();
    text(root, "etc/knell/knell.conf",
        "# a comment\n[upload]\ndsn = http://a@h/1\nconcurrency = 2\n"
        "total_timeout = 5m\n retry_base=1s\n[spool]\npath=/one\n"
        "[throttle]\nper_signature = 5/2h\n");
    text(root, "etc/knell/knell.conf.d/20-b.conf", "[upload]\nconcurrency=6\n");
    text(root, "etc/knell/knell.conf.d/10-a.conf", "[upload]\nconcurrency=5\n");
    text(root, "etc/knell/knell.conf.d/ignored.txt", "[upload]\nconcurrency=7\n");
    char *env[] = {"SENTRY_DSN=http://b@h/1", "KNELL_UPLOAD_RETRY_BASE=2s",
        "KNELL_SPOOL=/two", "OTHER=x", NULL};
    struct config_set c = load(&(struct config_sources){.root = root, .environ_ = env});
    CHECK_INT(c.n_notes, 0);
    CHECK_STR(c.values.dsn, "http://b@h/1");
    CHECK_INT(c.values.concurrency, 6);
    CHECK_INT(c.values.total_timeout_ms, 300000);
    CHECK_INT(c.values.retry_base_ms, 2000);
    CHECK_STR(c.values.spool, "/two");
    CHECK_INT(c.values.per_signature.count, 5);
    CHECK_INT(c.values.per_signature.per_ms, 7200000);
    config_done(&c);
    char *more[] = {"KNELL_DSN=", "SENTRY_DSN=http://b@h/1", NULL};
    const char *const line[] = {"upload.concurrency=1", NULL};
    c = load(&(struct config_sources){.root = root, .environ_ = more, .overrides = line});
    CHECK_STR(c.values.dsn, ""); /* set and empty: send nothing */
    CHECK_INT(c.values.concurrency, 1);
    config_done(&c);
}

static void mistakes_are_noted_and_harm_nothing(void)
{
    const char *dir = test_tmpdir();
    char file[512];
    snprintf(file, sizeof file, "%s/x.conf", dir);
    text(dir, "x.conf",
        "[upload]\nconcurrency = many\nconcurency = 3\nenabled = perhaps\n"
        "connect_timeout = 10 parsecs\nconsent = never\nmax_bytes_per_day = "
        "99999999999999999999G\nmax_rate = 1/0\nwhat is this\n"
        "include = missing.conf\ninclude = more/y.conf\n");
    text(dir, "more/y.conf", "[upload]\nproxy = http://u:p@proxy:3128\n");
    struct config_set c = load(&(struct config_sources){.file = file});
    CHECK_INT(c.n_notes, 9);
    int errors = 0;
    for (size_t i = 0; i < c.n_notes; i++)
        errors += c.notes[i].error;
    CHECK_INT(errors, 8); /* the unknown key is a warning */
    CHECK(strstr(c.notes[0].text, "x.conf:2: upload.concurrency"));
    CHECK_INT(c.values.concurrency, 4);
    CHECK_STR(c.values.proxy, "http://u:p@proxy:3128");
    config_done(&c);
    text(dir, "x.conf", "include = x.conf\n"); /* itself */
    c = load(&(struct config_sources){.file = file});
    CHECK(c.n_notes >= 1);
    config_done(&c);
}

static void secrets_come_from_files_and_are_masked(void)
{
    const char *dir = test_tmpdir();
    char setting[512], env[512];
    text(dir, "dsn", "https://key:secret@h.example/1\n");
    snprintf(setting, sizeof setting, "upload.dsn_file=%s/dsn", dir);
    const char *const line[] = {
        setting, "upload.otlp_headers=authorization=abc,origin=https://x", NULL};
    struct config_set c =
        load(&(struct config_sources){.file = "/dev/null", .overrides = line});
    CHECK_STR(c.values.dsn, "https://key:secret@h.example/1");
    for (size_t i = 0; i < config_n_keys(); i++) {
        struct config_line l;
        config_describe(&c, i, &l);
        CHECK(!strstr(l.value, "secret") && !strstr(l.value, "abc"));
        if (!strcmp(l.key, "dsn")) {
            CHECK_STR(l.value, "https://***@h.example/1");
            CHECK(strstr(l.origin, "/dsn"));
        }
    }
    config_done(&c);
    text(dir, "knell.dsn", "https://k@h/2");
    snprintf(env, sizeof env, "CREDENTIALS_DIRECTORY=%s", dir);
    char *environment[] = {env, NULL};
    c = load(&(struct config_sources){.file = "/dev/null", .environ_ = environment});
    CHECK_STR(c.values.dsn, "https://k@h/2");
    config_done(&c);
    /* One that is there and cannot be read is told of; none is none. */
    char credential[300];
    (void)snprintf(credential, sizeof credential, "%s/knell.dsn", dir);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(unlink(credential), 0);
        CHECK(i || symlink("knell.dsn", credential) == 0);
        c = load(&(struct config_sources){.file = "/dev/null", .environ_ = environment});
        CHECK(!c.values.dsn);
        CHECK_INT(c.n_notes, !i);
        CHECK(i || (c.notes[0].error && strstr(c.notes[0].text, "knell.dsn: ")));
        config_done(&c);
    }
}

static void every_value_is_shown_as_it_can_be_written(void)
{
    struct config_set a = load(&(struct config_sources){.file = "/dev/null"});
    for (size_t i = 0; i < config_n_keys(); i++) {
        struct config_line l, again;
        char setting[800];
        config_describe(&a, i, &l);
        CHECK(*l.doc && !strcmp(l.origin, "built-in"));
        snprintf(setting, sizeof setting, "%s.%s=%s", l.section, l.key, l.value);
        const char *const line[] = {setting, NULL};
        struct config_set b =
            load(&(struct config_sources){.file = "/dev/null", .overrides = line});
        CHECK_INT(b.n_notes, 0);
        config_describe(&b, i, &again);
        CHECK_STR(again.value, l.value);
        CHECK_STR(again.origin, "command line");
        config_done(&b);
    }
    config_done(&a);
}

static void do_not_track_is_no_consent(void)
{
    char *env[] = {"DO_NOT_TRACK=1", NULL};
    struct config_set c =
        load(&(struct config_sources){.file = "/dev/null", .environ_ = env});
    CHECK_INT(c.values.consent, CONFIG_CONSENT_NO);
    config_done(&c);
}

static struct config_set with_env(char **env)
{
    return load(&(struct config_sources){.file = "/dev/null", .environ_ = env});
}

/* https://opentelemetry.io/docs/specs/otel/protocol/exporter/ */
static void collectors_of_opentelemetry(void)
{
    char *all[] = {"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318",
        "OTEL_EXPORTER_OTLP_HEADERS=a=1", "OTEL_EXPORTER_OTLP_LOGS_HEADERS=b=2",
        "OTEL_EXPORTER_OTLP_TIMEOUT=2500", "OTEL_EXPORTER_OTLP_COMPRESSION=gzip",
        "OTEL_EXPORTER_OTLP_CERTIFICATE=/ca", "OTEL_EXPORTER_OTLP_CLIENT_KEY=/key",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=/cert",
        "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", NULL};
    struct config_set c = with_env(all);
    CHECK_INT(c.n_notes, 0);
    CHECK_STR(c.values.otlp_endpoint, "http://c:4318");
    CHECK_STR(c.values.otlp_headers, "b=2"); /* the one for logs wins */
    CHECK_INT(c.values.otlp_timeout_ms, 2500);
    CHECK_INT(c.values.otlp_compression, CONFIG_COMPRESS_GZIP);
    CHECK_STR(c.values.otlp_ca_file, "/ca");
    CHECK_STR(c.values.otlp_client_key, "/key");
    CHECK_STR(c.values.otlp_client_cert, "/cert");
    struct destination d[4];
    CHECK_INT(destinations_of(&c.values, d, 4, NULL, NULL), 1);
    CHECK_STR(d[0].url, "http://c:4318/v1/logs");
    destination_done(&d[0]);
    config_done(&c);
    char *whole[] = {"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=https://l:1/as/it/is/", NULL};
    c = with_env(whole);
    CHECK_INT(destinations_of(&c.values, d, 4, NULL, NULL), 1);
    CHECK_STR(d[0].url, "https://l:1/as/it/is/");
    CHECK(!d[0].traces_url);
    destination_done(&d[0]);
    config_done(&c);
    /* Not ours to use, or not wanted. */
    static const char *const not_used[] = {"OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
        "OTEL_LOGS_EXPORTER=none", "OTEL_LOGS_EXPORTER=console",
        "KNELL_DSN=", "SENTRY_DSN="};
    for (size_t i = 0; i < sizeof not_used / sizeof *not_used; i++) {
        char *env[] = {"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318",
            (char *)(uintptr_t)not_used[i], NULL};
        c = with_env(env);
        CHECK_INT(destinations_of(&c.values, d, 4, NULL, NULL), 0);
        CHECK_INT(c.n_notes, strstr(not_used[i], "grpc") != NULL);
        config_done(&c);
    }
    /* A vendor's key goes to the vendor or nowhere. */
    static const char *const elsewhere[] = {"OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
        "KNELL_UPLOAD_OTLP_ENDPOINT=http://d:4318", "OTEL_LOGS_EXPORTER=none"};
    for (size_t i = 0; i < 2 * (sizeof elsewhere / sizeof *elsewhere); i++) {
        char *env[] = {"OTEL_EXPORTER_OTLP_HEADERS=key=1",
            "OTEL_EXPORTER_OTLP_CLIENT_KEY=/key", (char *)(uintptr_t)elsewhere[i / 2],
            i % 2 ? "OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318" : NULL, NULL};
        c = with_env(env);
        CHECK(!c.values.otlp_headers);
        CHECK(!c.values.otlp_client_key);
        config_done(&c);
    }
    char *used[] = {"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318",
        "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL=http/json",
        "OTEL_LOGS_EXPORTER=console,otlp", "KNELL_DSN=http://k@h/1", NULL};
    c = with_env(used);
    CHECK_INT(destinations_of(&c.values, d, 4, NULL, NULL), 2);
    destination_done(&d[0]);
    destination_done(&d[1]);
    config_done(&c);
}

static void what_opens_a_collector_is_for_one(void)
{
    static const struct {
        const char *dsn, *beside;
        int own; /* -1: none */
    } rows[] = {{"otlp+http://a", "http://b", 1}, {"http://k@s/1 otlp+http://a", "", 1},
        {"otlp+http://a otlp+http://b", "", -1}, {"otlp+http://a", "nonsense", -1},
        {"otlp+http://a otlp+http://b", "http://c", 2}, {"http://k@s/1", "", -1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct config c = {.dsn = (char *)(uintptr_t)rows[i].dsn,
            .otlp_endpoint = (char *)(uintptr_t)rows[i].beside};
        struct destination d[4];
        size_t n = destinations_of(&c, d, 4, NULL, NULL);
        for (size_t k = 0; k < n; k++) {
            CHECK_INT(d[k].otlp_own, (int)k == rows[i].own);
            destination_done(&d[k]);
        }
    }
}

/* The manual page's settings, one "section.key=default" a line. */
static char *manual_settings(void)
{
    FILE *f = fopen(SOURCE_DIR "/man/knell.conf.5", "r");
    char line[512], section[64] = "", key[64], value[128], *out = calloc(1, 64 * 1024);
    CHECK(f != NULL);
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        if (!strncmp(line, ".Sh", 3))
            *section = 0;
        (void)sscanf(line, ".Ss Section %63s", section);
        int n = *section ? sscanf(line, ".It Cm %63s No = %127[^\n]", key, value) : 0;
        if (n >= 1)
            sprintf(out + strlen(out), "%s.%s=%s\n", section, key, n == 2 ? value : "");
    }
    if (f)
        fclose(f);
    return out;
}

static void the_manual_page_has_every_key_and_no_other(void)
{
    struct config_set c = load(&(struct config_sources){.file = "/dev/null"});
    char *manual = manual_settings();
    size_t n = 0;
    for (const char *p = manual; *p; p++)
        n += *p == '\n';
    CHECK_INT(n, config_n_keys());
    for (size_t i = 0; i < config_n_keys(); i++) {
        struct config_line l;
        char want[800];
        config_describe(&c, i, &l);
        snprintf(want, sizeof want, "%s.%s=%s\n", l.section, l.key, l.value);
        const char *at = strstr(manual, want);
        if (!CHECK(at && (at == manual || at[-1] == '\n')))
            printf("knell.conf(5) lacks %s", want);
    }
    free(manual);
    config_done(&c);
}

TEST_MAIN(TEST(built_in_values_stand), TEST(later_sources_win),
    TEST(mistakes_are_noted_and_harm_nothing),
    TEST(secrets_come_from_files_and_are_masked),
    TEST(every_value_is_shown_as_it_can_be_written), TEST(do_not_track_is_no_consent),
    TEST(collectors_of_opentelemetry), TEST(what_opens_a_collector_is_for_one),
    TEST(the_manual_page_has_every_key_and_no_other))
