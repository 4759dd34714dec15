/* clang-format off: a table */
/*
 * Rules that the past of other crash reporters teaches. Here are those for which no other
 * test stands; all of them, and where they are held to:
 *
 *  1 bounded sizes, no key twice,       sizes_that_wrap_are_refused,
 *    reader with limits in a child      a_reader_has_its_limits; test_parse, fuzz.report,
 *                                       test_worker (shuts_in, ends_what_does_not_end)
 *  2 every path below a held folder,    planted_links_are_not_written_through; test_dir,
 *    no link followed                   test_hostile
 *  3 the lock lies where only the       planted_links_are_not_written_through,
 *    owner can write                    the_program_says_how_it_went (busy)
 *  4 regular files alone, one name,     test_hostile (files_that_are_none_are_put_away),
 *    owner, mode and size checked       test_pass (hostile_files_are_quarantined)
 *  5 new files are new: O_EXCL          planted_links_are_not_written_through
 *  6 claimed, then read once            test_hostile
 * (a_writer_that_goes_on_changes_nothing) 7 no field is code, path or argv
 * fields_are_no_commands_and_no_paths 8 text is bytes, and defused
 * hostile_text_is_defused, test_safe 9 no privileged process covered      test_arm
 * (privileged_programs_have_to_ask) 10 modes whatever the umask
 * files_are_private_whatever_the_umask 11 no pager for root by sudo
 * no_pager_for_root_by_sudo 12 no key on argv or in logs          secrets_are_not_told,
 * test_worker_program 13 cleaners do not recurse            cleaning_does_not_recurse 14
 * consent at the connection consent_taken_back_before_the_connection_sends_nothing,
 *                                       test_pass (consent_can_be_taken_back_at_any_time)
 * 15 servers' hints are clamped,        test_answers (every_row_of_the_table), fuzz.hint
 *    bodies bounded, no redirect
 * 16 bounded frames, threads, steps;    walks_come_to_an_end; test_unwind,
 *    what the reader says is checked    test_worker (trusts_no_answer)
 */
/* clang-format on */
#include "dump.h"
#include "fake.h"

#include "uploader/deliver/http.h"
#include "uploader/log.h"
#include "uploader/spool/history.h"
#include "uploader/spool/tend.h"
#include "uploader/worker/run.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pty.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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

/* Any four bytes that are a length, a count or an offset, and what overflows when it is
 * added to another (CVE-2019-11484). */
static void sizes_that_wrap_are_refused(void)
{
    static const uint32_t values[] = {UINT32_MAX, 0xfffffff8, 0x80000000, 0x7fffffff};
    struct dump *d = dump_example();
    size_t n, n_refused = 0, n_ready = 0;
    const uint8_t *sound = dump_finish(d, &n);
    uint8_t *bytes = malloc(n);
    for (size_t at = 0; at + 4 <= n; at += 4) {
        for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
            struct worker_result r;
            memcpy(bytes, sound, n);
            memcpy(bytes + at, &values[i], sizeof values[i]);
            if (!CHECK_INT(worker_process(bytes, n, NULL, &r), 0))
                continue;
            CHECK(r.outcome == WORKER_READY || r.outcome == WORKER_REFUSED);
            CHECK(r.n_items < 2u << 20);
            n_refused += r.outcome == WORKER_REFUSED;
            n_ready += r.outcome == WORKER_READY;
            worker_result_done(&r);
        }
    }
    CHECK(n_refused > 20 && n_ready > 20);
    free(bytes);
    dump_free(d);
}

#ifdef KNELL_INSTRUMENTED
static const bool is_instrumented = true;
#else
static const bool is_instrumented = false;
#endif

static int status_of(int (*probe)(void), const struct sandbox_limits *limits)
{
    int status = -1;
    pid_t pid = fork();
    if (!pid)
        _exit(sandbox_enter(limits) ? 99 : probe());
    CHECK_INT(waitpid(pid, &status, 0), pid);
    return status;
}

