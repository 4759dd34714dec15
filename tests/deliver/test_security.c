/* Rules that the past of other crash reporters teaches, where no other test stands. */
#include "fake.h"

#include "uploader/deliver/http.h"
#include "uploader/log.h"
#include "uploader/spool/history.h"
#include "uploader/spool/tend.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static bool file_has(const char *dir, const char *file, const char *word)
{
    char path[512], *text = calloc(1, 1 << 20);
    snprintf(path, sizeof path, "%s/%s", dir, file);
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, (1 << 20) - 1, f) : 0;
    bool found = memmem(text, n, word, strlen(word)) != NULL;
    if (f)
        fclose(f);
    free(text);
    return found;
}

/* A link planted where a temporary file will be (CVE-2015-1338, CVE-2026-54230). */
static void planted_links_are_not_written_through(void)
{
    struct spool *s = NULL;
    CHECK_INT(spool_open(test_tmpdir(), true, &s), 0);
    test_write_file(s->path, "victim", "precious", 8);
    char name[64];
    snprintf(name, sizeof name, ".state.%d.tmp", (int)getpid());
    CHECK_INT(symlinkat("victim", s->fd, name), 0);
    CHECK_INT(symlinkat("victim", s->fd, "state"), 0);
    CHECK_INT(spool_replace_file(s->fd, "state", "text", 4), 0);
    CHECK(file_has(s->path, "victim", "precious"));
    CHECK(file_has(s->path, "state", "text"));
    CHECK_INT(symlinkat("victim", s->fd, "log"), 0);
    struct history h;
    history_open(s, &h);
    history_add(&h, &(struct history_line){.event_id = "x", .what = "sent"});
    history_close(&h);
    CHECK(!file_has(s->path, "victim", "sent"));
    CHECK_INT(symlinkat("victim", s->fd, "lock"), 0);
    CHECK(spool_lock(s) < 0);
    spool_close(s);
}

/* Modes do not hang on the umask (CVE-2025-5467). */
static void files_are_private_whatever_the_umask(void)
{
    struct ingest server = ingest_start(&(struct ingest_options){0});
    mode_t old = umask(0);
    struct fake *f = fake_new(NULL);
    fake_destination(f, "http://k@127.0.0.1:%d/1", server.port);
    fake_report(f, "new", 1, "REFUSE", NULL);
    char path[512];
    snprintf(path, sizeof path, "chmod -R go-w %s", f->path);
    CHECK_INT(system(path), 0); /* the made-up report was made under umask 0 */
    CHECK_INT(fake_run(f), 0);
    umask(old);
    static const char *const files[] = {"state", "log", "lock", "strikes"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct stat st = {0};
        snprintf(path, sizeof path, "%s/%s", f->path, files[i]);
        CHECK_INT(stat(path, &st), 0);
        CHECK_INT(st.st_mode & 0777, 0600);
    }
    fake_free(f);
    ingest_stop(&server);
}

