/* knell-upload: one pass over a spool, or over all spools of this machine. */
#include "uploader/config.h"
#include "uploader/destinations.h"
#include "uploader/log.h"
#include "uploader/pipeline.h"
#include "uploader/prometheus.h"
#include "uploader/spools.h"
#include "uploader/stay.h"
#include "uploader/worker/server.h"
#include "uploader/worker/settings.h"
#include "uploader/worker_program.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <knell/knell.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAULT = 1,
    EXIT_USAGE = 2,
    EXIT_UNREADABLE = 4,
    EXIT_LATER = 6,
    EXIT_BUSY = 8,
    EXIT_DISABLED = 9,
};

enum { DAY_S = 86400, POLITE_NICE = 10, MAX_SETTINGS = 64 };

struct arguments {
    const char *spool, *config, *only;
    const char *overrides[MAX_SETTINGS + 2]; /* the spool's is the last, then NULL */
    size_t n_overrides;
    bool all, verbose, quiet, progress;
    unsigned stay_s; /* 0: one pass */
};

struct upload {
    struct config_set config;
    struct destination destinations[PIPELINE_MAX_DESTINATIONS];
    size_t n_destinations;
    bool bad_destination;
    struct prometheus figures;
    struct arguments args;
};

static volatile sig_atomic_t stop;

static void on_stop(int signo)
{
    (void)signo;
    stop = 1;
}

static void usage(FILE *f)
{
    fputs(
        "usage: knell-upload [OPTION]...\n"
        "Send the reports of a spool, once.\n\n"
        "  -D, --spool DIR         the spool (KNELL_SPOOL); else each folder in\n"
        "                          " KNELL_SPOOL_SYSTEM_ROOT "\n"
        "  -c, --config FILE       read this file instead of the usual ones\n"
        "  -s, --set SECTION.KEY=VALUE   override one setting\n"
        "  -a, --all               waiting reports that are not due as well\n"
        "  -i, --id ID             only reports whose event id begins so\n"
        "  -v, --verbose           say what happens to each report\n"
        "  -q, --quiet             say nothing but errors\n"
        "      --stay SECONDS      wait so long for more, and at low priority\n"
        "      --progress          show a count on stderr\n"
        "  -V, --version\n"
        "  -h, --help\n\n"
        "Exit status: 0 nothing left to do now, 1 failure, 2 usage, 4 spool unreadable,\n"
        "6 reports remain for later, 8 another uploader is at work, 9 no destination or\n"
        "no consent.\n",
        f);
}

/* 0: not one to a day of them. */
static unsigned stay_seconds(const char *text)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && n <= DAY_S ? (unsigned)n : 0;
}

static int refuse(const char *what)
{
    fprintf(stderr, "knell-upload: %s\n", what);
    return EXIT_USAGE;
}

/* Returns -1 to go on, else the exit status. */
static int parse_arguments(int argc, char **argv, struct arguments *a)
{
    static const struct option options[] = {{"spool", required_argument, NULL, 'D'},
        {"config", required_argument, NULL, 'c'}, {"set", required_argument, NULL, 's'},
        {"all", no_argument, NULL, 'a'}, {"id", required_argument, NULL, 'i'},
        {"verbose", no_argument, NULL, 'v'}, {"quiet", no_argument, NULL, 'q'},
        {"stay", required_argument, NULL, 'S'}, {"progress", no_argument, NULL, 'p'},
        {"version", no_argument, NULL, 'V'}, {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "D:c:s:ai:vqVh", options, NULL)) != -1;) {
        switch (c) {
        case 'D':
            a->spool = optarg;
            break;
        case 'c':
            a->config = optarg;
            break;
        case 's':
            if (a->n_overrides == MAX_SETTINGS)
                return refuse("more than 64 times --set");
            a->overrides[a->n_overrides++] = optarg;
            break;
        case 'a':
            a->all = true;
            break;
        case 'i':
            a->only = optarg;
            break;
        case 'v':
            a->verbose = true;
            break;
        case 'q':
            a->quiet = true;
            break;
        case 'S':
            a->stay_s = stay_seconds(optarg);
            if (!a->stay_s)
                return refuse("--stay: not a number of seconds from 1 to 86400");
            break;
        case 'p':
            a->progress = true;
            break;
        case 'V':
            puts("knell-upload " KNELL_VERSION);
            return EXIT_DONE;
        case 'h':
            usage(stdout);
            return EXIT_DONE;
        default:
            usage(stderr);
            return EXIT_USAGE;
        }
    }
    if (optind == argc)
        return -1;
    usage(stderr);
    return EXIT_USAGE;
}

