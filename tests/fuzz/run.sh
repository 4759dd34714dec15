#!/bin/sh
# Fuzz every target for SECONDS each; new inputs stay in the build, crashes are named.
# usage: run.sh BUILD [SECONDS [PARSER...]]
set -eu
build=${1:?usage: run.sh BUILD [SECONDS [PARSER...]]}
seconds=${2:-60}
[ $# -lt 2 ] || shift
shift
here=$(cd "$(dirname "$0")" && pwd)
status=0
for target in "$build"/tests/fuzz/fuzz_*; do
    [ -f "$target" ] && [ -x "$target" ] || continue
    parser=${target##*/fuzz_}
    case " ${*:-$parser} " in
    *" $parser "*) ;;
    *) continue ;;
    esac
    found="$build/tests/fuzz/found/$parser"
    mkdir -p "$found"
    echo "$parser: $seconds s"
    if ! ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1 "$target" \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 \
        -print_final_stats=1 -artifact_prefix="$found/../$parser-" \
        "$found" "$here/corpus/$parser" >"$build/tests/fuzz/$parser.log" 2>&1; then
        echo "$parser: FOUND something, see $build/tests/fuzz/$parser.log" >&2
        status=1
    fi
    grep -E 'stat::(number_of_executed_units|peak_rss)' "$build/tests/fuzz/$parser.log" || true
done
exit $status
