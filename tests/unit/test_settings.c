#include "crash/otel.h"
#include "crash/settings.h"

#include <knell/minidump.h>

#include "test.h"
#include <errno.h>
#include <stdlib.h>

static const char *const variables[] = {"SENTRY_RELEASE", "GIT_SHA", "HEROKU_SLUG_COMMIT",
    "SOURCE_VERSION", "VERCEL_GIT_COMMIT_SHA", "RENDER_GIT_COMMIT", "SENTRY_ENVIRONMENT",
    "SENTRY_DIST", "KNELL_SPOOL", "KNELL_DSN", "SENTRY_DSN", "KNELL_UPLOADER",
    "KNELL_START_UPLOADER", "KNELL_DEBUG", "KNELL_SANITIZE", "KNELL_SESSIONS",
    "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME"};

static void forget_environment(void)
{
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
}

static void code_beats_environment(void)
{
    forget_environment();
    setenv("SENTRY_RELEASE", "from-env", 1);
    setenv("SENTRY_ENVIRONMENT", "env", 1);
    setenv("KNELL_DSN", "http://k@h/1", 1);
    struct knell_options o = KNELL_OPTIONS_INIT;
    o.app = "a";
    o.release = "r";
    o.environment = "e";
    o.dsn = "";
    struct kn_settings s;
    CHECK_INT(kn_settings_init(&s, &o), 0);
    CHECK_STR(s.app, "a");
    CHECK_STR(s.release, "r");
    CHECK_STR(s.environment, "e");
    CHECK_STR(s.dsn, "");
    CHECK(s.has_dsn);
}

static void release_is_looked_for_in_order(void)
{
    struct kn_settings s;
    for (int i = 5; i >= 0; i--) {
        if (i == 5)
            forget_environment();
        setenv(variables[i], variables[i], 1);
        CHECK_INT(kn_settings_init(&s, NULL), 0);
        CHECK_STR(s.release, variables[i]);
    }
    forget_environment();
    CHECK_INT(kn_settings_init(&s, NULL), 0);
    CHECK_STR(s.release, "");
    CHECK_STR(s.environment, "production");
    CHECK_STR(s.app, "test_settings");
    CHECK(!s.has_dsn);
    CHECK(s.start_uploader);
    CHECK_INT(s.deadline_ms, 3000);
}

static void dsn_of_knell_comes_first(void)
{
    struct kn_settings s;
    forget_environment();
    setenv("SENTRY_DSN", "http://s@h/1", 1);
    CHECK_INT(kn_settings_init(&s, NULL), 0);
    CHECK_STR(s.dsn, "http://s@h/1");
    setenv("KNELL_DSN", "", 1);
    CHECK_INT(kn_settings_init(&s, NULL), 0);
    CHECK_STR(s.dsn, "");
    CHECK(s.has_dsn);
    forget_environment();
}

static void sessions_are_for_sentry(void)
{
    static const struct {
        const char *dsn, *variable;
        enum knell_switch given;
        bool sessions, of_children;
    } cases[] = {{"https://k@h/1", NULL, KNELL_DEFAULT, true, false},
        {"http://k@h/1", NULL, KNELL_DEFAULT, true, false},
        {"file:///x", NULL, KNELL_DEFAULT, false, false},
        {"", NULL, KNELL_DEFAULT, false, false},
        {"https://k@h/1", "0", KNELL_DEFAULT, false, false},
        {"", "1", KNELL_DEFAULT, true, true},
        {"https://k@h/1", "1", KNELL_OFF, false, false}, {"", "0", KNELL_ON, true, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kn_settings s;
        struct knell_options o = KNELL_OPTIONS_INIT;
        forget_environment();
        if (cases[i].variable)
            setenv("KNELL_SESSIONS", cases[i].variable, 1);
        o.dsn = cases[i].dsn;
        o.sessions = cases[i].given;
        CHECK_INT(kn_settings_init(&s, &o), 0);
        CHECK_INT(s.told.sessions, cases[i].sessions);
        CHECK_INT(s.told.sessions_of_children, cases[i].of_children);
    }
    forget_environment();
}

static void odd_input(void)
{
    struct kn_settings s;
    struct knell_options o = KNELL_OPTIONS_INIT;
    o.app = "../a/b";
    CHECK_INT(kn_settings_init(&s, &o), 0);
    CHECK_STR(s.app, "_._a_b");
    o.size = 4;
    CHECK_INT(kn_settings_init(&s, &o), -EINVAL);
    /* More than a reader takes would cost the whole report. */
    o.size = sizeof o;
    o.max_threads = UINT32_MAX;
    CHECK_INT(kn_settings_init(&s, &o), 0);
    CHECK_INT(s.max_threads, KNELL_MAX_THREADS);
    /* An older program: fields beyond its structure are not read. */
    o.size = offsetof(struct knell_options, environment);
    o.environment = (const char *)1;
    CHECK_INT(kn_settings_init(&s, &o), 0);
    CHECK_STR(s.environment, "production");
}

static void opentelemetry_names_it_too(void)
{
    struct kn_settings s;
    char value[16];
    forget_environment();
    setenv("GIT_SHA", "abc", 1);
    setenv("OTEL_RESOURCE_ATTRIBUTES",
        "service.name=shop, service.version = 1.2%2B3 ,deployment.environment=old,"
        "deployment.environment.name=stag%69ng,broken,=x,y=",
        1);
    CHECK_INT(kn_settings_init(&s, NULL), 0);
    CHECK_STR(s.release, "shop@1.2+3");
    CHECK_STR(s.environment, "staging");
    CHECK_STR(s.app, "test_settings"); /* it names the spool: not from there */
    setenv("OTEL_SERVICE_NAME", "basket", 1);
    CHECK_INT(kn_settings_init(&s, NULL), 0);
    CHECK_STR(s.release, "basket@1.2+3");
    setenv("SENTRY_RELEASE", "r", 1);
    setenv("SENTRY_ENVIRONMENT", "e", 1);
    CHECK_INT(kn_settings_init(&s, NULL), 0);
    CHECK_STR(s.release, "r");
    CHECK_STR(s.environment, "e");
    CHECK(kn_otel_attribute("a=1,b=%0a%1b2%,a=3", "a", value, sizeof value));
    CHECK_STR(value, "3");
    CHECK(kn_otel_attribute("a=1,b=%0a%1b2%zz%4", "b", value, sizeof value));
    CHECK_STR(value, "2%zz%4");
    CHECK(!kn_otel_attribute("a=1", "b", value, sizeof value));
    CHECK(!kn_otel_attribute(NULL, "b", value, sizeof value));
    CHECK_STR(value, "");
    forget_environment();
}

static void text_is_cut_between_characters(void)
{
    char out[6];
    kn_copy_text(out, sizeof out, "abcd\xc3\xa9");
    CHECK_STR(out, "abcd");
    kn_copy_text(out, sizeof out, "abc\xc3\xa9");
    CHECK_STR(out, "abc\xc3\xa9");
    kn_copy_text(out, sizeof out, NULL);
    CHECK_STR(out, "");
}

TEST_MAIN(TEST(code_beats_environment), TEST(release_is_looked_for_in_order),
    TEST(dsn_of_knell_comes_first), TEST(sessions_are_for_sentry), TEST(odd_input),
    TEST(opentelemetry_names_it_too), TEST(text_is_cut_between_characters))