static void tell_bad_destination(void *ctx, const char *masked, const char *why)
{
    struct upload *u = ctx;
    u->bad_destination = true;
    log_line(LOG_LEVEL_ERROR, LOG_CONFIGURATION, NULL, "destination %s: %s", masked, why);
}

static const char *journal_socket(const struct config *c)
{
    /* 0 auto, 1 yes, 2 no */
    if (c->journald == 1 || (c->journald == 0 && getenv("INVOCATION_ID")))
        return c->journal_socket;
    return NULL;
}

static void show_progress(void *ctx, uint64_t done, uint64_t total)
{
    static uint64_t shown;
    (void)ctx;
    if (done == shown)
        return;
    shown = done;
    fprintf(
        stderr, "\r%llu of %llu", (unsigned long long)done, (unsigned long long)total);
}

static int status_of(int r)
{
    switch (r) {
    case -EBUSY:
        return EXIT_BUSY;
    case -ENOENT:
    case -ENOTDIR:
    case -EACCES:
    case -EPERM:
    case -EROFS:
        return EXIT_UNREADABLE;
    default:
        return EXIT_FAULT;
    }
}

static int pass_over(struct upload *u, const char *path, struct pipeline_result *ret)
{
    struct spool *s = NULL;
    struct worker_program program;
    struct config config = u->config.values; /* borrowed, but for what a spool decides */
    char symbols[4096];
    config.debuginfod_dir =
        (char *)(uintptr_t)config_debuginfod_dir(&config, path, symbols);
    struct pipeline_worker worker = worker_program_init(&program, &config, &stop);
    struct pipeline_options o = {.config = &config,
        .worker = &worker,
        .destinations = u->destinations,
        .n_destinations = u->n_destinations,
        .all = u->args.all,
        .only = u->args.only,
        .stop = &stop,
        .progress = u->args.progress ? show_progress : NULL};
    int r = spool_open(path, true, &s);
    if (!r)
        r = spool_lock(s);
    if (!r)
        r = pipeline_run(s, &o, ret);
    worker_program_done(&program);
    spool_close(s);
    return r;
}

static int upload_once(void *ctx, const char *path, struct stay_next *ret)
{
    struct upload *u = ctx;
    struct pipeline_result result = {0};
    int r = pass_over(u, path, &result);
    ret->due_s = r == -EBUSY ? 1 : result.next_due_s;
    ret->leave = (r < 0 && r != -EBUSY) || result.disabled;
    if (u->args.progress)
        fputc('\n', stderr);
    if (r == -EBUSY)
        log_line(u->args.stay_s ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, LOG_OTHER, NULL,
            "%s: another uploader is at work", path);
    else if (r < 0)
        log_line(LOG_LEVEL_ERROR, LOG_OTHER, NULL, "%s: %s", path, strerrordesc_np(-r));
    if (r < 0)
        return status_of(r);
    log_line(LOG_LEVEL_INFO, LOG_OTHER, NULL,
        "%s: %llu sent, %llu quarantined, %llu dropped, %llu remain", path,
        (unsigned long long)result.sent, (unsigned long long)result.rejected,
        (unsigned long long)result.dropped, (unsigned long long)result.remaining);
    if (result.disabled)
        return EXIT_DISABLED;
    return result.remaining ? EXIT_LATER : EXIT_DONE;
}

static int upload_spool(void *ctx, const char *path)
{
    struct upload *u = ctx;
    struct stay_next next;
    struct stay stay = {.path = path,
        .seconds = u->args.stay_s,
        .stop = &stop,
        .pass = upload_once,
        .ctx = ctx,
        .busy_status = EXIT_BUSY};
    return stay.seconds ? stay_run(&stay) : upload_once(ctx, path, &next);
}

static int add_figures(void *ctx, const char *path)
{
    struct upload *u = ctx;
    struct spool *s = NULL;
    if (spool_open(path, false, &s) == 0)
        prometheus_add(&u->figures, s);
    spool_close(s);
    return 0;
}

static int upload_one(void *ctx, const char *path)
{
    return spools_as_owner(path, &stop, upload_spool, ctx);
}

static void write_figures(struct upload *u)
{
    const struct config *c = &u->config.values;
    if (!c->prom_file || !*c->prom_file || prometheus_begin(&u->figures) < 0)
        return;
    if (c->spool && *c->spool)
        (void)add_figures(u, c->spool);
    else
        (void)spools_each(&stop, add_figures, u);
    int r = prometheus_end(&u->figures, c->prom_file);
    if (r < 0)
        log_line(LOG_LEVEL_WARNING, LOG_OTHER, NULL, "%s: %s", c->prom_file,
            strerrordesc_np(-r));
}

