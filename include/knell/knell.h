/**
 * knell: the crash reporter of a long-running daemon.
 *
 *     #include <knell/knell.h>
 *
 *     int main(void)
 *     {
 *         struct knell_options o = KNELL_OPTIONS_INIT;
 *         o.app = "exampled";
 *         o.release = "exampled@2.4.1";
 *         knell_start(&o);
 *         ... serve ...
 *         knell_stop();
 *     }
 *
 * Nothing in this header ever ends, blocks or prints from the program that calls it.
 * A function that fails leaves the daemon as it was and says why by a negative errno.
 * Every function may be called before knell_start(), after it failed and after
 * knell_stop(); it then does nothing.
 *
 * Only knell_add_breadcrumb() may be called in a signal handler, of a thread that called
 * it, or knell_start(), before. A thread that was cancelled (pthread_cancel(3), deferred)
 * does not end inside of any but knell_syslog(), which is as syslog(3) is.
 */
#ifndef KNELL_KNELL_H
#define KNELL_KNELL_H

#include <knell/capture.h>
#include <knell/log.h>
#include <knell/scope.h>
#include <knell/trace.h>
#include <knell/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KNELL_VERSION "0.1.0"

/* A three-way switch of an option: KNELL_DEFAULT asks the environment, then the
 * documented default. */
enum knell_switch {
    KNELL_DEFAULT = 0,
    KNELL_ON = 1,
    KNELL_OFF = 2,
};

/* What a fork child does that goes on without exec(3). Of either kind each fork(2) copies
 * the journal before, in some 50 us; vfork(2) and posix_spawn(3) do not. */
enum knell_on_fork {
    KNELL_FORK_SILENT = 0, /* a crash of its own is reported when it may still write into
                              the spool; else KNELL_COVER_FORKS=1, for a program that
                              cannot be changed */
    KNELL_FORK_COVER = 1,  /* it gets a journal and reports of its own; costs some 100 us
                              and two files, for a child that calls exec(3) too */
};

/* For the rates below, in which 0 means "not given". */
#define KNELL_RATE_NONE (-1.0)

/**
 * What a program tells knell at start. Initialize with KNELL_OPTIONS_INIT and set what
 * you know; every pointer may be NULL, is borrowed for the call only, and is then taken
 * from the environment variable or the default named beside it.
 */
struct knell_options {
    size_t size;             /* sizeof(struct knell_options), for later versions */
    const char *app;         /* short name; default: the program's file name */
    const char *release;     /* SENTRY_RELEASE, NAME@service.version of
                                OTEL_RESOURCE_ATTRIBUTES, GIT_SHA, HEROKU_SLUG_COMMIT,
                                SOURCE_VERSION, VERCEL_GIT_COMMIT_SHA, RENDER_GIT_COMMIT,
                                else the build-id of the executable */
    const char *environment; /* SENTRY_ENVIRONMENT, deployment.environment.name of
                                OTEL_RESOURCE_ATTRIBUTES, else "production" */
    const char *dist;        /* SENTRY_DIST, else none */
    const char *spool_dir; /* KNELL_SPOOL, else /var/spool/knell/APP when that can be made
                              or written, else $XDG_STATE_HOME/knell/APP */
    const char *dsn;       /* KNELL_DSN, then SENTRY_DSN. A Sentry DSN, file:///DIR, or ""
                              for: keep, send nothing, open no socket */
    const char *uploader;  /* KNELL_UPLOADER, else knell-upload where knell was installed,
                              else knell-upload in PATH */
    enum knell_switch start_uploader; /* when reports wait at start, when one is made, and
                                         at knell_stop(); at most one a minute. PID 1
                                         and subreapers get its SIGCHLD, as of any orphan.
                                         KNELL_START_UPLOADER=0|1; default on */
    enum knell_switch
        allow_setuid;        /* arm in a setuid or non-dumpable program; default off */
    enum knell_switch debug; /* KNELL_DEBUG=0|1; say on stderr what knell does, and why
                                not; off */
    uint32_t max_threads;    /* threads whose stacks fit a report, at most 16384;
                                0: 4096 */
    uint32_t deadline_ms;    /* most time a capture may add to a death; 0: 3000 */

