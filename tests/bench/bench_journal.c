/* ns per operation of the calls a daemon makes in its hottest path, with 1 and 4 threads;
 * the best of some runs, for a machine that has other things to do.
 *
 * NAME_1t_ns      wall time of one thread
 * NAME_4t_ns      wall time over the operations of all: with perfect scaling 4 threads on
 *                 2 processors halve it
 * NAME_Nt_cpu_ns  processor time of the thread that did it: with perfect scaling it does
 *                 not grow, however few processors there are
 */
#include <knell/knell.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { N = 200000, MAX_THREADS = 4, N_RUNS = 7 };

static double now_ns(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void breadcrumbs(int thread, int n)
{
    (void)thread;
    for (int i = 0; i < n; i++)
        knell_add_breadcrumb(KNELL_LEVEL_INFO, "http", "GET /users/42 200 in 3 ms");
}

static void breadcrumbs_with_data(int thread, int n)
{
    for (int i = 0; i < n; i++) {
        const struct knell_data d[] = {
            knell_int("rows", i), knell_text("table", "users")};
        knell_add_breadcrumb_data(KNELL_LEVEL_INFO, "db", "select", d, 2);
    }
    (void)thread;
}

static void tags(int thread, int n)
{
    static const char *const keys[] = {"shard", "tenant", "route", "peer"};
    for (int i = 0; i < n; i++)
        knell_set_tag(keys[thread], i & 1 ? "eu-west-1" : "us-east-2");
}

static void same_tag(int thread, int n)
{
    (void)thread;
    for (int i = 0; i < n; i++)
        knell_set_tag("shared", i & 1 ? "eu-west-1" : "us-east-2");
}

static void thread_tags(int thread, int n)
{
    (void)thread;
    (void)knell_scope_push();
    for (int i = 0; i < n; i++)
        knell_set_tag("route", i & 1 ? "/users" : "/orders");
    knell_scope_pop();
}

static void binds(int thread, int n)
{
    struct knell_scope *s[2] = {knell_scope_new(), knell_scope_new()};
    for (int i = 0; i < 2; i++) {
        knell_scope_set_tag(s[i], "peer", i ? "10.0.0.1" : "10.0.0.2");
        knell_scope_set_tag(s[i], "route", "/users");
    }
    for (int i = 0; i < n; i++)
        knell_scope_bind(s[i & 1]);
    knell_scope_bind(NULL);
    knell_scope_free(s[0]);
    knell_scope_free(s[1]);
    (void)thread;
}

static void spans(int thread, int n)
{
    (void)thread;
    for (int i = 0; i < n; i++)
        knell_span_finish(knell_transaction_start("GET /users/{id}", "http.server", NULL),
            KNELL_SPAN_OK);
}

static void suppressed(int thread, int n)
{
    struct knell_error e = KNELL_ERROR_INIT;
    e.type = "QueryFailed";
    e.domain = "database";
    e.message = "connection refused";
    for (int i = 0; i < n; i++)
        (void)knell_capture_error(&e);
    (void)thread;
}

struct job {
    void (*run)(int, int);
    int thread, n;
    double cpu_ns;
};

static void *run(void *arg)
{
    struct job *j = arg;
    double start = now_ns(CLOCK_THREAD_CPUTIME_ID);
    j->run(j->thread, j->n);
    j->cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID) - start;
    return NULL;
}

/* Wall time of one run. @ret_cpu_ns  of all threads together */
static double run_once(void (*f)(int, int), int n_threads, int n, double *ret_cpu_ns)
{
    pthread_t t[MAX_THREADS];
    struct job jobs[MAX_THREADS];
    double start = now_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < n_threads; i++) {
        jobs[i] = (struct job){f, i, n, 0};
        if (pthread_create(&t[i], NULL, run, &jobs[i]))
            abort();
    }
    *ret_cpu_ns = 0;
    for (int i = 0; i < n_threads; i++) {
        (void)pthread_join(t[i], NULL);
        *ret_cpu_ns += jobs[i].cpu_ns;
    }
    return now_ns(CLOCK_MONOTONIC) - start;
}

static void bench(const char *name, void (*f)(int, int), int n_threads, int n)
{
    double wall = 0, cpu = 0;
    f(0, 1000);
    for (int i = 0; i < N_RUNS; i++) {
        double c, w = run_once(f, n_threads, n, &c);
        wall = i && wall < w ? wall : w;
        cpu = i && cpu < c ? cpu : c;
    }
    printf("%s_%dt_ns %.1f\n%s_%dt_cpu_ns %.1f\n", name, n_threads, wall / n / n_threads,
        name, n_threads, cpu / n / n_threads);
}

int main(void)
{
    char spool[] = "/tmp/bench_journal.XXXXXX", command[64];
    struct knell_options o = KNELL_OPTIONS_INIT;
    o.app = "bench";
    o.spool_dir = mkdtemp(spool);
    o.start_uploader = KNELL_OFF;
    o.dsn = "";
    if (!o.spool_dir)
        return 1;
    for (int pass = 0; pass < 2; pass++) {
        o.traces_sample_rate = pass ? 1.0 : KNELL_RATE_NONE;
        if (knell_start(&o))
            return 1;
        static const int threads[] = {1, MAX_THREADS};
        for (int k = 0; k < 2; k++) {
            int t = threads[k];
            if (pass) {
                bench("span_sampled", spans, t, N / 20);
                continue;
            }
            bench("breadcrumb", breadcrumbs, t, N);
            bench("breadcrumb_2_data", breadcrumbs_with_data, t, N);
            bench("tag", tags, t, N);
            bench("tag_same", same_tag, t, N);
            bench("tag_thread_scope", thread_tags, t, N);
            bench("scope_bind_2_tags", binds, t, N / 2);
            bench("span_unsampled", spans, t, N / 4);
            bench("error_suppressed", suppressed, t, N);
        }
        knell_stop();
    }
    (void)snprintf(command, sizeof command, "rm -rf %s", spool);
    return system(command) != 0;
}
