#!/bin/sh
# Fail when a file includes what its layer must not know.
# usage: layers.sh SOURCE_DIR
set -eu
cd "$1"
bad=0

# forbid FILES PATTERN WHY: no line of FILES may include what matches PATTERN
forbid() {
    hits=$(grep -rEn --include='*.[chS]' "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]($2)" $1 2>/dev/null |
        grep -vE "^(${4-none}):" || true)
    [ -z "$hits" ] && return
    printf '%s\n%s\n' "$3:" "$hits"
    bad=1
}
forbid include '(crash|uploader|symbolize|tests)/' 'public headers stand alone'
forbid crash '(uploader|symbolize|tests)/' 'crash knows include only'
forbid crash/handler 'crash/[^h]' 'the handler knows nothing of crash but itself'
forbid symbolize '(uploader|crash|tests)/' 'symbolize knows include only'
forbid uploader '(crash|tests)/' 'uploader knows symbolize and include'
forbid 'crash uploader symbolize include' '(elfutils/)?(libdw|libdwfl|dwarf)\.h' 'libdw is for tests'
forbid 'crash uploader include' '(libelf|gelf)\.h' 'libelf is for symbolize'
forbid 'crash uploader symbolize include' 'curl/' 'libcurl is for one file' uploader/deliver/http.c
forbid 'crash symbolize include' 'cjson/' 'no JSON below the uploader'
forbid 'crash uploader symbolize include' 'libunwind' 'libunwind is for the uploader' \
    'uploader/report/unwind[a-z_]*.[ch]'

# The last include of each file of the handler poisons what it must not call.
for file in crash/handler/*.c; do
    last=$(grep -E '^#include' "$file" | tail -1)
    case $file in */failpoint.c) continue ;; esac
    [ "$last" = '#include "crash/handler/poison.h"' ] && continue
    echo "$file: last include is not poison.h"
    bad=1
done
exit $bad
