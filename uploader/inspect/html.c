#include "uploader/inspect/html.h"

#include "uploader/inspect/safe.h"
#include "uploader/inspect/when.h"

#include <inttypes.h>

enum { CHART_WIDTH = 600 };

void html_text(FILE *f, const char *s)
{
    CLEANUP(safe_done) struct safe b = {0};
    safe_put(&b, s);
    for (const char *p = safe_text(&b); *p; p++) {
        switch (*p) {
        case '&':
            (void)fputs("&amp;", f);
            break;
        case '<':
            (void)fputs("&lt;", f);
            break;
        case '>':
            (void)fputs("&gt;", f);
            break;
        case '"':
            (void)fputs("&quot;", f);
            break;
        case '\'':
            (void)fputs("&#39;", f);
            break;
        default:
            (void)fputc(*p, f);
        }
    }
}

/* Wide content scrolls inside its own box, so that the page fits a phone. */
static const char style[] =
    ":root{color-scheme:light dark;--bg:#fff;--fg:#1c2024;--dim:#5c6570;--line:#d9dee3;"
    "--soft:#f4f6f8;--hot:#fdeceb;--red:#b3261e;--link:#0b57d0;--s0:#c2410c;--s1:#1d6fb8;"
    "--s2:#3f7d20;--s3:#8e44ad;--s4:#a16207;--s5:#0f766e;--s6:#78838f}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#14171a;--fg:#e4e7ea;--dim:#9aa4af;"
    "--line:#32383e;--soft:#1d2226;--hot:#3b1d1b;--red:#ff8a80;--link:#8ab4f8;"
    "--s0:#f97316;--s1:#5aa9ea;--s2:#84c65a;--s3:#c792e0;--s4:#e2b93b;--s5:#4fc3b5;"
    "--s6:#8b96a2}}\n"
    "*{box-sizing:border-box}body{margin:0 auto;max-width:68rem;padding:1rem;"
    "background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}\n"
    "h1{font-size:1.5rem;margin:.2rem 0}h2{font-size:1.15rem;margin:2rem 0 .4rem;"
    "overflow-wrap:anywhere}h3{font-size:.95rem;margin:1.2rem 0 .3rem}\n"
    "a{color:var(--link)}p{margin:.4rem 0}.dim{color:var(--dim)}"
    ".cause{color:var(--red);font-weight:600;overflow-wrap:anywhere}\n"
    ".box{overflow-x:auto;border:1px solid var(--line);border-radius:6px;margin:.5rem 0}"
    "table{border-collapse:collapse;width:100%;font-size:.9rem}th,td{text-align:left;"
    "padding:.35rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}"
    "tr:last-child td{border-bottom:0}th{color:var(--dim);font-weight:600;"
    "white-space:nowrap}td.n{text-align:right;font-variant-numeric:tabular-nums}"
    "td.t{white-space:nowrap}\n"
    "code,pre{font:.82rem/1.5 ui-monospace,monospace}pre{margin:0;padding:.5rem 0;"
    "min-width:max-content}pre span{display:block;padding:0 .8rem}"
    "pre .here{background:var(--hot);font-weight:600}\n"
    "section{border-top:1px solid var(--line);margin-top:2rem}"
    "svg{display:block;width:100%;height:10rem;background:var(--soft);"
    "border-radius:6px}svg.low{height:3.5rem}.axis{display:flex;justify-content:space-"
    "between;"
    "font-size:.8rem;color:var(--dim)}\n"
    ".key{display:flex;flex-wrap:wrap;gap:.2rem 1rem;font-size:.85rem;list-style:none;"
    "margin:.4rem 0;padding:0}.key i{display:inline-block;width:.8em;height:.8em;"
    "border-radius:2px;margin-right:.4em}\n"
    ".s0{fill:var(--s0);background:var(--s0)}.s1{fill:var(--s1);background:var(--s1)}"
    ".s2{fill:var(--s2);background:var(--s2)}.s3{fill:var(--s3);background:var(--s3)}"
    ".s4{fill:var(--s4);background:var(--s4)}.s5{fill:var(--s5);background:var(--s5)}"
    ".s6{fill:var(--s6);background:var(--s6)}\n"
    ".tiles{display:flex;flex-wrap:wrap;gap:.6rem;list-style:none;margin:1rem "
    "0;padding:0}"
    ".tiles li{flex:1 1 8rem;border:1px solid var(--line);border-radius:6px;"
    "padding:.4rem .8rem;color:var(--dim);font-size:.85rem}.tiles b{display:block;"
    "color:var(--fg);font-size:1.5rem;line-height:1.3;font-variant-numeric:tabular-nums}"
    ".tiles .bad b{color:var(--red)}\n"
    ".sig{display:inline-block;background:var(--soft);border:1px solid var(--line);"
    "border-radius:4px;padding:0 .4em;font-size:.8em;font-weight:600;white-space:nowrap}"
    "td .sub{display:block;color:var(--dim);font-size:.92em;overflow-wrap:anywhere}td "
    "a{text-decoration:none}"
    "td a:hover{text-decoration:underline}.at{color:var(--dim);font-weight:400}"
    "a code,h2 code{font-size:.95em;overflow-wrap:anywhere}h2 code{font-weight:700}"
    "tr.lib td{color:var(--dim)}.up{float:right;font-size:.85rem}"
    ".stack td:nth-child(2){overflow-wrap:anywhere}"
    "footer{margin:3rem 0 1rem;font-size:.85rem;color:var(--dim)}\n"
    "@media(max-width:34rem){body{padding:.7rem;font-size:15px}.wide{display:none}"
    "th,td{padding:.35rem .45rem}td.t{white-space:normal}svg{height:8rem}"
    ".up{float:none;display:block;text-align:right}"
    /* A frame is two lines: its source below its function, not beside, out of sight. */
    ".stack thead{display:none}.stack tr{display:grid;grid-template-columns:2.2rem 1fr;"
    "border-bottom:1px solid var(--line)}.stack tr:last-child{border-bottom:0}"
    ".stack td{border:0;padding-top:.1rem;padding-bottom:.1rem;overflow-wrap:anywhere}"
    ".stack td:nth-child(3){grid-column:2;color:var(--dim)}.stack .wide{display:none}}\n"
    "@media print{.box{overflow:visible}.up{display:none}section{break-inside:avoid}}\n";

