#!/bin/sh
# What `knell` says about real crashes, against golden texts with the volatile parts
# normalised. usage: inspect.sh KNELL VICTIM SOURCE [update]
set -u
knell=$1 victim=$2 golden=$3/golden update=${4-}
failed=0
tmp=$(mktemp -d "${TMPDIR:-/tmp}/knell-test.XXXXXX") || exit 1
trap 'rm -rf "$tmp"' EXIT
unset COLUMNS NO_COLOR PAGER KNELL_PAGER KNELL_DSN SENTRY_DSN KNELL_CONFIG
export KNELL_SPOOL="$tmp/spool" KNELL_CONFIG=/dev/null TZ=UTC LC_ALL=C TERM=xterm
ulimit -c 0

fail() {
    echo "FAIL: $*" >&2
    failed=1
}

# Numbers of one run, of one machine and of one libc become words.
normal() {
    sed -E -e "s#$tmp#TMP#g" -e "s#${victim%/*}#BUILD#g" -e "s#$golden#GOLDEN#g" \
        -e 's/[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9:]{8}(\.[0-9]+)?( UTC|Z)?/TIME/g' \
        -e 's/[0-9]{13}-[0-9a-f]{12}-[0-9a-f]{32}-s/FILE-s/g' \
        -e 's/\b[0-9a-f]{32}\b/EVENT/g' -e 's/\b[0-9a-f]{16}\b/WORD/g' \
        -e 's/\b0x[0-9a-f]{5,}\b/ADDRESS/g' -e 's/^[0-9a-f]{8} /ID       /' \
        -e 's/[0-9.]+(ms|s)( ago| of life| before)/AGE\2/g' -e 's/ +AGE before/ AGE before/' \
        -e 's/Signature  .*/Signature  SIGNATURE/' \
        -e 's/PID [0-9]+/PID N/' -e 's/(thread|Thread) [0-9]+/\1 N/g' \
        -e 's/, [0-9]+ "/, N "/g' -e 's/, on .*/, on HOST/' -e 's/[0-9]+ bytes/N bytes/' \
        -e 's/\+0x[0-9a-f]+/+OFFSET/g' -e 's/[0-9a-f]{40}/BUILD-ID/g' \
        -e 's/[0-9]+ (more times|calls deep|frames are left out)/N \1/' -e 's/#[0-9]{4,} /#N /' \
        -e 's/\b[0-9a-f]{12}\b/SIGNATURE/g' -e 's/\(?[0-9]+ KiB\)?/N KiB/' \
        -e 's/ (just|AGE) before /  AGE before /' -e 's/(TIME) +[0-9]+s  /\1  AGE  /' \
        -e 's/(2\.4\.1) +[0-9]+ /\1 N /' -e 's/(inspect_victim\.c):4[0-9]\b/\1:N/' \
        -e 's/  +/  /g' -e '/^ +(System|Cgroup) /d' -e '/libc(\.so|_start)|_start  |start_thread|clone3?  /d' \
        -e '/^ +[a-z0-9]+ WORD/d' -e '/^Registers$/d'
}

# check NAME EXIT-CODE COMMAND...: exit code and normalised output.
check() {
    name=$1 want=$2
    shift 2
    "$@" >"$tmp/out" 2>"$tmp/err"
    got=$?
    [ "$got" = "$want" ] || fail "$name: exit code $got, not $want: $(cat "$tmp/err")"
    normal <"$tmp/out" >"$tmp/normal"
    if [ -n "$update" ]; then
        cp "$tmp/normal" "$golden/$name"
    elif ! diff -u "$golden/$name" "$tmp/normal" >&2; then
        fail "$name differs"
    fi
    if [ "$(tr -d '\n\t -~' <"$tmp/out" | LC_ALL=C tr -d '\200-\377' | wc -c)" != 0 ]; then
        fail "$name: control characters reached the output"
    fi
}

# code EXIT-CODE COMMAND...
code() {
    want=$1
    shift
    "$@" >"$tmp/out" 2>"$tmp/err"
    got=$?
    [ "$got" = "$want" ] || fail "$*: exit code $got, not $want: $(cat "$tmp/err" "$tmp/out")"
}

# has PATTERN COMMAND...
has() {
    pattern=$1
    shift
    "$@" >"$tmp/out" 2>"$tmp/err"
    grep -q -- "$pattern" "$tmp/out" || fail "$*: no \"$pattern\" in: $(head -c 600 "$tmp/out")"
}

# killed SIGNAL: a victim that waits for it.
killed() {
    "$victim" wait >/dev/null 2>&1 &
    pid=$!
    for _ in $(seq 300); do
        [ -n "$(ls "$KNELL_SPOOL/live" 2>/dev/null | grep -- "-$pid-.*jnl")" ] && break
        sleep 0.05
    done
    sleep 0.2
    kill "-$1" "$pid"
    wait "$pid" 2>/dev/null
}

# Nothing yet.
code 4 "$knell" --spool "$tmp/none"
for how in null divide abort overflow call; do
    "$victim" "$how" >/dev/null 2>&1