static int takes_memory(void)
{
    void *volatile p = malloc(256u << 20);
    return p == NULL ? 0 : 1;
}

static int takes_time(void)
{
    for (volatile unsigned i = 0;; i++)
        ;
    return 1;
}

static int takes_disk(void)
{
    static const char block[4096];
    FILE *f = tmpfile();
    size_t n = 0;
    while (f && n < 1000 && write(fileno(f), block, sizeof block) == sizeof block)
        n++;
    return f && errno == EFBIG && n == 16 ? 0 : 1;
}

/* A report that makes its reader grow or go on for ever ends the reader, no more. */
static void a_reader_has_its_limits(void)
{
    if (is_instrumented) {
        test_skip("a sanitizer takes memory of its own");
        return;
    }
    const struct sandbox_limits limits = {
        .memory_bytes = 128 << 20, .cpu_ms = 1000, .file_bytes = 64 << 10};
    (void)signal(SIGXFSZ, SIG_IGN); /* as in every worker */
    CHECK_INT(status_of(takes_memory, &limits), 0);
    CHECK_INT(status_of(takes_disk, &limits), 0);
    int status = status_of(takes_time, &limits);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU);
    (void)signal(SIGXFSZ, SIG_DFL);
}

/* Every thread's stack leads in a circle, or on and on: each is cut off, and the whole
 * takes no more time than a report may (rust-minidump 2bfc72e). */
static void walks_come_to_an_end(void)
{
    enum { STACK = 0x7ffe0000, CODE = 0x400000, THREADS = 64, WORDS = 8192 };
    static const struct sandbox_limits limits = {.cpu_ms = 30000, .time_ms = 120000};
    static uint64_t stack[WORDS];
    struct dump *d = dump_new();
    struct worker_result r;
    size_t n, n_frames = 0;
    dump_signal(d, 1, 11, 1, 0);
    dump_module(d, CODE, 0x1000, "/nowhere", "x", 1);
    for (uint32_t t = 0; t < THREADS; t++) {
        uint64_t at = STACK + (uint64_t)t * sizeof stack;
        const uint64_t registers[17] = {[6] = at, [7] = at, [16] = CODE};
        for (size_t i = 0; i < WORDS; i += 2) {
            uint64_t next = t % 2 ? 0 : sizeof stack[0] * 2; /* itself, or the next */
            stack[i] = at + i * 8 + next;
            stack[i + 1] = CODE + 16;
        }
        dump_thread(d, t + 1, "t", registers, stack, sizeof stack);
    }
    const uint8_t *report = dump_finish(d, &n);
    CHECK_INT(worker_run(report, n, NULL, &limits, &r), 0);
    CHECK_INT(r.outcome, WORKER_READY);
    CHECK(r.summary.n_frames >= 2 && r.summary.n_frames <= KNELL_MAX_FRAMES);
    for (const uint8_t *p = r.items, *end = r.items + r.n_items;
         (p = memmem(p, (size_t)(end - p), "instruction_addr", 16)); p++)
        n_frames++;
    CHECK(n_frames >= THREADS && n_frames <= THREADS * KNELL_MAX_FRAMES);
    worker_result_done(&r);
    dump_free(d);
}

/* What knell list does on a terminal with a pager that leaves word. @sudo  of SUDO_UID;
 * NULL: not set. Returns whether the pager ran. */
