#!/bin/sh
# Each public header stands alone and is quiet, in C and in C++ as strict as its users are.
# usage: headers.sh SOURCE_DIR [COMPILER...]
set -eu
include=$1/include
shift
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
warnings='-Wall -Wextra -Wshadow -Wpedantic -Wconversion -Werror'
n=0
for compiler in "$@"; do
    command -v "$compiler" >/dev/null || continue
    case $compiler in
    *++) std=c++17 file=$tmp/use.cc ;;
    *) std=c11 file=$tmp/use.c ;;
    esac
    for header in "$include"/knell/*.h; do
        printf '#include <knell/%s>\n' "${header##*/}"
        # What a program writes with them.
        [ "${header##*/}" != knell.h ] || cat <<'EOF'
int use(void);
int use(void)
{
    struct knell_options o = KNELL_OPTIONS_INIT;
    struct knell_error e = KNELL_ERROR_INIT;
    struct knell_status s = KNELL_STATUS_INIT;
    if (knell_start(&o))
        return 1;
    knell_capture_error(&e);
    return knell_status(&s) || !s.armed;
}
EOF
    done >"$file"
    # shellcheck disable=SC2086
    "$compiler" -std=$std $warnings -I"$include" -fsyntax-only "$file"
    for header in "$include"/knell/*.h; do
        printf '#include <knell/%s>\nextern int use;\n' "${header##*/}" >"$file"
        # shellcheck disable=SC2086
        "$compiler" -std=$std $warnings -I"$include" -fsyntax-only "$file"
    done
    n=$((n + 1))
done
[ $n -gt 0 ] || exit 77
