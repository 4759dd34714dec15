/* Which errors are written, which are only noted, and that none is forgotten. */
#include "crash/areas.h"
#include "test.h"
#include "tmpdir.h"

#include <knell/knell.h>
#include <stdio.h>

static struct knell_status status(void)
{
    struct knell_status s = KNELL_STATUS_INIT;
    (void)knell_status(&s);
    return s;
}

static void start(void)
{
    char spool[300];
    struct knell_options o = KNELL_OPTIONS_INIT;
    (void)snprintf(spool, sizeof spool, "%s/spool", test_tmpdir());
    o.app = "test_capture";
    o.spool_dir = spool;
    o.start_uploader = KNELL_OFF;
    o.capture_burst = 1;
    o.capture_interval_ms = 86400000;
    CHECK_INT(knell_start(&o), 0);
}

/* Returns whether it is in a report. */
static bool capture(bool not_reported)
{
    struct knell_error e = KNELL_ERROR_INIT;
    e.not_reported = not_reported;
    return *knell_capture_error(&e).text;
}

/* As if the interval were over. */
static void let_time_pass(void)
{
    for (size_t i = 0; i < KN_BUCKETS; i++)
        kn_areas_current()->buckets.buckets[i].full_at_ms = 0;
}

static uint32_t suppressed(void)
{
    uint32_t n = 0;
    for (size_t i = 0; i < KN_BUCKET_SHARDS * KN_BUCKETS; i++)
        n += kn_areas_current()->buckets.n_suppressed[i / KN_BUCKETS][i % KN_BUCKETS];
    return n;
}

static void the_next_report_tells_of_those_before(void)
{
    start();
    CHECK(capture(false));
    CHECK(!capture(false) && !capture(false));
    CHECK_INT(suppressed(), 2);
    let_time_pass();
    kn_areas_current()->told.sample_rate = 1e-12;
    CHECK(!capture(false));
    CHECK_INT(status().sampled_out, 1);
    CHECK_INT(suppressed(), 2);
    let_time_pass();
    kn_areas_current()->told.sample_rate = 1;
    CHECK(!capture(true));
    CHECK_INT(suppressed(), 2);
    CHECK(capture(false));
    CHECK_INT(suppressed(), 0);
    knell_stop();
}

static void one_that_is_not_reported_is_noted(void)
{
    start();
    kn_areas_current()->told.sample_rate = 1e-12;
    CHECK(!capture(true));
    CHECK_INT(status().breadcrumbs, 1);
    CHECK_INT(status().sampled_out, 0);
    kn_areas_current()->told.sample_rate = 1;
    CHECK(capture(false)); /* the only one of its kind that may be, for a day */
    CHECK_INT(status().breadcrumbs, 2);
    CHECK(!capture(true)); /* no more of these in the trail either */
    CHECK_INT(status().breadcrumbs, 2);
    knell_stop();
}

TEST_MAIN(
    TEST(the_next_report_tells_of_those_before), TEST(one_that_is_not_reported_is_noted))
