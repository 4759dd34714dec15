/**
 * Runs the deaths of scenarios.c.
 *
 * usage: test_crash list
 *        test_crash VICTIM root|nobody THREADS [NAME...]
 *
 * Checked for each: exactly one report that knell's own parser takes, of the right
 * signal, thread and address, with the function that died among the frames; nothing
 * printed and a wait status as of the same program without knell. With
 * $KNELL_KEEP_REPORTS, a folder, a copy of each report is left there.
 */
#include "run.h"
#include "scenarios.h"
#include "test.h"
#include "tmpdir.h"
#include "uploader/report/unwind.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *victim;
static bool as_nobody;
static int n_threads;

static bool has(const struct crash_text *t, const char *text)
{
    return t->text && memmem(t->text, t->n_bytes, text, strlen(text));
}

static void check_text(const struct run *r, const char *text)
{
    if (!text || has(&r->crash->abort_message, text) || has(&r->crash->facts, text) ||
        strstr(r->out, text))
        return;
    printf("no \"%s\" in the report\n", text);
    test_check(false, __FILE__, __LINE__, text);
}

static void check_frames(const struct scenario *s, const struct run *r)
{
    const struct crash_thread *t = &r->crash->threads[0];
    CHECK(t->crashed);
    CHECK(t->n_frames >= s->n_frames);
    bool found = false;
    for (uint32_t i = 0; i < t->n_frames; i++)
        found |= t->frames[i].pc - r->at < 600;
    if (!(s->flags & NO_FUNCTION))
        CHECK(found);
    /* What the handler saw itself agrees with what the bytes give. */
    if (s->flags & NO_FRAMES || t->n_frames < 3 || !CHECK(r->crash->n_prewalked >= 3))
        return;
    uint32_t n =
        t->n_frames < r->crash->n_prewalked ? t->n_frames : r->crash->n_prewalked;
    for (uint32_t i = 0; i < n; i++) {
        if (t->frames[i].pc == r->crash->prewalked[i])
            continue;
        int m = t->frames[i].module;
        printf("frame %u: 0x%llx by %s of %s is not 0x%llx\n", i,
            (unsigned long long)t->frames[i].pc, crash_trust_name(t->frames[i].trust),
            m < 0 ? "no module" : r->crash->modules[m].path,
            (unsigned long long)r->crash->prewalked[i]);
        CHECK(t->frames[i].pc == r->crash->prewalked[i]);
        break;
    }
}

static bool has_thread(const struct crash *c, uint32_t tid)
{
    for (uint32_t i = 0; i < c->n_threads; i++) {
        if (c->threads[i].tid == tid)
            return true;
    }
    return false;
}

/* One thread heard nothing: it was read by way of /proc, or not at all while it ran.
 * Where there are registers, there is a frame. */
static void check_deaf(const struct crash *c, bool asleep)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < c->n_threads; i++) {
        const struct crash_thread *t = &c->threads[i];
        if (t->how == KNELL_THREAD_SIGNAL)
            continue;
        n++;
        CHECK(!asleep || t->how == KNELL_THREAD_SYSCALL);
        CHECK_INT(t->n_frames > 0, t->how != KNELL_THREAD_NONE);
    }
    CHECK_INT(n, 1);
}

static uint32_t user(void)
{
    enum { NOBODY = 65534 };
    return as_nobody ? NOBODY : geteuid();
}