/* Cleaners enter no folder and follow no link (sentry-native #1751). */
static void cleaning_does_not_recurse(void)
{
    struct spool *s = NULL;
    const char *other = test_tmpdir();
    CHECK_INT(spool_open(test_tmpdir(), true, &s), 0);
    test_write_file(other, "precious", "x", 1);
    test_write_file(s->path, ".d.tmp/precious", "x", 1);
    test_write_file(s->path, "new/.old.tmp", "x", 1);
    CHECK_INT(symlinkat(other, s->fd, ".link.tmp"), 0);
    struct timespec past[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    CHECK_INT(utimensat(s->fd, ".d.tmp", past, 0), 0);
    CHECK_INT(utimensat(s->fd, ".link.tmp", past, AT_SYMLINK_NOFOLLOW), 0);
    CHECK_INT(utimensat(s->state_fd[SPOOL_NEW], ".old.tmp", past, 0), 0);
    CHECK_INT(tend_clean(s), 0);
    CHECK_INT(test_count_files(s->path, ".d.tmp"), 1);
    CHECK_INT(test_count_files(other, ""), 1);
    CHECK_INT(test_count_files(s->path, "new"), 0);
    spool_close(s);
}

/* Text from reports and servers steers no terminal, log or journal (CVE-2026-54231). */
static void hostile_text_is_defused(void)
{
    char dir[512], line[4096] = "";
    snprintf(dir, sizeof dir, "%s/journal", test_tmpdir());
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    CHECK(strlen(dir) < sizeof a.sun_path);
    memcpy(a.sun_path, dir, strlen(dir));
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK_INT(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    log_open(LOG_LEVEL_ERROR, dir);
    log_line(LOG_LEVEL_INFO, LOG_SENT,
        &(struct log_report){.app = "x\nMESSAGE_ID=forged", .http_status = 200},
        "a\x1b[2Jb\nPRIORITY=0");
    ssize_t n = recv(fd, line, sizeof line - 1, MSG_DONTWAIT);
    CHECK(n > 0);
    CHECK(strstr(line, "MESSAGE=a [2Jb PRIORITY=0\n"));
    CHECK(strstr(line, "\nKNELL_APP=x MESSAGE_ID=forged\n"));
    CHECK(strstr(line, "\nKNELL_HTTP_STATUS=200\n"));
    CHECK(strstr(line, log_message_id(LOG_SENT)));
    log_close();
    close(fd);
    struct spool *s = NULL;
    struct history h;
    CHECK_INT(spool_open(test_tmpdir(), true, &s), 0);
    history_open(s, &h);
    history_add(&h, &(struct history_line){
                        .event_id = "0", .what = "sent", .why = "\"}\n\x1b\xff\\"});
    history_close(&h);
    CHECK(file_has(s->path, "log", "\"why\":\"\\\"}\\u000a\\u001b\\u00ff\\\\\"}\n"));
    spool_close(s);
    log_open(0, NULL);
}

/* Consent is asked again at the very connection (sentry-native #1906, #1972). */
static int n_asked;

static bool once(void *ctx)
{
    (void)ctx;
    return n_asked++ < 1;
}

static void consent_taken_back_before_the_connection_sends_nothing(void)
{
    /* The real gate lives in http.c: ask it directly. */
    struct ingest server = ingest_start(&(struct ingest_options){0});
    struct fake *f = fake_new(NULL);
    fake_destination(f, "http://k@127.0.0.1:%d/1", server.port);
    struct http *h = NULL;
    n_asked = 0;
    CHECK_INT(http_new(&(struct http_options){.may_connect = once,
                           .user_agent = "x",
                           .total_timeout_ms = 5000,
                           .connect_timeout_ms = 5000,
                           .max_response_bytes = 1000,
                           .max_headers_bytes = 1000},
                  &h),
        0);
    CHECK_INT(http_post(h, &(struct http_request){.to = &f->destinations[0],
                               .body = "x",
                               .n_body = 1,
                               .content_type = "text/plain",
                               .tag = f}),
        0);
    void *tag = NULL;
    struct answer a = {0};
    while (!http_next(h, &tag, &a))
        http_wait(h, 100, -1);
    CHECK_INT(a.failure, ANSWER_FORBIDDEN);
    CHECK(tag == f);
    CHECK_INT(n_asked, 2);
    CHECK_INT(server.counts->connections, 0);
    http_free(h);
    fake_free(f);
    ingest_stop(&server);
}

/* Runs knell-upload; returns its exit status, what it said is in @dir/said. */
static int upload(const char *dir, const char *spool, const char *dsn, const char *option)
{
    pid_t pid = fork();
    if (!pid) {
        char said[512];
        snprintf(said, sizeof said, "%s/said", dir);
        int fd = open(said, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(fd, 1);
        dup2(fd, 2);
        setenv("KNELL_DSN", dsn, 1);
        setenv("KNELL_CONFIG", "/dev/null", 1);
        execl(
            UPLOAD_PROGRAM, UPLOAD_PROGRAM, "-v", "--spool", spool, option, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Keys are on no command line and in no log (crbug 678365). */
static void secrets_are_not_told(void)
{
    static const char *const dsns[] = {"http://hushkey:hushsecret@127.0.0.1:1/1",
        "hushkey:hushsecret@nowhere", "http://hushkey:hushsecret@127.0.0.1:1/",
        "ftp://hushkey:hushsecret@h/1"};
    for (size_t i = 0; i < sizeof dsns / sizeof *dsns; i++) {
        const char *dir = test_tmpdir();
        struct fake *f = fake_new(NULL);
        fake_report(f, "new", 1, "MDMP", NULL);
        int status = upload(dir, f->path, dsns[i], "--all");
        CHECK(status == 0 || status == 1 || status == 6 || status == 9);
        CHECK(!file_has(dir, "said", "hush"));
        CHECK(!file_has(f->path, "log", "hush"));
        CHECK(!file_has(f->path, "state", "hush"));
        fake_free(f);
    }
}

static void figures_are_written_for_prometheus(void)
{
    const char *dir = test_tmpdir();
    struct fake *f = fake_new(NULL);
    char option[600];
    struct stat st = {0};
    fake_report(f, "wait", 1, "MDMP", NULL);
    fake_report(f, "hold", 2, "MDMP", NULL);
    snprintf(option, sizeof option, "--set=telemetry.prom_file=%s/knell.prom", dir);
    CHECK_INT(upload(dir, f->path, "", option), 9);
    CHECK(file_has(dir, "knell.prom", ",state=\"wait\"} 1\n"));
    CHECK(file_has(dir, "knell.prom", ",state=\"hold\"} 1\n"));
    CHECK(file_has(dir, "knell.prom", "knell_sent_total{spool=\"/"));
    snprintf(option, sizeof option, "%s/knell.prom", dir);
    CHECK_INT(stat(option, &st), 0);
    CHECK_INT(st.st_mode & 0777, 0644);
    fake_free(f);
}

/* Root works on another user's spool as that user (CVE-2022-4415's kind of trouble). */
static void root_becomes_the_owner(void)
{
    if (geteuid() != 0) {
        test_skip("needs root");
        return;
    }
    enum { SOMEBODY = 54321 };
    const char *dir = test_tmpdir();
    struct fake *f = fake_new(NULL);
    struct stat st = {0};
    char path[512];
    fake_report(f, "new", 1, "MDMP", NULL);
    snprintf(path, sizeof path, "chown -R %d:%d %s", SOMEBODY, SOMEBODY, f->path);
    CHECK_INT(system(path), 0);
    CHECK_INT(upload(dir, f->path, "http://k@127.0.0.1:1/1", "--all"), 0);
    CHECK_INT(fake_count(f, "bad"), 2); /* four bytes are no report */
    static const char *const files[] = {"state", "log", "lock", "strikes", "hold"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", f->path, files[i]);
        CHECK_INT(stat(path, &st), 0);
        CHECK_INT(st.st_uid, SOMEBODY);
    }
    fake_free(f);
}

static void the_program_says_how_it_went(void)
{
    struct ingest server = ingest_start(&(struct ingest_options){.script = "503"});
    const char *dir = test_tmpdir();
    struct fake *f = fake_new(NULL);
    char dsn[64];
    snprintf(dsn, sizeof dsn, "http://k@127.0.0.1:%d/1", server.port);
    CHECK_INT(upload(dir, f->path, dsn, "--all"), 0); /* nothing to do */
    CHECK_INT(upload(dir, f->path, dsn, "--nonsense"), 2);
    CHECK_INT(upload(dir, f->path, "", "--all"), 0);
    fake_report(f, "wait", 1, "MDMP", NULL);
    CHECK_INT(upload(dir, f->path, "", "--all"), 9); /* kept, nowhere to send it */
    CHECK_INT(upload(dir, "/dev/null/x", dsn, "--all"), 4);
    struct spool *s = NULL;
    CHECK_INT(spool_open(f->path, true, &s), 0);
    CHECK_INT(spool_lock(s), 0);
    CHECK_INT(upload(dir, f->path, dsn, "--all"), 8);
    CHECK(file_has(dir, "said", "another uploader"));
    spool_close(s);
    CHECK_INT(upload(dir, f->path, dsn, "--version"), 0);
    CHECK_INT(upload(dir, f->path, dsn, "--help"), 0);
    /* Four bytes are no report: the real worker refuses them, in its child. */
    CHECK_INT(upload(dir, f->path, dsn, "--all"), 0);
    CHECK_INT(fake_count(f, "bad"), 2);
    CHECK_INT(server.counts->requests, 0);
    fake_free(f);
    ingest_stop(&server);
}

TEST_MAIN(TEST(planted_links_are_not_written_through),
    TEST(files_are_private_whatever_the_umask), TEST(cleaning_does_not_recurse),
    TEST(hostile_text_is_defused),
    TEST(consent_taken_back_before_the_connection_sends_nothing),
    TEST(secrets_are_not_told), TEST(figures_are_written_for_prometheus),
    TEST(root_becomes_the_owner), TEST(the_program_says_how_it_went))
