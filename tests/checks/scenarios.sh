#!/bin/sh
# Fail unless the list of scenarios is complete and names tests that there are: numbers 1
# to 42, every row of the table under its own number, every other test known to ctest.
# usage: scenarios.sh LIST TEST_CRASH SOURCE_DIR BUILD_DIR
set -eu
export LC_ALL=C
list=$1 crash=$2 tests=$3/tests build=$4
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT

"$crash" list | sort -u >"$tmp/rows"
ctest --test-dir "$build" -N | awk '/^ *Test +#/ {print $NF}' | sort -u >"$tmp/tests"
# NUMBER TEST, one a line
sed -e 's/#.*//' -e '/^ *$/d' "$list" | awk -F'|' '
    {split($1, a, " "); sub(/;.*/, "", $2); n = split($2, where, " ")
     if (!n) print "number " a[1] ": no test" >"/dev/stderr"
     for (i = 1; i <= n; i++) print a[1], where[i]}' 2>"$tmp/bad" | sort -u >"$tmp/said"

for number in $(seq 1 42); do
    lines=$(grep -cE "^ *$number " "$list" || true)
    [ "$lines" -eq 1 ] || echo "number $number: $lines lines" >>"$tmp/bad"
done
sed -n 's/ crash:/ /p' "$tmp/said" | sort -u >"$tmp/said_rows"
comm -23 "$tmp/rows" "$tmp/said_rows" | sed 's/^/not in the list: /' >>"$tmp/bad"
comm -13 "$tmp/rows" "$tmp/said_rows" | sed 's/^/no such row: /' >>"$tmp/bad"
sed -n '/ crash:/!s/^[0-9]* //p' "$tmp/said" | while read -r test; do
    grep -qxF "${test%%:*}" "$tmp/tests" || echo "no such test: $test"
    case $test in
    *:*) grep -rqF --include='*.c' "TEST(${test#*:})" "$tests" || echo "no such case: $test" ;;
    esac
done >>"$tmp/bad"

cat "$tmp/bad"
[ ! -s "$tmp/bad" ]
