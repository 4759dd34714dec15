/* Deaths that no handler sees: what the next start makes of them, and how it knows. */
#include "telling.h"
#include "test.h"
#include "tmpdir.h"
#include "uploader/report/obituary.h"

#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <knell/journal.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void death_by_sigkill(void)
{
    int status = tell("scope", "9");
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    upload();
    const cJSON *e = event(0);
    check_scope(e);
    CHECK_STR(json_text(e, "tags/route"), "global"); /* nobody's thread */
    CHECK_STR(json_text(e, "exception/values/0/type"), "SIGKILL");
    CHECK(cJSON_IsFalse(json_at(e, "exception/values/0/mechanism/handled")));
    CHECK_STR(json_text(e, "level"), "fatal");
    CHECK_STR(json_text(e, "release"), "teller@1.0");
    CHECK(strlen(json_text(e, "extra/evidence 1")) > 0);
    upload(); /* once */
    CHECK_INT(envelopes_count(&got, "event"), 1);
}

/* The most that may be chosen is still a journal that can be read. */
static void death_with_the_largest_journal(void)
{
    new_place();
    (void)tell_with("scope", "9", "LARGEST=1");
    upload();
    CHECK_INT(test_count_files(spool, "bad"), 0);
    CHECK_STR(json_text(event(0), "exception/values/0/type"), "SIGKILL");
    check_scope(event(0));
}

static void other_deaths_without_a_handler(void)
{
    static const struct {
        const char *how;
        int signo;
        const char *type; /* NULL: no report */
    } cases[] = {{"stop", 0, NULL}, {"exit", 0, NULL}, {"15", SIGTERM, NULL},
        {"2", SIGINT, NULL}, {"14", SIGALRM, "SIGALRM"}, {"13", SIGPIPE, "SIGPIPE"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status = tell("", cases[i].how);
        if (cases[i].signo)
            CHECK(WIFSIGNALED(status) && WTERMSIG(status) == cases[i].signo);
        else
            CHECK(WIFEXITED(status));
        upload();
        CHECK_INT(envelopes_count(&got, "event"), cases[i].type != NULL);
        CHECK_STR(json_text(event(0), "exception/values/0/type"),
            cases[i].type ? cases[i].type : "");
        CHECK_INT(test_count_files(spool, "live"), 0);
    }
}

/* As a reboot would leave it: the boot id in the journal and in the name is another. */
static void simulate_reboot(void)
{
    char dir[300], from[600], to[600];
    (void)snprintf(dir, sizeof dir, "%s/live", spool);
    DIR *d = opendir(dir);
    for (const struct dirent *e; d && (e = readdir(d));) {
        const uint8_t other[16] = {0xab, 0xcd, 0xef, 0x01, 5};
        if (e->d_name[0] == '.')
            continue;
        (void)snprintf(from, sizeof from, "%s/%s", dir, e->d_name);
        (void)snprintf(to, sizeof to, "%s/abcdef01%s", dir, e->d_name + 8);
        int fd = open(from, O_RDWR | O_CLOEXEC);
        if (strstr(e->d_name, ".jnl"))
            CHECK_INT(
                pwrite(fd, other, 16, offsetof(struct knell_journal_head, boot_id)), 16);
        (void)close(fd);
        CHECK(!rename(from, to));
    }
    if (d)
        (void)closedir(d);
}

static void death_by_reboot(void)
{
    (void)tell("scope", "9");
    simulate_reboot();
    upload();
    CHECK_STR(json_text(event(0), "exception/values/0/type"), "PowerLossOrReboot");
    check_scope(event(0));
}

/* Needs a memory cgroup of our own: root, and version 1 or 2 writable. */
static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        (void)close(fd);
    return ok;
}

