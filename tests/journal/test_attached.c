/* Attached files: read when the report is sent, a bounded part of them, and only files.
 */
#include "telling.h"
#include "test.h"
#include "tmpdir.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char files[256];

static const char *in_files(const char *name)
{
    static char path[600];
    (void)snprintf(path, sizeof path, "%s/%s", files, name);
    return path;
}

static const struct received *attachment(const char *name)
{
    for (size_t i = 0; i < got.n; i++) {
        if (!strcmp(got.all[i].type, "attachment") && !strcmp(got.all[i].filename, name))
            return &got.all[i];
    }
    return NULL;
}

static const char *text_of(const char *name)
{
    const struct received *a = attachment(name);
    return a ? a->text : "(none)";
}

/* The event's remark about an attachment, "" when there is none. */
static const char *noted(const char *name)
{
    const cJSON *line;
    cJSON_ArrayForEach(line, json_at(event(0), "contexts/knell/attachments"))
    {
        const char *text = cJSON_GetStringValue(line);
        size_t n = strlen(name);
        if (text && !strncmp(text, name, n) && text[n] == ':')
            return text + n + 2;
    }
    return "";
}

/* teller attaches what lies in the folder it is told of, and dies. */
static void die_with_files(const char *how)
{
    char env[300];
    new_place();
    (void)snprintf(files, sizeof files, "%s", test_tmpdir());
    (void)snprintf(env, sizeof env, "FILES=%s", files);
    (void)tell_with("files", how, env);
}

static void files_are_read_when_they_are_sent(void)
{
    static const char *const ways[] = {"segv", "9"};
    for (size_t i = 0; i < 2; i++) {
        die_with_files(ways[i]);
        test_write_file(files, "app.log", "after death\n", 12);
        test_write_file(files, "data", "a\0b", 3);
        upload();
        CHECK_INT(envelopes_count(&got, "event"), 1);
        CHECK_STR(text_of("app.log"), "after death\n");
        CHECK_STR(noted("app.log"), "");
        CHECK(attachment("state.bin") != NULL); /* named by the program */
        CHECK(!attachment("data"));
        CHECK(!attachment("taken back"));
        CHECK(!attachment("of a scope that is gone"));
        CHECK_STR(noted("missing.txt"), "No such file or directory");
    }
}

static void a_report_of_the_thread_has_the_files_of_its_scope(void)
{
    die_with_files("segv");
    test_write_file(files, "request.json", "{}", 2);
    upload();
    CHECK_STR(text_of("request.json"), "{}");
    die_with_files("9");
    test_write_file(files, "request.json", "{}", 2);
    upload();
    CHECK(!attachment("request.json"));
}

static void a_long_file_is_cut_to_its_end(void)
{
    die_with_files("segv");
    FILE *f = fopen(in_files("app.log"), "w");
    for (int i = 0; f && i < 100000; i++)
        (void)fprintf(f, "line %d\n", i);
    if (CHECK(f))
        (void)fclose(f);
    upload_with("KNELL_EVENT_ATTACHED_FILE_BYTES=1K");
    const char *text = text_of("app.log");
    size_t n = strlen(text);
    CHECK(n > 900 && n <= 1024);
    CHECK(!strncmp(text, "line 99", 7)); /* from the start of a line */
    CHECK(n > 11 && !strcmp(text + n - 11, "line 99999\n"));
    CHECK(!strncmp(noted("app.log"), "cut to the last ", 16));
    CHECK(strstr(noted("app.log"), " of 1088890 bytes") != NULL);
}

/* What must not be opened, and what must not be followed. */
static void only_plain_files_are_read(void)
{
    die_with_files("segv");
    test_write_file(files, "secret", "secret\n", 7);
    CHECK(!symlink("secret", in_files("app.log")));
    CHECK(!mkfifo(in_files("missing.txt"), 0600));
    CHECK(!mkdir(in_files("data"), 0700));
    (void)unlink(in_files("request.json"));
    CHECK(!symlink("/proc/self/environ", in_files("request.json")));
    upload();
    CHECK_INT(envelopes_count(&got, "event"), 1);
    CHECK(!attachment("app.log"));
    CHECK_STR(noted("app.log"), "a symbolic link");
    CHECK_STR(noted("missing.txt"), "not a regular file");
    CHECK_STR(noted("state.bin"), "not a regular file");
    CHECK_STR(noted("request.json"), "a symbolic link");
    /* Of the kernel's own: the uploader's environment, and what never ends. */
    CHECK(!strcmp(noted("environ"), "not a regular file") ||
          !strcmp(noted("environ"), "Permission denied")); /* by Landlock's rules */
    CHECK_STR(noted("zero"), "not a regular file");
    for (size_t i = 0; i < got.n; i++)
        CHECK(!strstr(got.all[i].text, "KNELL_DSN="));
}

static void an_unreadable_file_is_said(void)
{
    if (!geteuid()) {
        test_skip("root reads everything");
        return;
    }
    die_with_files("segv");
    test_write_file(files, "app.log", "x\n", 2);
    CHECK(!chmod(in_files("app.log"), 0));
    upload();
    CHECK_STR(noted("app.log"), "Permission denied");
}

static void files_can_be_switched_off(void)
{
    die_with_files("segv");
    test_write_file(files, "app.log", "x\n", 2);
    upload_with("KNELL_EVENT_ATTACHED_FILE_BYTES=0");
    CHECK_INT(envelopes_count(&got, "event"), 1);
    CHECK_INT(envelopes_count(&got, "attachment"), 0);
    CHECK_STR(noted("app.log"), "");
}

static void nothing_is_read_without_consent(void)
{
    die_with_files("segv");
    test_write_file(files, "app.log", "x\n", 2);
    char dsn[300];
    (void)snprintf(dsn, sizeof dsn, "file://%s", arrivals);
    CHECK_INT(upload_to(dsn, "KNELL_UPLOAD_CONSENT=ask"), 9);
    envelopes_free(&got);
    envelopes_read(&got, arrivals);
    CHECK_INT(got.n, 0);
}

static void handled_errors_carry_them_too(void)
{
    die_with_files("message");
    test_write_file(files, "app.log", "x\n", 2);
    upload();
    CHECK_STR(json_text(event(0), "logentry/formatted"), "look at the log");
    CHECK_STR(text_of("app.log"), "x\n");
}

static void many_are_counted(void)
{
    die_with_files("many");
    upload();
    CHECK_INT(envelopes_count(&got, "attachment"), 16);
    CHECK_STR(noted("more attachments"), "left out, 4 of them");
}

TEST_MAIN(TEST(files_are_read_when_they_are_sent),
    TEST(a_report_of_the_thread_has_the_files_of_its_scope),
    TEST(a_long_file_is_cut_to_its_end), TEST(only_plain_files_are_read),
    TEST(an_unreadable_file_is_said), TEST(files_can_be_switched_off),
    TEST(nothing_is_read_without_consent), TEST(handled_errors_carry_them_too),
    TEST(many_are_counted))
