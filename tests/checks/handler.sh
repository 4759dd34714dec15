#!/bin/sh
# The handler in the eyes of a compiler that this build does not use: compiles without a
# warning, imports what the list allows, and its call graph has the properties that
# callgraph.py proves, with the frames that this compiler makes.
# usage: handler.sh SOURCE_DIR aarch64-gcc|aarch64-clang|clang
set -eu
source=$1 which=$2
here=$(cd "$(dirname "$0")" && pwd)
case $which in
aarch64-gcc) arch=aarch64 cc=aarch64-linux-gnu-gcc graph=$cc binutils=aarch64-linux-gnu- ;;
aarch64-clang)
    arch=aarch64 cc='clang --target=aarch64-linux-gnu' graph=aarch64-linux-gnu-gcc
    binutils=aarch64-linux-gnu- ;;
clang) arch=x86_64 cc=clang graph=gcc binutils= ;;
esac
for tool in ${cc%% *} $graph ${binutils}nm; do
    command -v "$tool" >/dev/null || { echo "skip: no $tool"; exit 77; }
done
[ "$arch" != x86_64 ] || [ "$(uname -m)" = x86_64 ] || { echo "skip: not on x86_64"; exit 77; }
cd "$source"
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
flags="-std=gnu11 -D_GNU_SOURCE -fPIC -fno-stack-protector -U_FORTIFY_SOURCE
    -ftls-model=initial-exec -I. -Iinclude"
warnings="-Wall -Wextra -Wconversion -Wshadow -Wvla -Wundef -Wstrict-prototypes
    -Wmissing-prototypes -Werror"

for file in crash/handler/*.c "crash/handler/arch_$arch.S"; do
    name=$(basename "$file")
    case $file in
    */failpoint.c) continue ;;
    */regs_*.c) [ "$name" = "regs_$arch.c" ] || continue ;;
    esac
    # Who calls whom is in the sources; only gcc writes it down, clang only the frames.
    case "$cc" in
    "$graph") $cc $flags $warnings -O2 -fcallgraph-info=su -c -o "$tmp/$name.o" "$file" ;;
    *)
        $cc $flags $warnings -O2 -fstack-usage -c -o "$tmp/$name.o" "$file"
        case $name in *.c) $graph $flags -O0 -fcallgraph-info=su -c -o "$tmp/$name.graph" "$file" ;; esac ;;
    esac
done
NM=${binutils}nm LD=${binutils}ld READELF=${binutils}readelf \
    sh "$here/imports.sh" "$here/imports.allow" "$tmp"/*.o
case "$cc" in "$graph") sizes= ;; *) sizes=$(ls "$tmp"/*.su) ;; esac
python3 "$here/callgraph.py" . kn_on_signal,kn_on_previous,kn_on_park,kn_on_ending_signal 65536 24576 \
    "$tmp"/*.ci $sizes
