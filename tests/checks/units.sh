#!/bin/sh
# The units as systemd understands them, and how exposed the service is (0 best, 10 worst).
# usage: units.sh BUILD_DIR      exit 77: no systemd-analyze
set -eu
command -v systemd-analyze >/dev/null || { echo "skip: no systemd-analyze"; exit 77; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/knell-units.XXXXXX")
trap 'rm -rf "$dir"' EXIT
for unit in path service timer; do
    # A program that is there: the other one is not installed yet.
    sed 's|^ExecStart=[^ ]*|ExecStart=/bin/true|' "$1/systemd/knell-upload@.$unit" \
        >"$dir/knell-upload@.$unit"
    cp "$dir/knell-upload@.$unit" "$dir/knell-upload@exampled.$unit"
done
for unit in path service timer; do
    systemd-analyze verify --man=no "$dir/knell-upload@exampled.$unit" >"$dir/said" 2>&1 || {
        cat "$dir/said"
        exit 1
    }
    if grep knell-upload "$dir/said"; then exit 1; fi
done
# Reports one after the other do not end the path unit: no limit but systemd's on starts of
# the service, 5 in 10 s, and the service lasts too long to reach that.
if grep TriggerLimit "$dir/knell-upload@.path"; then exit 1; fi
stay=$(sed -n 's|^ExecStart=.* --stay \([0-9]*\) .*|\1|p' "$dir/knell-upload@.service")
after=$(sed -n "s|^ExecStopPost=/bin/sh -c '\(.*\)'$|\1|p" "$dir/knell-upload@.service" |
    sed 's/exec sleep/echo/g')
for status in 0 1 6 8 9 KILL; do
    pause=$(EXIT_STATUS=$status sh -c "$after")
    case $status in
    0 | 6) pause=$stay ;; # it stayed to the end, and saw what came
    esac
    [ "${pause:-0}" -gt 2 ] || {
        echo "after $status the service may start more than 5 times in 10 s"
        exit 1
    }
done
systemd-analyze security --offline=true --threshold=20 --no-pager \
    "$dir/knell-upload@exampled.service" >"$dir/said" 2>&1 || {
    tail -3 "$dir/said"
    exit 1
}
tail -1 "$dir/said"