static void check_report(const struct scenario *s, const struct run *r)
{
    if (!CHECK(r->crash) || !CHECK(r->crash->has_signal))
        return;
    const struct crash *c = r->crash;
    if (s->signo != ANY)
        CHECK_INT(c->signal.signo, s->signo);
    if (s->code != ANY)
        CHECK_INT(c->signal.code, s->code);
    if (s->address == AT_PC)
        CHECK(c->signal.address == 0 && c->signal.sender_pid);
    else if (s->address != ANYWHERE)
        CHECK_INT(c->signal.address, s->address);
    if (!(s->flags & ANY_THREAD))
        CHECK_INT(c->threads[0].tid, r->tid);
    /* A full disk loses the last; without /proc the others are not known. */
    if (s->flags & ONE_THREAD)
        CHECK_INT(c->n_threads, 1);
    else if (!(s->flags & (RUN_ON_TMPFS | RUN_NO_PROC)))
        CHECK(c->n_threads >= (uint32_t)n_threads);
    if (s->flags & (DEAF_THREAD | LOST_THREAD))
        check_deaf(c, s->flags & DEAF_THREAD);
    for (uint32_t i = 0; i < c->n_other_crashes; i++)
        CHECK(has_thread(c, c->other_crashes[i].tid));
    if (!s->code && c->signal.signo) /* SI_USER: another process, of the same user */
        CHECK(c->signal.sender_pid != c->pid && c->signal.sender_uid == user());
    if (CHECK(c->n_modules >= 3))
        CHECK_STR(c->modules[0].path, victim);
    if (s->flags & NO_JOURNAL)
        CHECK(!c->journal);
    else if (CHECK(c->journal))
        CHECK_STR(c->journal->environment, "production");
    check_frames(s, r);
    check_text(r, s->text);
}

static const char *status_text(int status)
{
    static char text[2][64];
    static int which;
    char *out = text[which++ & 1];
    if (status < 0)
        return "hangs";
    (void)snprintf(out, sizeof text[0], "%s %d%s",
        WIFSIGNALED(status) ? "signal" : "exit",
        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
        WIFSIGNALED(status) && WCOREDUMP(status) ? " core" : "");
    return out;
}

static unsigned run_flags(const struct scenario *s)
{
    return (s->flags & RUN_FLAGS) | (as_nobody ? RUN_AS_NOBODY : 0);
}

static void keep_frame(FILE *f, const struct crash *c, const struct crash_frame *frame)
{
    const struct crash_module *m = frame->module < 0 ? NULL : &c->modules[frame->module];
    const char *slash = m ? strrchr(m->path, '/') : NULL;
    fprintf(f, "0x%llx %s 0x%llx\n", (unsigned long long)frame->pc,
        slash ? slash + 1
        : m   ? m->path
              : "?",
        (unsigned long long)(m ? frame->pc - m->base : 0));
}

/* For other readers: SCENARIO.dmp, and what they should find in it as SCENARIO.expect:
 * signal, crashed thread, number of threads and address, then the frames: pc, module, and
 * offset in it. */
static void keep(const struct scenario *s, const struct run *r)
{
    const char *folder = getenv("KNELL_KEEP_REPORTS");
    char path[600];
    if (!folder || !r->crash)
        return;
    (void)snprintf(path, sizeof path, "%s/%s.dmp", folder, s->name);
    FILE *f = fopen(path, "w");
    if (!f || fwrite(r->bytes, 1, r->n_bytes, f) != r->n_bytes || fclose(f))
        test_check(false, __FILE__, __LINE__, path);
    (void)snprintf(path, sizeof path, "%s/%s.expect", folder, s->name);
    f = fopen(path, "w");
    if (!CHECK(f))
        return;
    const struct crash_thread *t = &r->crash->threads[0];
    fprintf(f, "%d %u %u %#llx\n", r->crash->signal.signo, t->tid, r->crash->n_threads,
        (unsigned long long)r->crash->signal.address);
    for (uint32_t i = 0; i < t->n_frames; i++)
        keep_frame(f, r->crash, &t->frames[i]);
    CHECK_INT(fclose(f), 0);
}

static bool cannot(const struct run *r)
{
    return r->status >= 0 && WIFEXITED(r->status) && WEXITSTATUS(r->status) == 77;
}

