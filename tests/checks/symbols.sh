#!/bin/sh
# What libknell shows to and asks of the daemon.
# usage: symbols.sh ARCHIVE SHARED_LIBRARY
set -eu
export LC_ALL=C
archive=$1 shared=$2 bad=0
say() {
    [ -z "$2" ] && return
    printf '%s:\n%s\n' "$1" "$2"
    bad=1
}
say 'exported beside knell_*' "$(nm -D --defined-only --format=posix "$shared" |
    awk '$1 !~ /^knell_/ && $2 != "A" {print "  " $1}')"
say 'global in the archive beside knell_* and kn_*' "$(nm -g --defined-only --format=posix "$archive" |
    awk 'NF > 2 && $1 !~ /^(knell_|kn_)/ {print "  " $1}' | sort -u)"
say 'needs more than libc' "$(readelf -dW "$shared" |
    awk '/NEEDED/ && $NF !~ /^\[(libc\.so\.6|ld-linux.*)\]$/ {print "  " $NF}')"
readelf -dW "$shared" | grep -q BIND_NOW || say 'binds lazily' "  $shared"
readelf -dW "$shared" | grep -q 'SONAME.*\[libknell.so.0\]' || say 'soname is not libknell.so.0' "  $shared"
say 'executable stack' "$(readelf -lW "$shared" | grep 'GNU_STACK.*E ' || true)"
exit $bad
