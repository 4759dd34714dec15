#!/bin/sh
# The handler compiles for aarch64, where a cross compiler is at hand.
# usage: aarch64.sh SOURCE_DIR
set -eu
CC=${AARCH64_CC:-aarch64-linux-gnu-gcc}
command -v "$CC" >/dev/null || { echo "no $CC"; exit 77; }
cd "$1"
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
for file in crash/handler/*.c crash/handler/arch_aarch64.S; do
    case $file in
    *x86_64*) continue ;;
    esac
    "$CC" -c -std=gnu11 -D_GNU_SOURCE -O2 -fPIC -I. -Iinclude -Wall -Wextra -Wconversion \
        -Wshadow -Wvla -Wundef -Wstrict-prototypes -Wmissing-prototypes -Werror \
        -o "$tmp/$(basename "$file").o" "$file"
done
