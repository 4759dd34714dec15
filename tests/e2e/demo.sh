#!/bin/bash
# Crash the example daemon, start it again, wait for the delivery and show the report.
# usage: demo.sh BUILD_DIR
set -euo pipefail
build=$(cd "$1" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/knell-demo.XXXXXX")
trap 'kill "${daemon:-}" 2>/dev/null || true; rm -rf "$work" || { sleep 1; rm -rf "$work"; }' EXIT
say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }

export KNELL_SPOOL=$work/spool KNELL_DSN=file://$work/outbox KNELL_UPLOADER=$build/uploader/knell-upload
mkdir "$work/outbox"

start() {
    rm -f "$work/port"
    "$build/tests/daemon/echod" -p 0 -f "$work/port" &
    daemon=$!
    for _ in $(seq 200); do [ -s "$work/port" ] && return; sleep 0.05; done
    echo "echod did not start" >&2
    return 1
}
ask() { # send one line, print the answer
    exec 3<>"/dev/tcp/127.0.0.1/$(cat "$work/port")"
    printf '%s\n' "$1" >&3
    timeout 5 head -n 1 <&3 || true
    exec 3>&-
}

say "start echod (spool $KNELL_SPOOL, events go to $work/outbox)"
start
echo "echo says: $(ask 'hello, knell')"

say "crash it: /crash"
ask /crash
status=0
wait "$daemon" || status=$?
echo "echod died with status $status ($((status - 128)): SIG$(kill -l $((status - 128))))"
ls "$KNELL_SPOOL/new"

say "start it again: the report is symbolized and delivered by knell-upload"
start
for _ in $(seq 400); do ls "$KNELL_SPOOL"/sent/*.dmp >/dev/null 2>&1 && break; sleep 0.05; done
ls "$work"/outbox/*.envelope

say "knell list"
"$build/uploader/inspect/knell" list
say "knell show -1"
"$build/uploader/inspect/knell" show -1
kill -TERM "$daemon"
wait "$daemon" || true