void html_begin(FILE *f, const char *title)
{
    (void)fputs(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src "
        "'none'; style-src 'unsafe-inline'\">\n<title>",
        f);
    html_text(f, title);
    (void)fprintf(
        f, "</title>\n<style>\n%s</style>\n</head>\n<body id=\"top\">\n", style);
}

void html_end(FILE *f)
{
    (void)fputs("</body>\n</html>\n", f);
}

static uint32_t highest(const struct html_chart *c)
{
    uint32_t most = 1;
    for (size_t b = 0; b < c->n_buckets; b++) {
        uint32_t sum = 0;
        for (size_t s = 0; s < c->n_series; s++)
            sum += c->counts[s * c->n_buckets + b];
        most = sum > most ? sum : most;
    }
    return most;
}

void html_chart(FILE *f, const struct html_chart *c)
{
    char from[WHEN_BYTES], to[WHEN_BYTES];
    double each = (double)CHART_WIDTH / (double)c->n_buckets;
    double unit = (double)c->height / (double)highest(c);
    (void)fprintf(f,
        "<svg%s viewBox=\"0 0 %d %u\" preserveAspectRatio=\"none\" role=\"img\" "
        "aria-label=\"",
        c->height < 100 ? " class=\"low\"" : "", CHART_WIDTH, c->height);
    html_text(f, c->label);
    (void)fputs("\">\n", f);
    for (size_t b = 0; b < c->n_buckets; b++) {
        double top = (double)c->height;
        for (size_t s = 0; s < c->n_series; s++) {
            uint32_t n = c->counts[s * c->n_buckets + b];
            if (!n)
                continue;
            top -= unit * n;
            (void)fprintf(f,
                "<rect class=\"s%zu\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
                "height=\"%.1f\"><title>%" PRIu32 " \u00d7 ",
                s < 6 ? s : 6, (double)b * each + 0.5, top, each - 1.0, unit * n, n);
            html_text(f, c->names[s]);
            (void)fputs(", ", f);
            (void)fputs(
                when_format(from, c->from_ms + (int64_t)b * c->bucket_ms, c->utc, false),
                f);
            (void)fputs("</title></rect>\n", f);
        }
    }
    (void)fputs("</svg>\n", f);
    (void)fprintf(f,
        "<div class=\"axis\"><span>%s</span><span>highest: %" PRIu32
        "</span><span>%s</span></div>\n",
        when_format(from, c->from_ms, c->utc, false), highest(c),
        when_format(
            to, c->from_ms + (int64_t)c->n_buckets * c->bucket_ms, c->utc, false));
}
