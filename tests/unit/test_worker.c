#include "dump.h"
#include "test.h"

#include "uploader/event/envelope.h"
#include "uploader/worker/chore.h"
#include "uploader/worker/run.h"
#include "uploader/worker/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <knell/journal.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void answers_as_in_process(void)
{
    struct dump *d = dump_example();
    size_t n;
    const uint8_t *bytes = dump_finish(d, &n);
    struct worker_result here, there;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK(null >= 0 && dup2(null, STDIN_FILENO) == STDIN_FILENO);
    CHECK_INT(worker_process(bytes, n, NULL, &here), 0);
    CHECK(fcntl(STDIN_FILENO, F_GETFD) >= 0); /* missing files close none of ours */
    (void)close(null);
    CHECK_INT(worker_run(bytes, n, NULL, NULL, &there), 0);
    CHECK_INT(there.outcome, WORKER_READY);
    CHECK_INT(here.n_items, there.n_items);
    CHECK(here.n_items && !memcmp(here.items, there.items, here.n_items));
    CHECK(!memcmp(&here.summary, &there.summary, sizeof here.summary));
    CHECK_STR(there.summary.signal, "SIGSEGV SEGV_MAPERR");
    CHECK_STR(there.summary.event_id, "0102030405060708090a0b0c0d0e0f10");
    CHECK_STR(there.summary.release, "exampled@2.4.1");
    worker_result_done(&here);
    worker_result_done(&there);
    dump_free(d);
}

static void refuses_what_is_no_report(void)
{
    struct worker_result r;
    CHECK_INT(worker_run((const uint8_t *)"hello", 5, NULL, NULL, &r), 0);
    CHECK_INT(r.outcome, WORKER_REFUSED);
    CHECK(strstr(r.why, "header"));
    worker_result_done(&r);
}

/* What a child sees of the sandbox, told by its exit status. */
static int in_sandbox(int (*probe)(void), const struct sandbox_limits *limits)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(sandbox_enter(limits) ? 99 : probe());
    int status = 0;
    CHECK_INT(waitpid(pid, &status, 0), pid);
    return status;
}

static int opens_a_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM ? 0 : 1;
}

static int runs_a_program(void)
{
    char *argv[] = {(char *)(uintptr_t) "/bin/true", NULL};
    return execv(argv[0], argv) < 0 && errno == EPERM ? 0 : 1;
}

static int signals_its_parent(void)
{
    return kill(getppid(), 0) < 0 && errno == EPERM ? 0 : 1;
}

static int forks(void)
{
    return fork() < 0 && errno == EPERM ? 0 : 1;
}

static int spins(void)
{
    volatile unsigned i = 0;
    while (i != 1)
        i = 2;
    return 0;
}

static void shuts_in(void)
{
    static const struct sandbox_limits limits;
    CHECK_INT(in_sandbox(opens_a_socket, &limits), 0);
    CHECK_INT(in_sandbox(runs_a_program, &limits), 0);
    CHECK_INT(in_sandbox(signals_its_parent, &limits), 0);
    CHECK_INT(in_sandbox(forks, &limits), 0);
}

static void ends_what_does_not_end(void)
{
    static const struct sandbox_limits limits = {.time_ms = 50};
    int status = in_sandbox(spins, &limits);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
}

static void says_how_a_child_died(void)
{
    static const struct sandbox_limits limits = {.time_ms = 1};
    struct dump *d = dump_example();
    size_t n;
    const uint8_t *bytes = dump_finish(d, &n);
    struct worker_child *w;
    struct worker_result r;
    for (int i = 0; i < 20; i++) { /* which of the two comes first is the machine's */
        int err = worker_run(bytes, n, NULL, &limits, &r);
        CHECK(err == 0 || (err == -ECHILD && strstr(r.why, "too long")));
        worker_result_done(&r);
    }
    int answer = memfd_create("test", MFD_CLOEXEC);
    CHECK_INT(worker_child_start(bytes, n, NULL, NULL, answer, &w), 0);
    worker_child_cancel(w);
    (void)close(answer);
    worker_child_cancel(NULL);
    dump_free(d);
}

static int wire_of(const void *bytes, size_t n, struct worker_result *ret)
{
    int fd = memfd_create("test", 0), status = 0;
    CHECK_INT(write(fd, bytes, n), n);
    int err = wire_read(fd, &status, ret);
    (void)close(fd);
    return err;
}

