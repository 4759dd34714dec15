#!/bin/sh
# Install into a fresh prefix and use it from there as the README says: its program
# compiles as C and C++, links against both libraries, runs, crashes and is delivered by
# the installed uploader.
# usage: install.sh BUILD_DIR README
set -eu
build=$1 readme=$2
tmp=$(mktemp -d "${TMPDIR:-/tmp}/knell-install.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
prefix=$tmp/usr

cmake --install "$build" --prefix "$prefix" >"$tmp/install.log"
for f in bin/knell bin/knell-upload bin/knell-symbolize lib/libknell.a lib/libknell.so \
    include/knell/knell.h lib/pkgconfig/knell.pc; do
    [ -e "$prefix/$f" ] || { echo "not installed: $f"; exit 1; }
done
for p in knell knell-upload knell-symbolize; do
    "$prefix/bin/$p" --version | grep -q '0\.1\.0' || { echo "$p --version"; exit 1; }
done

export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
awk '/^```c$/ && !n++ {p = 1; next} /^```$/ {p = 0} p' "$readme" >"$tmp/exampled.c"
[ "$(wc -l <"$tmp/exampled.c")" -ge 15 ]
# The same program, told to die where it would serve.
sed 's|sleep(1);.*|if (argc > 1) *(volatile int *)0 = 1;|; s|main(void)|main(int argc, char **argv)|
     s|^{$|{ (void)argv;|; s|^ *options.dsn = .*||' "$tmp/exampled.c" >"$tmp/dying.c"
flags="-g -Wall -Wextra -Werror -I$prefix/include -Wl,-rpath,$prefix/lib"
cc $flags "$tmp/exampled.c" -L"$prefix/lib" -lknell -o "$tmp/exampled"
cc $flags "$tmp/dying.c" -L"$prefix/lib" -lknell -o "$tmp/dying-shared"
cc $flags "$tmp/dying.c" "$prefix/lib/libknell.a" -ldl -lpthread -o "$tmp/dying-static"
c++ $flags -x c++ "$tmp/dying.c" -x none -L"$prefix/lib" -lknell -o "$tmp/dying-cxx"

for kind in shared static cxx; do
    export KNELL_SPOOL=$tmp/spool-$kind KNELL_DSN=file://$tmp/out-$kind
    mkdir "$tmp/out-$kind"
    status=0
    (ulimit -c 0; exec "$tmp/dying-$kind" now) || status=$?
    [ "$status" -eq 139 ] || { echo "dying-$kind: exit status $status"; exit 1; }
    [ "$(find "$KNELL_SPOOL" -name '*.dmp' | wc -l)" -eq 1 ] || { echo "dying-$kind: no report"; exit 1; }
    # Its next start brings the installed uploader up, found beside the library.
    [ $kind = static ] && export KNELL_UPLOADER=$prefix/bin/knell-upload
    PATH=/usr/bin:/bin:$prefix/bin "$tmp/dying-$kind"
    unset KNELL_UPLOADER
    i=0
    until ls "$KNELL_SPOOL"/sent/*.dmp >/dev/null 2>&1; do
        i=$((i + 1))
        [ $i -lt 200 ] || { echo "dying-$kind: not delivered"; exit 1; }
        sleep 0.05
    done
    grep -q '"function":"main"' "$tmp/out-$kind"/*.envelope || { echo "dying-$kind: no main"; exit 1; }
    "$prefix/bin/knell" list --json | grep -q '"sent"'
done
echo "installed and used: $prefix"
