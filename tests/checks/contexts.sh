#!/bin/sh
# Every prototype under crash/ says in which context it may run; those of crash/handler/
# may run in a signal handler, or say that they must not.
# usage: contexts.sh SOURCE_DIR
set -eu
cd "$1"
find crash -name '*.h' ! -name poison.h | sort | while read -r header; do
    awk -v file="$header" -v handler="$(case $header in crash/handler/*) echo 1 ;; esac)" '
    /^\/\*\*/ {comment = ""; in_comment = 1}
    in_comment {comment = comment $0 "\n"; if (/\*\//) in_comment = 0; next}
    /^(#|static|typedef|enum|struct [a-z_]+ \{|extern|\}|    )/ {next}
    /^[a-z].*[a-z_]+\(/ {
        if (comment !~ /Context:/)
            print file ":" FNR ": no Context: above " $0
        else if (handler && comment !~ /Context:[^@]*(signal handler|any)/)
            print file ":" FNR ": not for a signal handler: " $0
    }' "$header"
done >"${TMPDIR:-/tmp}/knell-contexts.$$"
cat "${TMPDIR:-/tmp}/knell-contexts.$$"
n=$(wc -l <"${TMPDIR:-/tmp}/knell-contexts.$$")
rm -f "${TMPDIR:-/tmp}/knell-contexts.$$"
[ "$n" -eq 0 ]
