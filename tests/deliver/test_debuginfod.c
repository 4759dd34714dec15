/* Debug files on their way to a worker, and a worker that they do not agree with. Whole
 * chains, with real debug files, are in tests/symbolize/debuginfod.py. */
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As knell-upload does: the folder is the spool's when nothing else is said. */
static void to_folder(struct fake *f)
{
    char text[600], symbols[4096];
    struct config *c = &f->config.values;
    snprintf(text, sizeof text, "file://%s", test_tmpdir());
    fake_destination(f, text, 0);
    if (config_debuginfod_dir(c, f->path, symbols) == symbols)
        c->debuginfod_dir = strdup(symbols);
}

/* @script  of the server of debug files */
static struct fake *asking(const char *script, struct ingest *server, const char *more)
{
    static char urls[128];
    *server = ingest_start(&(struct ingest_options){.script = script});
    snprintf(
        urls, sizeof urls, "symbols.debuginfod_urls=http://127.0.0.1:%d/x", server->port);
    const char *const overrides[] = {urls, "symbols.debuginfod_time=30s", more, NULL};
    struct fake *f = fake_new(overrides);
    to_folder(f);
    return f;
}

static bool has(const struct fake *f, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/symbols/%s", f->path, name);
    return access(path, F_OK) == 0;
}

static void a_file_reaches_the_worker(void)
{
    struct ingest server;
    struct fake *f = asking("200/body=bytes", &server, NULL);
    fake_reports(f, 1, "ASK");
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(f->result.sent, 1);
    CHECK_INT(f->n_worked, 2);
    CHECK_INT(f->n_arrived, 1);
    CHECK(has(f, "abcdef01/new")); /* this worker does not take it in */
    fake_free(f);
    ingest_stop(&server);
}

/* Whoever dies on a file that just came would have lived without it. */
static void a_file_that_ends_the_worker_is_taken_back(void)
{
    struct ingest server;
    struct fake *f = asking("200/body=bytes", &server, NULL);
    fake_reports(f, 1, "POISON");
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(f->result.sent, 1);
    CHECK_INT(f->n_worked, 3);
    CHECK_INT(fake_count(f, "bad"), 0);
    CHECK(!has(f, "abcdef01/new") && !has(f, "abcdef01/debuginfo"));
    CHECK(has(f, "abcdef01/note"));
    fake_free(f);
    ingest_stop(&server);
}

static void nothing_is_asked_without_servers(void)
{
    struct fake *f = fake_new(NULL);
    to_folder(f);
    fake_reports(f, 1, "ASK");
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(f->result.sent, 1);
    CHECK_INT(f->n_worked, 1);
    CHECK_INT(test_count_files(f->path, "symbols"), -1);
    fake_free(f);
}

/* Other reports go on while one waits for a file. */
static void others_do_not_wait(void)
{
    struct ingest server;
    struct fake *f = asking("hang", &server, "symbols.debuginfod_time=2s");
    fake_report(f, "new", 2, "ASK", NULL);
    for (unsigned i = 3; i < 8; i++)
        fake_report(f, "new", i, "MDMP", NULL);
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(f->result.sent, 6);
    CHECK_INT(server.counts->requests, 1);
    CHECK(has(f, "abcdef01/note"));
    fake_free(f);
    ingest_stop(&server);
}

static void a_folder_that_cannot_be_made(void)
{
    struct ingest server;
    struct fake *f =
        asking("200/body=bytes", &server, "symbols.debuginfod_dir=/proc/nowhere/debug");
    fake_reports(f, 1, "ASK");
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(f->result.sent, 1);
    CHECK_INT(server.counts->requests, 0);
    fake_free(f);
    ingest_stop(&server);
}

/* What is kept free for the daemon is not filled with debug files. */
static void no_room_no_file(void)
{
    struct ingest server;
    struct fake *f = asking("200/body=bytes", &server, "spool.keep_free=4000000G");
    fake_reports(f, 1, "ASK");
    CHECK_INT(fake_run(f), 0);
    CHECK_INT(f->result.sent, 1);
    CHECK_INT(server.counts->requests, 0);
    fake_free(f);
    ingest_stop(&server);
}

TEST_MAIN(TEST(a_file_reaches_the_worker),
    TEST(a_file_that_ends_the_worker_is_taken_back),
    TEST(nothing_is_asked_without_servers), TEST(others_do_not_wait),
    TEST(a_folder_that_cannot_be_made), TEST(no_room_no_file))
