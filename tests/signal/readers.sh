#!/bin/sh
# The reports of all scenarios in the eyes of another reader.
# usage: readers.sh lldb|gdb|stackwalk VICTIM TEST_CRASH [root|nobody THREADS]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
case $1 in
lldb | gdb) command -v "$1" >/dev/null || { echo "skip: no $1"; exit 77; } ;;
stackwalk) [ -n "${KNELL_STACKWALK-}" ] || command -v minidump_stackwalk >/dev/null ||
    { echo "skip: no minidump_stackwalk, nor \$KNELL_STACKWALK"; exit 77; } ;;
esac
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
KNELL_KEEP_REPORTS=$tmp "$3" "$2" "${4-root}" "${5-1}" >"$tmp/log" || { grep -v '^ok' "$tmp/log"; exit 1; }
python3 "$here/readers.py" "$1" "$tmp" "$2"