/* Else a collector answers 401, and nobody knows why. */
static void tell_of_unused_headers(const struct upload *u)
{
    const char *headers = u->config.values.otlp_headers;
    size_t n_otlp = 0;
    for (size_t i = 0; i < u->n_destinations; i++) {
        if (u->destinations[i].otlp_own)
            return;
        n_otlp += u->destinations[i].kind == DESTINATION_OTLP;
    }
    if (n_otlp && headers && *headers)
        log_line(LOG_LEVEL_WARNING, LOG_CONFIGURATION, NULL,
            "upload.otlp_headers go to no collector of upload.dsn, which names several: "
            "name theirs as upload.otlp_endpoint");
}

static int run(struct upload *u)
{
    const struct config *c = &u->config.values;
    for (size_t i = 0; i < u->config.n_notes; i++)
        log_line(u->config.notes[i].error ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING,
            LOG_CONFIGURATION, NULL, "%s", u->config.notes[i].text);
    u->n_destinations = destinations_of(
        c, u->destinations, PIPELINE_MAX_DESTINATIONS, tell_bad_destination, u);
    tell_of_unused_headers(u);
    int status = c->spool && *c->spool ? upload_one(u, c->spool)
                                       : spools_each(&stop, upload_one, u);
    write_figures(u);
    return u->bad_destination && status == EXIT_DONE ? EXIT_FAULT : status;
}

/* The worker reads them again; only we can tell of one that is none. */
static int check_rules(const struct config *c)
{
    struct worker_settings *settings = NULL;
    char note[256] = "";
    if (worker_settings_new(c, &settings, note, sizeof note) < 0) {
        log_line(LOG_LEVEL_ERROR, LOG_OTHER, NULL, "no memory");
        return EXIT_FAULT;
    }
    if (*note)
        log_line(LOG_LEVEL_WARNING, LOG_OTHER, NULL, "configuration: %s", note);
    worker_settings_free(settings);
    return 0;
}

/* What reads hostile bytes runs under our user and must not read the keys out of us: not
 * from /proc/PID/mem or environ, not as a debugger. No core of ours holds reports. */
static void keep_to_ourselves(void)
{
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    (void)prctl(PR_SET_DUMPABLE, 0);
    /* A capability that a unit gave us is for the kernel's log, not for what we start. */
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

/* Whoever started us may have closed them: a file that took the place of stderr would get
 * what we say, and one that is 0 would count as none. */
static void fill_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    close_p(&fd);
}

int main(int argc, char **argv)
{
    fill_standard_descriptors();
    if (argc == 2 && !strcmp(argv[1], WORKER_SERVER_ARGUMENT))
        return worker_server_main();
    struct upload u = {0};
    char spool[4200];
    int status = parse_arguments(argc, argv, &u.args);
    if (status >= 0)
        return status;
    if (u.args.spool) {
        snprintf(spool, sizeof spool, "spool.path=%s", u.args.spool);
        u.args.overrides[u.args.n_overrides] = spool;
    }
    struct sigaction on = {.sa_handler = on_stop}, ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGTERM, &on, NULL);
    (void)sigaction(SIGINT, &on, NULL);
    (void)sigaction(SIGPIPE, &ignore, NULL);
    (void)sigaction(SIGXFSZ, &ignore, NULL); /* write(2) says it too */
    keep_to_ourselves();
    if (u.args.stay_s) /* started by a daemon, which comes first */
        (void)setpriority(PRIO_PROCESS, 0, POLITE_NICE);
    struct config_sources sources = {
        .file = u.args.config, .environ_ = environ, .overrides = u.args.overrides};
    log_open(LOG_LEVEL_WARNING, NULL);
    if (config_load(&sources, &u.config) < 0) {
        log_line(LOG_LEVEL_ERROR, LOG_OTHER, NULL, "no memory");
        return EXIT_FAULT;
    }
    log_open(u.args.verbose ? LOG_LEVEL_INFO
             : u.args.quiet ? LOG_LEVEL_ERROR
                            : LOG_LEVEL_WARNING,
        journal_socket(&u.config.values));
    status = check_rules(&u.config.values);
    if (!status)
        status = run(&u);
    for (size_t i = 0; i < u.n_destinations; i++)
        destination_done(&u.destinations[i]);
    config_done(&u.config);
    log_close();
    return status;
}
