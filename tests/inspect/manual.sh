#!/bin/sh
# The manuals name every command, option and function, completions are what the program
# makes, and both are sound. usage: manual.sh KNELL KNELL-UPLOAD KNELL-SYMBOLIZE SOURCE
set -u
knell=$1 upload=$2 symbolize=$3 source=$4 failed=0
fail() {
    echo "FAIL: $*" >&2
    failed=1
}

tmp=$(mktemp -d "${TMPDIR:-/tmp}/knell-test.XXXXXX") || exit 1
trap 'rm -rf "$tmp"' EXIT

for shell in bash:knell.bash zsh:_knell fish:knell.fish; do
    "$knell" completion "${shell%%:*}" >"$tmp/script" || fail "completion ${shell%%:*}"
    cmp -s "$tmp/script" "$source/uploader/inspect/completions/${shell#*:}" ||
        fail "${shell#*:} is stale: knell completion ${shell%%:*} >uploader/inspect/completions/${shell#*:}"
done
if command -v bash >/dev/null; then
    bash -n "$source/uploader/inspect/completions/knell.bash" || fail "bash refuses it"
fi
if command -v zsh >/dev/null; then
    zsh -n "$source/uploader/inspect/completions/_knell" || fail "zsh refuses it"
fi
if command -v fish >/dev/null; then
    fish --no-execute "$source/uploader/inspect/completions/knell.fish" || fail "fish refuses it"
fi

# In the shells themselves. complete WORD...: what bash offers for the last word.
complete() {
    bash -c '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _knell
        printf "%s\n" "${COMPREPLY[@]}"' "$source/uploader/inspect/completions/knell.bash" "$@"
}

# offers WANTED WORD...
offers() {
    wanted=$1
    shift
    if command -v bash >/dev/null; then
        complete "$@" | grep -qx -- "$wanted" || fail "bash: $* does not offer $wanted"
    fi
    if command -v fish >/dev/null; then
        HOME=$tmp fish --no-config -c 'source $argv[1]; complete -C "$argv[2..]"' 2>/dev/null \
            "$source/uploader/inspect/completions/knell.fish" "$@" | cut -f1 |
            grep -qx -- "$wanted" || fail "fish: $* does not offer $wanted"
    fi
}
for command in list show threads crumbs top watch report completion; do
    offers "$command" knell "${command%?}"
done
offers --as-sent knell show --as
offers SEGV knell list --signal S
offers hold knell list --state h
offers lldb knell debug --debugger l
offers zsh knell completion z
if command -v bash >/dev/null; then # to which --state=h is three words
    complete knell list --state = h | grep -qx hold || fail "bash: --state=h is not hold"
    complete knell list --state = | grep -qx hold || fail "bash: --state= offers no hold"
fi
# zsh on a terminal of its own: it completes only there.
if command -v zsh >/dev/null && command -v python3 >/dev/null; then
    mkdir "$tmp/zsh" && cp "$source/uploader/inspect/completions/_knell" "$tmp/zsh"
    python3 "$source/tests/inspect/zsh.py" "$tmp/zsh" || fail "zsh does not complete"
fi
if command -v bash >/dev/null && complete knell list --as | grep -q as-sent; then
    fail "bash: list offers --as-sent"
fi

page=$source/man/knell.1
"$knell" help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' >"$tmp/commands"
while read -r command; do
    case $command in completion | help) continue ;; esac
    grep -q "^\.It Cm $command\b" "$page" || fail "knell.1 lacks command $command"
    "$knell" help "$command" | grep -o -- '--[a-z-]*' >>"$tmp/options"
done <"$tmp/commands"
[ -s "$tmp/commands" ] || fail "no commands"
for option in $(sort -u "$tmp/options"); do
    name=$(printf '%s' "${option#--}" | sed 's/-/\\\\-/g')
    grep -q -- "Fl ..$name\b" "$page" || fail "knell.1 lacks $option"
done
grep -o '^\.It Cm [a-z]*' "$page" | sed 's/.* //' | while read -r command; do
    "$knell" help "$command" >/dev/null 2>&1 || echo "$command"
done >"$tmp/unknown"
[ -s "$tmp/unknown" ] && fail "knell.1 has commands that are none: $(cat "$tmp/unknown")"

"$knell" --json help | grep -o '"name": "[a-z-]*"' | sed 's/.*: "//; s/"//' >"$tmp/names"
grep -o 'Fl ..[a-z][a-z\\-]*' "$page" | sed 's/^Fl ..//; s/\\//g' | sort -u | while read -r option; do
    case $option in ?) continue ;; esac # a letter
    grep -qx -- "$option" "$tmp/names" || echo "--$option"
done >"$tmp/unknown"
[ -s "$tmp/unknown" ] && fail "knell.1 has options that are none: $(cat "$tmp/unknown")"

# The other programs: what --help names is in the page, and what is in the page it names.
# program PROGRAM PAGE
program() {
    "$1" --help 2>&1 | grep -o -- '\(^\|[ ,|[]\)--*[a-zA-Z][a-z-]*' | sed 's/^[^-]*--*//' |
        sort -u >"$tmp/said"
    grep '^\.It Fl' "$2" | grep -o 'Fl [^ ]*' | sed 's/^Fl //; s/\\-/-/g; s/^--*//' |
        sort -u >"$tmp/written"
    [ -s "$tmp/said" ] || fail "$1 --help names no option"
    cmp -s "$tmp/said" "$tmp/written" ||
        fail "${2##*/} and --help differ: $(diff "$tmp/said" "$tmp/written" | grep '^[<>]' | tr '\n' ' ')"
}
program "$upload" "$source/man/knell-upload.8"
program "$symbolize" "$source/man/knell-symbolize.1"

# Every function of the headers and every option of knell_start() is in knell(3).
cat "$source"/include/knell/*.h | tr '\n' ' ' |
    grep -o 'KNELL_API [a-z_ *]*knell_[a-z_]*(' | grep -o 'knell_[a-z_]*($' | tr -d '(' |
    sort -u >"$tmp/functions"
grep -v '^knell_symboliz' "$tmp/functions" >"$tmp/said"
grep -o 'Fn knell_[a-z_]*' "$source/man/knell.3" | sed 's/Fn //' | sort -u >"$tmp/written"
[ -s "$tmp/said" ] || fail "no functions"
cmp -s "$tmp/said" "$tmp/written" ||
    fail "knell.3 and the headers differ: $(diff "$tmp/said" "$tmp/written" | grep '^[<>]' | tr '\n' ' ')"
for member in $(sed -n '/^struct knell_options {/,/^};/p' "$source/include/knell/knell.h" |
    tr '\n' ' ' | sed 's,/\*[^*]*\*/,,g' | grep -o '[a-z_]*;' | tr -d ';'); do
    [ "$member" = size ] || grep -q "Fa .*\b$member\b" "$source/man/knell.3" ||
        fail "knell.3 lacks the option $member"
done

# The report that the README shows is of echod as it is.
line=$(grep -n 'c->n_commands++;' "$source/tests/daemon/echod.c" | cut -d: -f1)
grep -qx "  in count_command at echod.c:$line" "$source/README.md" ||
    fail "README.md shows another echod: its line is $line now; take the text of make demo"

# Which pages and system calls this machine has manuals of is no matter of style.
if command -v mandoc >/dev/null; then
    mandoc -Tlint -W style "$source"/man/*.[1-8] 2>&1 |
        grep -v 'referenced manual not found\|outdated mandoc.db' >"$tmp/lint"
    [ -s "$tmp/lint" ] && fail "mandoc: $(cat "$tmp/lint")"
fi
exit $failed