/* Returns false when the victim could not make its world. */
static bool check_scenario(const struct scenario *s)
{
    char args[256];
    struct run with, bare;
    unsigned flags = run_flags(s);
    (void)snprintf(args, sizeof args, "-t %d %s", n_threads, s->args);
    run_victim(victim, args, flags, &with);
    if (cannot(&with)) {
        printf("skip %s: %s", s->name, with.err);
        run_done(&with);
        return false;
    }
    if (with.n_reports != s->n_reports || with.refused)
        printf("%d reports%s%s\nout: %serr: %s\n", with.n_reports,
            with.refused ? ", refused: " : "", with.refused ? with.refused : "", with.out,
            with.err);
    /* Those the victim and the runner end with when they cannot do what was asked. */
    CHECK(!WIFEXITED(with.status) || WEXITSTATUS(with.status) < 90 ||
          WEXITSTATUS(with.status) > 126);
    CHECK_INT(with.n_reports, s->n_reports);
    CHECK_STR(with.refused, NULL);
    if (with.n_reports || s->flags & IN_LIVE)
        check_report(s, &with);
    if (s->flags & IN_LIVE)
        CHECK(run_live_is_committed(&with));
    else if (!(s->flags & MAY_STAY))
        CHECK_INT(with.n_live_dumps, 0);
    keep(s, &with);
    char path[320], precious[16] = {0};
    (void)snprintf(path, sizeof path, "%s/precious", with.dir);
    FILE *f = fopen(path, "r");
    if (f) {
        CHECK_INT(fread(precious, 1, sizeof precious - 1, f), 8);
        CHECK_STR(precious, "precious");
        (void)fclose(f);
    }
    run_done(&with);
    CHECK(with.status >= 0); /* it hangs: so may the other */
    if (s->flags & OTHER_STATUS) {
        CHECK(WIFSIGNALED(with.status) &&
              (WTERMSIG(with.status) == SIGSEGV || WTERMSIG(with.status) == SIGABRT));
        return true;
    }
    run_victim(victim, args, flags | RUN_BARE, &bare);
    CHECK_STR(status_text(with.status), status_text(bare.status));
    CHECK_STR(with.err, bare.err);
    run_done(&bare);
    return true;
}

static bool chosen(const struct scenario *s, int argc, char **argv)
{
    for (int i = 4; i < argc; i++) {
        if (!strcmp(argv[i], s->name))
            return true;
    }
    if (argc > 4)
        return false;
    return n_threads == 1 || s->flags & ALL_COUNTS;
}

/* Why @s cannot run here; NULL: it can. */
static const char *why_not(const struct scenario *s)
{
    if (s->flags & ROOT && (as_nobody || geteuid() != 0))
        return "needs privileges";
#ifdef KNELL_INSTRUMENTED
    if (s->flags & PLAIN)
        return "a sanitizer's runtime changes what happens";
#endif
    return surroundings_missing(run_flags(s));
}

static int list(void)
{
    for (size_t i = 0; i < n_scenarios; i++)
        printf("%d %s\n", scenarios[i].number, scenarios[i].name);
    return 0;
}

int main(int argc, char **argv)
{
    int failed = 0, ran = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 2 && !strcmp(argv[1], "list"))
        return list();
    if (argc < 4)
        return 2;
    victim = realpath(argv[1], NULL);
    if (!victim)
        return 2;
    as_nobody = !strcmp(argv[2], "nobody");
    n_threads = atoi(argv[3]);
    if (as_nobody && geteuid() != 0) {
        printf("skip: an ordinary user already ran this as itself\n");
        return 77;
    }
    for (size_t i = 0; i < n_scenarios; i++) {
        const struct scenario *s = &scenarios[i];
        if (!chosen(s, argc, argv))
            continue;
        const char *why = why_not(s);
        if (why) {
            printf("skip %s: %s\n", s->name, why);
            continue;
        }
        int before = test_failures();
        if (!check_scenario(s))
            continue;
        ran++;
        bool bad = test_failures() > before;
        failed += bad;
        printf("%s %s\n", bad ? "FAIL" : "ok  ", s->name);
    }
    printf("%d run, %d failed\n", ran, failed);
    return failed || !ran;
}
