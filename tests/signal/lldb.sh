#!/bin/sh
# Another reader agrees: lldb shows the same crashed thread, its function and as many
# threads as the victim had.
# usage: lldb.sh VICTIM
set -eu
command -v lldb >/dev/null || { echo "no lldb"; exit 77; }
victim=$1
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
export KNELL_SPOOL="$tmp/spool" KNELL_START_UPLOADER=0
bad=0
# check DEATH FUNCTION THREADS
check() {
    rm -rf "$KNELL_SPOOL"
    "$victim" -t "$3" "$1" >"$tmp/out" 2>/dev/null || true
    tid=$(sed -n 's/^tid=\([0-9]*\) .*/\1/p' "$tmp/out")
    lldb -b -o 'thread list' -o 'bt 60' -c "$KNELL_SPOOL"/new/*.dmp "$victim" >"$tmp/lldb" 2>&1 || true
    threads=$(grep -cE '^[* ] +?thread #[0-9]+: tid' "$tmp/lldb" || true)
    if [ "$threads" -ne "$3" ] || ! grep -qE "^\* thread #1: tid = $tid," "$tmp/lldb" ||
        ! grep -qE "frame #[0-9]+:.*\`$2" "$tmp/lldb"; then
        echo "FAIL $1: tid $tid, $threads threads of $3"
        cat "$tmp/lldb"
        bad=1
    else
        echo "ok   $1"
    fi
}
check null_write null_write 1
check null_write null_write 9
check abort abort_here 4
check overflow_main overflow 2
check call_null die_deep 2
exit $bad