done
[ "$(ls "$KNELL_SPOOL/new" | wc -l)" = 5 ] || fail "not five reports: $(ls "$KNELL_SPOOL/new")"

id() {
    "$knell" -F event_id "function=$1" 2>/dev/null | cut -c1-8
}

# Each report says what, where and why.
has '^  null pointer + 0x18$' "$knell" show "$(id bytes_left)"
has 'in bytes_left at .*inspect_victim.c:' "$knell" show "$(id bytes_left)"
has '^  >  *[0-9]* |     return c->n_left;$' "$knell" show "$(id bytes_left)"
has '^  integer division by zero' "$knell" show "$(id average)"
has '^  stack overflow$' "$knell" show "$(id walk)"
has 'Recursion without end: walk' "$knell" show "$(id walk)"
has '^SIGABRT (aborted)$' "$knell" show --signal ABRT
has '^  call through a null function pointer$' "$knell" show code=MAPERR function=die
has 'http  GET /\\x1b\]0;owned\\x07 200' "$knell" crumbs -1
has 'region = eu\\x1b\[31m' "$knell" show -1
has '"w\\x1b\[2J"' "$knell" show -1

check list.txt 0 "$knell" list
check list-narrow.txt 0 env COLUMNS=60 "$knell" list
check list-wide.txt 0 env COLUMNS=200 "$knell" list
check show.txt 0 "$knell" show --no-source "$(id bytes_left)"
check stack.txt 0 "$knell" stack "$(id walk)"
check threads.txt 0 "$knell" threads "$(id average)"
check top.txt 0 "$knell" top
check status.txt 9 "$knell" status
check verify.txt 0 "$knell" verify
check help.txt 0 "$knell" help

# JSON is JSON, of the documented version, in both forms.
if command -v python3 >/dev/null; then
    for command in list "show -1" "threads -1" top status log config verify consent; do
        "$knell" --json $command >"$tmp/json"
        python3 -c 'import json, sys
top = json.load(open(sys.argv[1]))
assert top["schema"] == 1 and top["command"] == sys.argv[2].split()[0], top' \
            "$tmp/json" "$command" || fail "$command --json"
    done
    "$knell" --json=lines list | python3 -c 'import json, sys
rows = [json.loads(line) for line in sys.stdin]
assert len(rows) == 5
for row in rows:
    assert row["state"] == "new" and row["app"] == "victimd", row
    assert row["release"] == "victimd@2.4.1" and row["environment"] == "testing", row
    assert row["tags"]["region"].startswith("eu\x1b[31m"), row
assert {row["function"] for row in rows} >= {"bytes_left", "average", "walk"}, rows' ||
        fail "list --json=lines"
fi

# Selection.
code 3 "$knell" show nothing_here
code 2 "$knell" --nonsense
code 2 "$knell" rm
code 0 "$knell" list victimd
[ "$("$knell" -F event_id -n 2 | wc -l)" = 2 ] || fail "-n 2"
[ "$("$knell" -F signal --signal FPE)" = SIGFPE ] || fail "--signal"
[ "$("$knell" -F function --release 2.4.1 --env testing function=walk)" = walk ] || fail "KEY=VALUE"
code 3 "$knell" list --until yesterday victimd

# What a watchdog does.
killed ABRT
has 'sent by process' "$knell" show -1
has 'A watchdog sends SIGABRT' "$knell" show -1
code 0 "$knell" rm -1

# Moves, each seen at once in the folders.
first=$(id bytes_left)
code 0 "$knell" hold "$first"
[ "$(ls "$KNELL_SPOOL/hold" | wc -l)" = 1 ] || fail "hold"
code 1 "$knell" hold "$first"
code 0 "$knell" release "$first"
code 0 "$knell" rm "$first"
[ "$(ls "$KNELL_SPOOL/new" | wc -l)" = 4 ] || fail "rm"
has "the destination took it" "$knell" test "file://$tmp/out.d"
code 0 "$knell" consent no
has ': no$' "$knell" consent
code 0 "$knell" clean --state new --max-reports 3
[ "$(ls "$KNELL_SPOOL/new" | wc -l)" = 3 ] || fail "clean"
code 0 "$knell" dump -1 -o "$tmp/one.dmp"
[ "$(head -c 4 "$tmp/one.dmp")" = MDMP ] || fail "dump"
code 0 "$knell" report -o "$tmp/page.html"
has '</html>' cat "$tmp/page.html"
grep -q '<script\|http://\|https://\|src=' "$tmp/page.html" && fail "the page is not self-contained"
has '"exception"' "$knell" show -1 --as-sent

