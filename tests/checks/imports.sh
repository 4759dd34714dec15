#!/bin/sh
# Fail unless the handler's objects import exactly the symbols the allowlist names.
# usage: imports.sh ALLOWLIST OBJECT...
set -eu
export LC_ALL=C
allow=$1; shift
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
NM=${NM:-nm}

# Join the objects first, so that references between them resolve.
"${LD:-ld}" -r -o "$tmp/all.o" "$@"
"$NM" -u --format=posix "$tmp/all.o" |
    awk '$1 != "_GLOBAL_OFFSET_TABLE_" {sub(/@.*/, "", $1); print $1}' | sort -u >"$tmp/have"
: >"$tmp/may"
awk -v may="$tmp/may" '/^#/ || !NF {next}
    NF < 2 {print "no reason given: " $1; bad = 1}
    {sub(/^\?/, "", $1); print $1 >may}
    END {exit bad}' "$allow"
awk '/^[^#?]/ {print $1}' "$allow" | sort -u >"$tmp/must"
sort -u -o "$tmp/may" "$tmp/may"

comm -23 "$tmp/have" "$tmp/may" >"$tmp/new"
comm -13 "$tmp/have" "$tmp/must" | sed 's/^/stale allowlist entry: /' >"$tmp/bad"
while read -r symbol; do
    for object in "$@"; do
        "$NM" -u --format=posix "$object" |
            awk -v s="$symbol" -v o="${object##*/}" '$1 == s {print "forbidden import: " s " (" o ")"}'
    done
done <"$tmp/new" >>"$tmp/bad"

# Thread-locals may call __tls_get_addr, which may allocate; constructors run where nobody
# who reads this folder expects code.
"${READELF:-readelf}" -SW "$tmp/all.o" | awk '{sub(/^ *\[ *[0-9]+\] */, "")}
    $1 ~ /^\.(tdata|tbss|(pre)?init_array|fini_array|ctors|dtors|gnu\.lto)/ {
        print "forbidden section: " $1}' >>"$tmp/bad"

cat "$tmp/bad"
[ ! -s "$tmp/bad" ]