static void death_by_oom(void)
{
    static const struct {
        const char *root, *limit;
    } kinds[] = {{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
        {"/sys/fs/cgroup", "memory.max"}};
    char group[128], path[256], pid_text[16];
    bool ready = false;
    for (size_t i = 0; !ready && i < 2; i++) {
        (void)snprintf(group, sizeof group, "%s/knell-test-%d", kinds[i].root, getpid());
        if (mkdir(group, 0755))
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", group, kinds[i].limit);
        ready = write_text(path, "33554432");
        if (!ready)
            (void)rmdir(group);
    }
    if (!ready) {
        test_skip("no memory cgroup can be made here");
        return;
    }
    (void)snprintf(path, sizeof path, "%s/memory.swap.max", group);
    (void)write_text(path, "0");
    (void)snprintf(path, sizeof path, "%s/cgroup.procs", group);
    (void)snprintf(pid_text, sizeof pid_text, "%d", getpid());
    pid_t pid = fork();
    if (!pid) { /* the members are this process and the teller */
        (void)snprintf(pid_text, sizeof pid_text, "%d", getpid());
        if (!write_text(path, pid_text))
            _exit(9);
        new_place();
        int status = tell_with("memory", "stop", NULL);
        upload();
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        CHECK_STR(json_text(event(0), "exception/values/0/type"), "OOMKill");
        bool said_why = false;
        const cJSON *fact;
        cJSON_ArrayForEach(fact, json_at(event(0), "extra"))
        {
            const char *words = cJSON_GetStringValue(fact);
            said_why |= words && (strstr(words, "OOM kills at the start") ||
                                     strstr(words, "the kernel's log"));
        }
        CHECK(said_why);
        _exit(strcmp(json_text(event(0), "exception/values/0/type"), "OOMKill") != 0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 9)
        test_skip("the cgroup takes no process");
    else
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    for (int i = 0; i < 100 && rmdir(group); i++)
        (void)usleep(10000);
}

static bool evidence_says(const char *words)
{
    const cJSON *fact;
    cJSON_ArrayForEach(fact, json_at(event(0), "extra"))
    {
        const char *text = cJSON_GetStringValue(fact);
        if (text && strstr(text, words))
            return true;
    }
    return false;
}

/* With no stack for a handler the kernel ends the process by SIGSEGV. Without a core file
 * that is told from a SIGKILL by nothing, and the report says so. */
static void death_by_overflow_without_a_stack(void)
{
    int status = tell("overflow", "stop");
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    upload();
    CHECK_INT(envelopes_count(&got, "event"), 1);
    check_scope(event(0));
    CHECK(evidence_says("a stack overflow without an alternate signal stack"));
}

/* What the machine would hold, in a folder. */
static void gather_from(const struct knell_journal_head *head, const char *root,
    struct obituary *ret, struct obituary_evidence *ret_evidence)
{
    const struct journal j = {.head = head, .status = {.vm_oom_kills_at_start = 7}};
    obituary_gather(root, j.head, ret_evidence);
    obituary_judge(&j, ret_evidence, ret);
}

static void a_core_file_tells_of_a_crash(void)
{
    static const char boot[] = "00112233-4455-6677-8899-aabbccddeeff\n";
    static const char *const cores[] = {"cores/core.teller.4242",
        "var/lib/systemd/coredump/"
        "core.teller.0.00112233445566778899aabbccddeeff.4242.1700000000000000.zst"};
    struct knell_journal_head head = {.pid = 4242,
        .state = KNELL_RUN_RUNNING,
        .boot_id = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa,
            0xbb, 0xcc, 0xdd, 0xee, 0xff},
        .oom_kills_at_start = UINT64_MAX,
        .flags = KNELL_JOURNAL_NOTES_EXIT | KNELL_JOURNAL_NOTES_SIGNALS};
    for (size_t i = 0; i < 3; i++) {
        struct obituary o;
        struct obituary_evidence e;
        char root[256];
        (void)snprintf(root, sizeof root, "%s", test_tmpdir());
        test_write_file(root, "proc/sys/kernel/random/boot_id", boot, sizeof boot - 1);
        test_write_file(root, "proc/sys/kernel/core_pattern", "/cores/core.%e.%p\n", 18);
        test_write_file(root, "proc/vmstat", "oom_kill 7\n", 11);
        test_write_file(root, "cores/core.teller.4243", "x", 1);
        if (i < 2)
            test_write_file(root, cores[i], "x", 1);
        gather_from(&head, root, &o, &e);
        CHECK_INT(o.cause, i < 2 ? OBITUARY_CORE : OBITUARY_KILLED);
        CHECK_STR(o.type, i < 2 ? "CrashWithoutHandler" : "SIGKILL");
        CHECK(i == 2 || strstr(e.core, cores[i]));
    }
}

/* systemd removes the cgroup of a service that ended. */
static void a_cgroup_that_is_gone(void)
{
    static const char boot[] = "00112233-4455-6677-8899-aabbccddeeff\n";
    static const struct {
        const char *machine, *cgroup, *value;
    } cases[] = {
        {"oom_kill 8\n", NULL, "killed from outside, perhaps for want of memory"},
        {"oom_kill 7\n", NULL, "killed from outside"},
        {"oom_kill 8\n", "oom_kill 0\n", "killed from outside"},
        {"oom_kill 8\n", "oom_kill 1\n", "killed by the kernel: out of memory"}};
    struct knell_journal_head head = {.pid = 4242,
        .state = KNELL_RUN_RUNNING,
        .cgroup = "/system.slice/teller.service",
        .flags = KNELL_JOURNAL_NOTES_EXIT | KNELL_JOURNAL_NOTES_SIGNALS};
    for (int i = 0; i < 16; i++)
        head.boot_id[i] = (uint8_t)(i * 0x11);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct obituary o;
        struct obituary_evidence e;
        char root[256];
        (void)snprintf(root, sizeof root, "%s", test_tmpdir());
        test_write_file(root, "proc/sys/kernel/random/boot_id", boot, sizeof boot - 1);
        test_write_file(root, "proc/vmstat", cases[i].machine, 11);
        if (cases[i].cgroup)
            test_write_file(root,
                "sys/fs/cgroup/system.slice/teller.service/memory.events",
                cases[i].cgroup, 11);
        gather_from(&head, root, &o, &e);
        CHECK_STR(o.value, cases[i].value);
    }
}