static void trusts_no_answer(void)
{
    struct dump *d = dump_example();
    size_t n;
    const uint8_t *report = dump_finish(d, &n);
    struct worker_result r, back;
    CHECK_INT(worker_process(report, n, NULL, &r), 0);
    int fd = memfd_create("test", 0), status = 7;
    CHECK_INT(wire_write(fd, 0, &r), 0);
    CHECK_INT(wire_read(fd, &status, &back), 0);
    CHECK_INT(status, 0);
    worker_result_done(&back);
    size_t size = (size_t)lseek(fd, 0, SEEK_END);
    uint8_t *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    CHECK(bytes != MAP_FAILED);
    CHECK_INT(wire_of(bytes, 0, &back), -ENODATA);
    for (size_t cut = 1; cut < size; cut += 97)
        CHECK_INT(wire_of(bytes, cut, &back), -EBADMSG);
    for (size_t i = 0; i < 64; i++) { /* the sizes and the outcome, and what follows */
        bytes[i] ^= 0x80;
        int err = wire_of(bytes, size, &back);
        CHECK(err == 0 || err == -EBADMSG);
        if (!err)
            worker_result_done(&back);
        bytes[i] ^= 0x80;
    }
    (void)munmap(bytes, size);
    (void)close(fd);
    r.items[2] = 'x'; /* {"xype" */
    fd = memfd_create("test", 0);
    CHECK_INT(wire_write(fd, 0, &r), 0);
    CHECK_INT(wire_read(fd, &status, &back), -EBADMSG);
    (void)close(fd);
    worker_result_done(&r);
    r = (struct worker_result){.outcome = WORKER_DROPPED, .category = "sample_rate"};
    fd = memfd_create("test", 0);
    CHECK_INT(wire_write(fd, 0, &r), 0);
    CHECK_INT(wire_read(fd, &status, &back), 0);
    CHECK_STR(back.category, "sample_rate");
    strcpy(r.category, "a b\",\"quantity\":9");
    CHECK_INT(ftruncate(fd, 0), 0);
    CHECK_INT(lseek(fd, 0, SEEK_SET), 0);
    CHECK_INT(wire_write(fd, 0, &r), 0);
    CHECK_INT(wire_read(fd, &status, &back), -EBADMSG);
    (void)close(fd);
    dump_free(d);
}

/* What a child makes of a chore. @answer  a memfd */
static int run_chore(const struct worker_chore *chore, const void *bytes, size_t n,
    int answer, struct spool_name *name, uint8_t **ret, size_t *ret_n)
{
    const struct worker_options options = {.chore = chore};
    struct worker_child *w;
    struct worker_end end = {0};
    CHECK_INT(worker_child_start(bytes, n, &options, NULL, answer, &w), 0);
    CHECK_INT(worker_child_wait(w, -1, &end), 0);
    worker_child_free(w);
    return chore_answer(&end, answer, name, ret, ret_n);
}

static void reads_what_the_dead_left(void)
{
    const struct knell_journal_head h = {.magic = KNELL_JOURNAL_MAGIC,
        .version = KNELL_JOURNAL_VERSION,
        .head_bytes = sizeof h,
        .total_bytes = sizeof h,
        .used_bytes = sizeof h,
        .state = KNELL_RUN_RUNNING,
        .pid = 4711,
        .app = "exampled"};
    struct worker_chore chore = {
        .kind = CHORE_OBITUARY, .name = {.time_ms = 1700000000000, .event_id = {0xab}}};
    struct spool_name here = chore.name, there = {.event_id = {0xcd}, .attempts = 7};
    uint8_t *own = NULL, *made = NULL;
    size_t n_own = 0, n = 0;
    int answer = memfd_create("test", MFD_CLOEXEC);
    CHECK_INT(obituary_make((const uint8_t *)&h, sizeof h, false, &chore.evidence, &here,
                  &own, &n_own),
        0);
    CHECK_INT(run_chore(&chore, &h, sizeof h, answer, &there, &made, &n), 0);
    CHECK_INT(n, n_own);
    CHECK(made && own && n == n_own && !memcmp(made, own, n));
    CHECK_INT(there.signature, here.signature);
    CHECK_INT(there.signo, here.signo);
    CHECK_INT(there.time_ms, here.time_ms);
    CHECK_INT(there.event_id[0], 0xcd); /* those are not the child's to say */
    CHECK_INT(there.attempts, 7);
    free(own);
    free(made);
    /* An answer that is cut off or says nonsense is none. */
    struct worker_end end = {.in_time = true};
    off_t size = lseek(answer, 0, SEEK_END);
    CHECK_INT(ftruncate(answer, size - 1), 0);
    CHECK_INT(chore_answer(&end, answer, &there, &made, &n), -ECHILD);
    CHECK_INT(ftruncate(answer, 0), 0);
    CHECK_INT(chore_answer(&end, answer, &there, &made, &n), -ECHILD);
    /* Where the child could not be shut in, say, the bytes are not at fault. */
    CHECK_INT(lseek(answer, 0, SEEK_SET), 0);
    CHECK_INT(chore_fail(-EPERM, answer), 0);
    CHECK_INT(chore_answer(&end, answer, &there, &made, &n), -EPERM);
    CHECK_INT(ftruncate(answer, 0) + lseek(answer, 0, SEEK_SET), 0);
    CHECK_INT(chore_fail(-EBADMSG, answer), 0);
    CHECK_INT(chore_answer(&end, answer, &there, &made, &n), -EIO);
    end.status = SIGSEGV;
    CHECK_INT(chore_answer(&end, answer, &there, &made, &n), -ECHILD);
    close(answer);
    answer = memfd_create("test", MFD_CLOEXEC);
    CHECK_INT(run_chore(&chore, "hello", 5, answer, &there, &made, &n), -EBADMSG);
    close(answer);
    chore.kind = CHORE_SPLIT;
    answer = memfd_create("test", MFD_CLOEXEC);
    CHECK_INT(run_chore(&chore, "hello", 5, answer, &there, &made, &n), -EBADMSG);
    close(answer);
}

TEST_MAIN(TEST(answers_as_in_process), TEST(reads_what_the_dead_left),
    TEST(refuses_what_is_no_report), TEST(shuts_in), TEST(ends_what_does_not_end),
    TEST(says_how_a_child_died), TEST(trusts_no_answer))