# A bundle brings the names along to a machine without the program.
mkdir "$tmp/elsewhere"
cp "$victim" "$tmp/elsewhere/victim"
KNELL_SPOOL="$tmp/other" "$tmp/elsewhere/victim" null >/dev/null 2>&1
code 0 "$knell" --spool "$tmp/other" export -1 -o "$tmp/bundle.tar"
rm -rf "$tmp/elsewhere/victim" "$tmp/other/new" "$tmp/other/index"
mkdir -m 700 "$tmp/other/new"
code 0 "$knell" --spool "$tmp/other" import "$tmp/bundle.tar"
has 'bytes_left' "$knell" --spool "$tmp/other" stack -1
[ "$("$knell" --spool "$tmp/other" -F state)" = hold ] || fail "import does not hold"
cp -r "$tmp/other/symbols" "$tmp/elsewhere/symbols"
# Debuggers get the program that came along, by either name for where it is.
for debugger in lldb gdb; do
    has "other/symbols/[0-9a-f]*/executable" \
        "$knell" --spool "$tmp/other" debug -1 --dry-run --debugger $debugger
    has "elsewhere/symbols/[0-9a-f]*/executable" "$knell" --spool "$tmp/other" debug -1 \
        --dry-run --debugger $debugger --store "$tmp/elsewhere/symbols"
    command -v $debugger >/dev/null || continue
    "$knell" --spool "$tmp/other" debug -1 --debugger $debugger >"$tmp/out" 2>&1 </dev/null
    grep -q 'bytes_left+[0-9]\|bytes_left(.*inspect_victim.c:' "$tmp/out" ||
        fail "$debugger does not see the bundle's program: $(cat "$tmp/out")"
done
mkdir -p "$tmp/root$tmp/elsewhere"
cp "$victim" "$tmp/root$tmp/elsewhere/victim"
has "$tmp/root$tmp/elsewhere/victim" "$knell" --spool "$tmp/other" debug -1 --dry-run \
    --debugger lldb --sysroot "$tmp/root"
rm -rf "$tmp/elsewhere"
head -c 100000 "$tmp/bundle.tar" >"$tmp/torn.tar"
code 5 "$knell" --spool "$tmp/other" import "$tmp/torn.tar"

# Another program at the path, while the names are still in the cache, goes nowhere.
mkdir -m 700 "$tmp/moved" "$tmp/cache" "$tmp/unpacked"
printf '[symbols]\ncache = %s\n' "$tmp/cache" >"$tmp/knell.conf"
cp "$victim" "$tmp/moved/victim"
KNELL_SPOOL="$tmp/third" "$tmp/moved/victim" null >/dev/null 2>&1
has 'bytes_left' "$knell" --config "$tmp/knell.conf" --spool "$tmp/third" show -1
cp /bin/true "$tmp/moved/new"
mv "$tmp/moved/new" "$tmp/moved/victim"
code 0 "$knell" --config "$tmp/knell.conf" --spool "$tmp/third" export -1 -o "$tmp/third.tar"
tar xf "$tmp/third.tar" -C "$tmp/unpacked" || fail "no bundle"
for file in "$tmp/unpacked"/symbols/*/executable; do
    cmp -s "$file" "$tmp/moved/victim" && fail "a bundle with another program: $file"
done

# A daemon that closed the report's file lost nothing by it.
KNELL_SPOOL="$tmp/closed" "$victim" closed >/dev/null 2>&1
has 'opened anew; nothing is missing' "$knell" --spool "$tmp/closed" show
has 'in bytes_left at' "$knell" --spool "$tmp/closed" show
grep -q 'incomplete' "$tmp/out" && fail "a whole capture is called incomplete: $(cat "$tmp/out")"

# What one spool may keep has nothing to do with another.
for app in one two; do
    mkdir -p "$tmp/state/knell/$app"
    chmod 700 "$tmp/state/knell/$app"
    KNELL_SPOOL="$tmp/state/knell/$app" "$victim" null >/dev/null 2>&1
done
(unset KNELL_SPOOL && XDG_STATE_HOME="$tmp/state" "$knell" clean --dry-run --state new \
    --max-reports 1 app=victimd) >"$tmp/out" 2>&1
grep -q 'would remove' "$tmp/out" && fail "clean counts spools together: $(cat "$tmp/out")"

# A program that was linked for a fixed address is where its file says.
if [ -x "${victim}_fixed" ]; then
    KNELL_SPOOL="$tmp/fixed" "${victim}_fixed" null >/dev/null 2>&1
    has "inspect_victim_fixed -o 0x0'" "$knell" --spool "$tmp/fixed" debug -1 --dry-run --debugger gdb
fi

# What is broken is found, and repaired on request.
echo garbage >"$KNELL_SPOOL/new/not-a-report"
code 5 "$knell" verify
code 0 "$knell" verify --repair
code 0 "$knell" verify

# A destination that is none is no sound configuration.
code 1 env KNELL_DSN="http://key@host/1 htp://host/1" "$knell" config check
grep -q 'destination htp://host/1: ' "$tmp/err" || fail "config check: $(cat "$tmp/err")"
grep -q '//key@\|sound' "$tmp/err" "$tmp/out" && fail "config check: $(cat "$tmp/err" "$tmp/out")"

# A program that reads too little is no error, and no terminal means no colours.
"$knell" list 2>"$tmp/err" | head -n 1 >/dev/null
[ -s "$tmp/err" ] && fail "broken pipe: $(cat "$tmp/err")"
has "$(printf '\033')" "$knell" --color=always list
exit $failed