    uint32_t max_breadcrumbs;   /* kept and shown, at most 1,000; 0: 100 */
    uint32_t breadcrumb_bytes;  /* room of each, 32 of it taken, 64 to 4,096; 0: 256. Of
                                   long ones as many are kept as fit 256 KiB */
    uint32_t max_thread_scopes; /* threads at a time that can have a scope of their own in
                                   the journal, at most 256; 0: 32 */
    double sample_rate; /* share of errors and messages that are reported, 0 to 1; crashes
                           always are. SENTRY_SAMPLE_RATE, else 1 */
    double traces_sample_rate;              /* share of transactions that are sent.
                                               SENTRY_TRACES_SAMPLE_RATE, else none */
    const char *const *ignore_transactions; /* NULL-terminated patterns of names never
                                               sent, such as "GET /health*"; '*' stands
                                               for any text */
    uint32_t capture_burst;                 /* reports of one kind at once; 0: 10 */
    uint32_t capture_interval_ms;           /* after that one more each; 0: 6000 */
    enum knell_switch sessions; /* release health: how many runs of a release ended well,
                                   with errors, in a crash. One small update at start, one
                                   with each handled error, one at the end.
                                   KNELL_SESSIONS=0|1; default on when dsn is a Sentry
                                   project's (http, https), then not for fork children */
    enum knell_switch logs;     /* knell_log() is sent too. KNELL_LOGS=0|1; off */
    enum knell_switch note_exits; /* tell exit(3) and deadly signals without a handler
                                     from SIGKILL; on */
    enum knell_on_fork on_fork;
    enum knell_switch sanitize; /* let into the spool, of stacks and other memory, only
                                   what leads through the stacks; debuggers see less. The
                                   uploader by itself takes the rest out of what it sends.
                                   KNELL_SANITIZE=0|1; off */
};

#define KNELL_OPTIONS_INIT                                                               \
    {                                                                                    \
        sizeof(struct knell_options), 0, 0, 0, 0, 0, 0, 0, KNELL_DEFAULT, KNELL_DEFAULT, \
            KNELL_DEFAULT, 0, 0, 0, 0, 0, 0.0, 0.0, 0, 0, 0, KNELL_DEFAULT,              \
            KNELL_DEFAULT, KNELL_DEFAULT, KNELL_FORK_SILENT, KNELL_DEFAULT               \
    }

/**
 * Arm knell: open the spool, write down release and environment, install handlers for
 * SEGV BUS FPE ILL ABRT TRAP SYS, and start the uploader when reports are waiting.
 *
 * Context: normal; once, early, before threads are made.
 * @options  borrowed for the call; NULL means all defaults
 * Returns 0, or a negative errno when this process is not covered: -EALREADY when armed,
 * -EPERM in a setuid or non-dumpable program, else what the file system said.
 */
KNELL_API int knell_start(const struct knell_options *options);

/**
 * Mark a clean exit, put the previous signal handlers back and remove this process's
 * files in the spool. What there is to send is left to an uploader.
 *
 * exit(3) does it by itself. _exit(2) does not: a daemon that ends by it calls this
 * first, or its next start reports an end that nobody explained.
 *
 * Context: normal; other threads may still run.
 */
KNELL_API void knell_stop(void);

/**
 * Install the handlers again where another library has replaced them since
 * (knell_status() says so). Its handler then runs after the report, as one that was there
 * before knell_start() does. Not for a program whose runtime handles faults as a matter
 * of course: each would be reported once.
 *
 * Context: normal.
 * Returns how many signals had been lost; -ENODEV when knell is not armed.
 */
KNELL_API int knell_rearm(void);

/**
 * Give the calling thread a guarded alternate signal stack, so that an overflow of its
 * own stack is reported. The main thread has one after knell_start(), and a thread gets
 * one by itself when it first leaves a breadcrumb, captures an error or opens a scope or
 * a span of its own. An existing larger alternate stack is kept. Nothing but stack
 * overflow needs this call.
 *
 * Context: normal, on the thread itself.
 * Returns 0 or a negative errno.
 */
KNELL_API int knell_thread_enter(void);

/**
 * Free what knell_thread_enter() made for the calling thread; a smaller alternate stack
 * of the program's own is there again. Done by itself when a thread ends.
 *
 * Context: normal, on the thread itself.
 */
KNELL_API void knell_thread_leave(void);

#ifdef __cplusplus
}
#endif

#endif