/* The kernel's log as /dev/kmsg gives it, and PIDs that come again. */
static void the_kernels_log_tells(void)
{
    static const char boot[] = "00112233-4455-6677-8899-aabbccddeeff\n";
    static const struct {
        const char *line, *type;
    } cases[] = {{"3,99,5000000,-;Out of memory: Killed process 4242 (teller) total-vm:1",
                     "OOMKill"},
        {"6,99,5000000,-;oom-kill:constraint=CONSTRAINT_MEMCG,task=teller,pid=4242,uid=0",
            "OOMKill"},
        {"3,99,5000000,-;Out of memory: Killed process 42421 (other)", "SIGKILL"},
        {"3,99,500000,-;Out of memory: Killed process 4242 (before it lived)", "SIGKILL"},
        /* With audit on: also of an overflow that no handler had a stack for. */
        {"5,99,5000000,-;audit: type=1701 audit(1700000000.12:4): uid=0 ses=1 pid=4242 "
         "comm=\"teller\" exe=\"/bin/teller\" sig=11 res=1",
            "SIGSEGV"},
        {"5,99,5000000,-;audit: type=1701 audit(1700000000.12:4): uid=0 ses=1 pid=4242 "
         "comm=\"teller\" exe=\"/bin/teller\" sig=7 res=1",
            "SIGBUS"},
        {"5,99,5000000,-;audit: type=1701 audit(1700000000.12:4): uid=0 ses=1 pid=42424 "
         "comm=\"other\" exe=\"/bin/other\" sig=11 res=1",
            "SIGKILL"},
        {"5,99,500000,-;audit: type=1701 audit(1700000000.12:4): uid=0 ses=1 pid=4242 "
         "comm=\"before\" exe=\"/bin/before\" sig=11 res=1",
            "SIGKILL"},
        {"5,99,5000000,-;audit: type=1701 audit(1700000000.12:4): pid=4242 sig=99 res=1",
            "SIGKILL"},
        {"5,99,5000000,-;audit: type=1326 audit(1700000000.12:4): pid=4242 sig=0 code=1",
            "SIGKILL"},
        {"6,99,5000000,-;teller[4242]: segfault at 8 ip 0000559e sp 00007ffe error 4",
            "SIGSEGV"},
        {"6,99,5000000,-;other[4243]: segfault at 8 ip 0000559e sp 00007ffe error 4",
            "SIGKILL"}};
    struct knell_journal_head head = {.pid = 4242,
        .state = KNELL_RUN_RUNNING,
        .start_boottime_ns = 1000000000,
        .oom_kills_at_start = UINT64_MAX,
        .flags = KNELL_JOURNAL_NOTES_EXIT | KNELL_JOURNAL_NOTES_SIGNALS};
    for (int i = 0; i < 16; i++)
        head.boot_id[i] = (uint8_t)(i * 0x11);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct obituary o;
        struct obituary_evidence e;
        char root[256];
        (void)snprintf(root, sizeof root, "%s", test_tmpdir());
        test_write_file(root, "proc/sys/kernel/random/boot_id", boot, sizeof boot - 1);
        test_write_file(root, "dev/kmsg", cases[i].line, strlen(cases[i].line));
        gather_from(&head, root, &o, &e);
        CHECK_STR(o.type, cases[i].type);
        CHECK_INT(strstr(o.reasons[1], "the kernel's log: ") != NULL,
            strcmp(cases[i].type, "SIGKILL") != 0);
    }
}

/* A limit on address space is no death by itself: malloc(3) says no, and the daemon that
 * does not go on without aborts, which a handler sees. */
static void out_of_address_space(void)
{
#ifdef __SANITIZE_ADDRESS__
    test_skip("a sanitizer needs terabytes of it");
    return;
#endif
    int status = tell("address-space", "stop");
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    upload();
    CHECK_STR(json_text(event(0), "exception/values/0/type"), "SIGABRT");
    check_scope(event(0));
}

static void unknown_when_nothing_was_noted(void)
{
    new_place();
    int status = tell_with("scope", "9", "NOTE_NO_EXITS=1");
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    upload();
    CHECK_STR(json_text(event(0), "exception/values/0/type"), "UncleanExit");
    CHECK(evidence_says("exits and signals were not noted"));
    check_scope(event(0));
}

TEST_MAIN(TEST(death_by_sigkill), TEST(death_with_the_largest_journal),
    TEST(other_deaths_without_a_handler), TEST(death_by_reboot), TEST(death_by_oom),
    TEST(death_by_overflow_without_a_stack), TEST(a_core_file_tells_of_a_crash),
    TEST(a_cgroup_that_is_gone), TEST(the_kernels_log_tells), TEST(out_of_address_space),
    TEST(unknown_when_nothing_was_noted))