static bool pages(const char *dir, const char *spool, const char *sudo)
{
    char pager[600], marker[600], text[256];
    int terminal = -1, status = -1;
    snprintf(pager, sizeof pager, "%s/pager", dir);
    snprintf(marker, sizeof marker, "%s/marker", dir);
    (void)unlink(marker);
    pid_t pid = forkpty(&terminal, NULL, NULL, NULL);
    if (!pid) {
        setenv("KNELL_CONFIG", "/dev/null", 1);
        setenv("KNELL_PAGER", pager, 1);
        unsetenv("LESSSECURE");
        if (sudo)
            setenv("SUDO_UID", sudo, 1);
        execl(KNELL_PROGRAM, KNELL_PROGRAM, "-D", spool, "list", (char *)NULL);
        _exit(127);
    }
    while (read(terminal, text, sizeof text) > 0)
        ;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    close(terminal);
    bool paged = access(marker, F_OK) == 0;
    if (paged)
        CHECK(file_has(dir, "marker", "secure=1")); /* less(1) then starts no shell */
    return paged;
}

/* A pager is a shell for whoever sits before it (CVE-2023-1326, CVE-2023-26604). */
static void no_pager_for_root_by_sudo(void)
{
    const char *dir = test_tmpdir();
    struct fake *f = fake_new(NULL);
    char script[600], path[600];
    snprintf(script, sizeof script,
        "#!/bin/sh\necho secure=$LESSSECURE > %s/marker\nexec cat\n", dir);
    test_write_file(dir, "pager", script, strlen(script));
    snprintf(path, sizeof path, "%s/pager", dir);
    CHECK_INT(chmod(path, 0755), 0);
    fake_report(f, "new", 1, "MDMP", NULL);
    unsetenv("SUDO_UID");
    unsetenv("SUDO_USER");
    unsetenv("DOAS_USER");
    unsetenv("PKEXEC_UID");
    CHECK(pages(dir, f->path, NULL));
    if (geteuid() == 0)
        CHECK(!pages(dir, f->path, "1000"));
    else
        CHECK(pages(dir, f->path, "1000")); /* nothing to be gained */
    fake_free(f);
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
    /* Controls of the upper half, a character that turns the line, no UTF-8 at all. */
    log_line(LOG_LEVEL_INFO, LOG_OTHER, NULL,
        "a\xc2\x9b"
        "b\xe2\x80\xae"
        "c\xff"
        "d\xc3\xa9");
    n = recv(fd, line, sizeof line - 1, MSG_DONTWAIT);
    CHECK(n > 0 && strstr(line, "MESSAGE=a  b   c?d\xc3\xa9\n") == line);
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

/* Runs knell-upload; returns its exit status. @said  file for what it says; NULL: its
 * standard descriptors are closed */
static int upload_with(const char *said, const char *dsn, const char *const *arguments)
{
    pid_t pid = fork();
    if (!pid) {
        int fd = said ? open(said, O_WRONLY | O_CREAT | O_TRUNC, 0600) : -1;
        for (int i = said ? 1 : 0; i < 3; i++)
            (void)(said ? dup2(fd, i) : close(i));
        setenv("KNELL_DSN", dsn, 1);
        setenv("KNELL_CONFIG", "/dev/null", 1);
        execv(UPLOAD_PROGRAM, (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* What it said is in @dir/said. */
static int upload(const char *dir, const char *spool, const char *dsn, const char *option)
{
    char said[512];
    snprintf(said, sizeof said, "%s/said", dir);
    return upload_with(said, dsn,
        (const char *[]){UPLOAD_PROGRAM, "-v", "--spool", spool, option, NULL});
}

/* What a report says of itself goes into no command and names no file (CVE-2017-10708,
 * CVE-2025-12744). */
static void fields_are_no_commands_and_no_paths(void)
{
    static const char evil[] = "../../$(touch pwned)`touch pwned`;touch pwned|&\n-x";
    const char *dir = test_tmpdir(), *out = test_tmpdir();
    struct fake *f = fake_new(NULL);
    char hook[600], dsn[600], script[600];
    size_t n;
    struct dump *d = dump_example();
    dump_stream_text(d, KNELL_STREAM_LINUX_CMD_LINE, evil);
    dump_module(d, 0x7fff00000000, 0x1000, evil, evil, 16);
    dump_thread(d, 77, evil, (uint64_t[17]){[16] = 0x7fff00000010}, "", 0);
    const uint8_t *report = dump_finish(d, &n);
    struct spool_name name = {.signo = 11, .signature = 7};
    fake_report_bytes(f, "new", 1, report, n, &name);
    snprintf(script, sizeof script, "#!/bin/sh\necho \"$#\" > %s/argc\ncat\n", dir);
    test_write_file(dir, "hook", script, strlen(script));
    snprintf(hook, sizeof hook, "%s/hook", dir);
    CHECK_INT(chmod(hook, 0755), 0);
    snprintf(hook, sizeof hook, "--set=hooks.before_send=%s/hook one two", dir);
    snprintf(dsn, sizeof dsn, "file://%s", out);
    CHECK_INT(upload(dir, f->path, dsn, hook), 0);
    if (!CHECK(file_has(dir, "argc", "2\n"))) {
        snprintf(script, sizeof script, "cat %s/said", dir);
        CHECK_INT(system(script), 0);
    }
    CHECK_INT(fake_count(f, "sent"), 1);
    CHECK_INT(test_count_files(out, ""), 1);
    CHECK_INT(test_count_files(dir, ""), 3); /* hook, argc, said */
    CHECK(access("pwned", F_OK) < 0);
    dump_free(d);
    fake_free(f);
}

/* What is put away unread is told of, each with its reason. */
static void what_is_put_away_is_told(void)
{
    const char *dir = test_tmpdir();
    struct fake *f = fake_new(NULL);
    test_write_file(f->path, "new/stranger", "x", 1);
    test_write_file(f->path, "live/0badb007-4711-99-ab000000000000000000000000000001.jnl",
        "garbage", 7);
    CHECK_INT(upload(dir, f->path, "http://k@127.0.0.1:1/1", "--all"), 0);
    CHECK(file_has(dir, "said", "new/stranger is quarantined: not a report's name"));
    CHECK(file_has(dir, "said", "1 files of dead processes are quarantined"));
    CHECK_INT(fake_count(f, "bad"), 4);
    fake_free(f);
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

static bool is_metric_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* One row: NAME{LABEL="VALUE",…} NUMBER. @p  moves behind it; false: no row */
static bool parse_row(const char **at, char name[64])
{
    const char *p = *at;
    size_t n = 0;
    while (is_metric_char(*p) && n < 63)
        name[n++] = *p++;
    name[n] = 0;
    for (char before = '{'; *p == before; before = ',') {
        p++;
        while (is_metric_char(*p))
            p++;
        if (p[0] != '=' || p[1] != '"')
            return false;
        for (p += 2; *p && *p != '"' && *p != '\n'; p++) {
            if (*p == '\\' && !strchr("\\\"n", *++p))
                return false;
        }
        if (*p++ != '"')
            return false;
    }
    size_t digits = strspn(p + 2, "0123456789");
    *at = p + 2 + digits + 1;
    return n && p[0] == '}' && p[1] == ' ' && digits && p[2 + digits] == '\n';
}

/* By the text format's rules: a metric's HELP, TYPE and rows stand together, HELP and
 * TYPE before the rows and once; counters end in _total. */
static size_t check_exposition(const char *text)
{
    char seen[1024] = "", now[64] = "", name[64], type[16];
    size_t n_rows = 0;
    for (const char *p = text; *p;) {
        if (!strncmp(p, "# HELP ", 7)) {
            CHECK_INT(sscanf(p, "# HELP %63s", now), 1);
            CHECK(!strstr(seen, now));
            snprintf(seen + strlen(seen), sizeof seen - strlen(seen), " %s ", now);
            p = strchr(p, '\n') + 1;
            CHECK_INT(sscanf(p, "# TYPE %63s %15s", name, type), 2);
            CHECK_STR(name, now);
            CHECK_INT(!strcmp(type, "counter"), strstr(name, "_total") != NULL);
            p = strchr(p, '\n') + 1;
            continue;
        }
        if (!CHECK(parse_row(&p, name)) || !CHECK_STR(name, now))
            break;
        n_rows++;
    }
    return n_rows;
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
    char text[16384] = "";
    snprintf(option, sizeof option, "%s/knell.prom", dir);
    FILE *prom = fopen(option, "r");
    CHECK(prom && fread(text, 1, sizeof text - 1, prom) > 0);
    CHECK_INT(check_exposition(text), 6 + 4);
    if (prom)
        fclose(prom);
    CHECK_INT(stat(option, &st), 0);
    CHECK_INT(st.st_mode & 0777, 0644);
    fake_free(f);
}

/* Nothing to do, or nowhere to send it: a socket would be the end of it. */
static void an_idle_start_opens_no_socket(void)
{
    struct fake *f = fake_new(NULL);
    for (int waiting = 0; waiting < 2; waiting++) {
        pid_t pid = fork();
        if (!pid) {
            const struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
            const struct sock_fprog program = {
                .len = sizeof code / sizeof *code, .filter = (void *)(uintptr_t)code};
            setenv("KNELL_CONFIG", "/dev/null", 1);
            setenv("KNELL_DSN", waiting ? "" : "http://k@127.0.0.1:1/1", 1);
            unsetenv("INVOCATION_ID");
            if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
                prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
                _exit(77);
            execl(UPLOAD_PROGRAM, UPLOAD_PROGRAM, "--spool", f->path, (char *)NULL);
            _exit(127);
        }
        int status = -1;
        waitpid(pid, &status, 0);
        CHECK(WIFEXITED(status));
        CHECK_INT(WEXITSTATUS(status), waiting ? 9 : 0);
        fake_report(f, "new", 1, "MDMP", NULL);
    }
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

/* In a container root may lack what that takes. */
static void root_that_stays_root_says_so(void)
{
    enum { SOMEBODY = 54321, SETGID = 6 };
    const char *dir = test_tmpdir();
    struct fake *f = fake_new(NULL);
    int status = -1;
    if (geteuid() != 0) {
        test_skip("needs root");
        fake_free(f);
        return;
    }
    fake_report(f, "new", 1, "MDMP", NULL);
    CHECK_INT(chown(f->path, SOMEBODY, SOMEBODY), 0);
    pid_t pid = fork();
    if (!pid) {
        int err = prctl(PR_CAPBSET_DROP, SETGID, 0, 0, 0);
        _exit(err ? 99 : upload(dir, f->path, "http://k@127.0.0.1:1/1", "--all"));
    }
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(WEXITSTATUS(status), 4);
    CHECK(file_has(dir, "said", "its owner"));
    CHECK_INT(fake_count(f, "new"), 1);
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

static unsigned count_due(const struct fake *f)
{
    struct spool *s = NULL;
    struct spool_list l = {0};
    unsigned n = 0;
    CHECK_INT(spool_open(f->path, true, &s), 0);
    CHECK_INT(spool_list_add(s, SPOOL_WAIT, &l), 0);
    for (size_t i = 0; i < l.n; i++)
        n += l.names[i].not_before_s <= (uint64_t)time(NULL);
    spool_list_done(&l);
    spool_close(s);
    return n;
}

/* What waits for hours is due now when a person says so, and a long drain is watched. */
static void a_person_can_have_all_of_them_now(void)
{
    const char *dir = test_tmpdir();
    struct fake *f = fake_new(NULL);
    char command[700], dsn[64];
    struct spool_name later = {
        .signo = 11, .attempts = 3, .not_before_s = (uint64_t)time(NULL) + 5 * 3600};
    snprintf(dsn, sizeof dsn, "http://k@127.0.0.1:1/1");
    for (unsigned i = 0; i < 3; i++)
        fake_report(f, "wait", i, "MDMP", &later);
    CHECK_INT(upload(dir, f->path, dsn, "-q"), 6);
    CHECK_INT(fake_count(f, "wait"), 3);
    CHECK_INT(count_due(f), 0);
    snprintf(command, sizeof command,
        "KNELL_CONFIG=/dev/null " KNELL_PROGRAM " -D %s retry --all > %s/retried",
        f->path, dir);
    CHECK_INT(system(command), 0);
    CHECK_INT(count_due(f), 3);
    CHECK_INT(upload(dir, f->path, dsn, "--progress"), 0);
    CHECK_INT(fake_count(f, "bad"), 6); /* taken up, and four bytes are no report */
    CHECK(file_has(dir, "said", "\r3 of 3"));
    fake_free(f);
}

/* As many settings as there is room for, and one more. */
static void settings_are_counted(void)
{
    enum { MOST = 64 };
    const char *dir = test_tmpdir(), *arguments[MOST + 5] = {UPLOAD_PROGRAM};
    char said[512];
    struct fake *f = fake_new(NULL);
    snprintf(said, sizeof said, "%s/said", dir);
    for (size_t i = 0; i < MOST; i++)
        arguments[1 + i] = "--set=upload.enabled=no";
    arguments[MOST + 1] = "--spool";
    arguments[MOST + 2] = f->path;
    CHECK_INT(upload_with(said, "", arguments), 0);
    arguments[MOST + 3] = "--set=upload.enabled=no";
    CHECK_INT(upload_with(said, "", arguments), 2);
    CHECK(file_has(dir, "said", "--set"));
    arguments[1] = "--stay=never";
    CHECK_INT(upload_with(said, "", arguments), 2);
    CHECK(file_has(dir, "said", "--stay"));
    fake_free(f);
}

/* Whoever starts it may have closed everything: what it opens must not become what others
 * take for their standard descriptors. */
static void nothing_takes_the_place_of_stderr(void)
{
    const char *dir = test_tmpdir();
    struct fake *f = fake_new(NULL);
    char script[600], hook[600], dsn[600];
    size_t n;
    struct dump *d = dump_example();
    const uint8_t *report = dump_finish(d, &n);
    fake_report_bytes(f, "new", 1, report, n, NULL);
    snprintf(script, sizeof script,
        "#!/bin/sh\nreadlink /proc/$$/fd/2 > %s/stderr\nexec cat\n", dir);
    test_write_file(dir, "hook", script, strlen(script));
    snprintf(hook, sizeof hook, "%s/hook", dir);
    CHECK_INT(chmod(hook, 0755), 0);
    snprintf(hook, sizeof hook, "--set=hooks.before_send=%s/hook", dir);
    snprintf(dsn, sizeof dsn, "file://%s/out", dir);
    const char *const arguments[] = {
        UPLOAD_PROGRAM, "-v", "--spool", f->path, hook, NULL};
    CHECK_INT(upload_with(NULL, dsn, arguments), 0);
    CHECK_INT(fake_count(f, "sent"), 1);
    CHECK(file_has(dir, "stderr", "/dev/null"));
    dump_free(d);
    fake_free(f);
}

TEST_MAIN(TEST(sizes_that_wrap_are_refused), TEST(a_reader_has_its_limits),
    TEST(walks_come_to_an_end), TEST(no_pager_for_root_by_sudo),
    TEST(planted_links_are_not_written_through),
    TEST(files_are_private_whatever_the_umask), TEST(cleaning_does_not_recurse),
    TEST(hostile_text_is_defused),
    TEST(consent_taken_back_before_the_connection_sends_nothing),
    TEST(fields_are_no_commands_and_no_paths), TEST(what_is_put_away_is_told),
    TEST(secrets_are_not_told), TEST(figures_are_written_for_prometheus),
    TEST(an_idle_start_opens_no_socket), TEST(root_becomes_the_owner),
    TEST(root_that_stays_root_says_so), TEST(the_program_says_how_it_went),
    TEST(a_person_can_have_all_of_them_now), TEST(settings_are_counted),
    TEST(nothing_takes_the_place_of_stderr))
