#include "crash/settings.h"

#include "test.h"
#include <errno.h>
#include <stdlib.h>

static const char *const variables[] = {"SENTRY_RELEASE", "GIT_SHA", "HEROKU_SLUG_COMMIT",
    "SOURCE_VERSION", "VERCEL_GIT_COMMIT_SHA", "RENDER_GIT_COMMIT", "SENTRY_ENVIRONMENT",
    "SENTRY_DIST", "KNELL_SPOOL", "KNELL_DSN", "SENTRY_DSN", "KNELL_UPLOADER",
    "KNELL_START_UPLOADER", "KNELL_DEBUG"};

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

static void odd_input(void)
{
    struct kn_settings s;
    struct knell_options o = KNELL_OPTIONS_INIT;
    o.app = "../a/b";
    CHECK_INT(kn_settings_init(&s, &o), 0);
    CHECK_STR(s.app, "_._a_b");
    o.size = 4;
    CHECK_INT(kn_settings_init(&s, &o), -EINVAL);
    /* An older program: fields beyond its structure are not read. */
    o.size = offsetof(struct knell_options, environment);
    o.environment = (const char *)1;
    CHECK_INT(kn_settings_init(&s, &o), 0);
    CHECK_STR(s.environment, "production");
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
    TEST(dsn_of_knell_comes_first), TEST(odd_input), TEST(text_is_cut_between_characters))
