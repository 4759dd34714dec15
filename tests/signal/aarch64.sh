#!/bin/sh
# The table of scenarios on aarch64: cross-built, and run on Debian's kernel for arm64 in an
# emulated machine. Takes some ten minutes, most of it the first time.
# usage: aarch64.sh SOURCE_DIR
#
# $KNELL_AARCH64 names a folder that keeps Debian's packages and the build; without it
# nothing is done. Needs gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, qemu-system-arm, cpio.
set -eu
source=$1 keep=${KNELL_AARCH64-}
[ -n "$keep" ] || { echo "skip: \$KNELL_AARCH64 names no folder"; exit 77; }
for tool in aarch64-linux-gnu-gcc qemu-system-aarch64 cpio cmake ninja apt-get dpkg; do
    command -v $tool >/dev/null || { echo "skip: no $tool"; exit 77; }
done
mkdir -p "$keep" && keep=$(cd "$keep" && pwd)
root=$keep/root build=$keep/build triple=aarch64-linux-gnu

# Unpacked, not installed: this machine's own packages stay as they are.
fetch() {
    mkdir -p "$keep/apt/lists/partial" "$keep/apt/cache/archives/partial" "$keep/debs"
    echo "deb http://deb.debian.org/debian $(. /etc/os-release && echo "$VERSION_CODENAME") main" \
        >"$keep/apt/sources.list"
    apt="apt-get -qq -o Dir::Etc::sourcelist=$keep/apt/sources.list -o Dir::Etc::sourceparts=-
        -o Dir::State::lists=$keep/apt/lists -o Dir::Cache=$keep/apt/cache
        -o Dir::State::status=/dev/null -o APT::Architecture=arm64 -o APT::Architectures::=arm64
        -o APT::Sandbox::User=root"
    $apt update
    kernel=$(apt-cache ${apt#apt-get -qq} depends linux-image-cloud-arm64 |
        sed -n 's/.*Depends: \(linux-image-[0-9][^ ]*\)/\1/p' | head -n 1)
    (cd "$keep/debs" && $apt download "$kernel" busybox-static libc6 libgcc-s1 libunwind8 \
        libunwind-dev liblzma5 liblzma-dev libcurl4 libcurl4-openssl-dev libcjson1 libcjson-dev \
        libelf1 libelf-dev zlib1g zlib1g-dev libisal2 libisal-dev libzstd1 libzstd-dev \
        libiberty-dev)
    for package in "$keep"/debs/*.deb; do
        dpkg -x "$package" "$root"
    done
}
[ -e "$keep/fetched" ] || { fetch && : >"$keep/fetched"; }

cat >"$keep/toolchain.cmake" <<EOF
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_LIBRARY_ARCHITECTURE $triple)
set(CMAKE_C_COMPILER $triple-gcc)
set(CMAKE_ASM_COMPILER $triple-gcc)
set(CMAKE_CXX_COMPILER $triple-gcc) # nothing of C++ is built
set(CMAKE_CXX_COMPILER_FORCED 1)
set(CMAKE_FIND_ROOT_PATH $root /usr/$triple)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_EXE_LINKER_FLAGS_INIT -Wl,-rpath-link,$root/lib/$triple)
set(ENV{PKG_CONFIG_LIBDIR} $root/usr/lib/$triple/pkgconfig)
set(ENV{PKG_CONFIG_SYSROOT_DIR} $root)
EOF
cmake -S "$source" -B "$build" -G Ninja -DCMAKE_TOOLCHAIN_FILE="$keep/toolchain.cmake" \
    -DCMAKE_BUILD_TYPE=RelWithDebInfo -DKNELL_WERROR=ON >"$keep/log"
cmake --build "$build" -j2 --target test_crash test_failpoints victim victim_failpoints >>"$keep/log" ||
    { tail -n 40 "$keep/log"; exit 1; }

# The machine: busybox, what the programs need, and themselves where they were built.
image=$keep/image
rm -rf "$image"
mkdir -p "$image/bin" "$image/proc" "$image/sys" "$image/dev" "$image/run" "$image/etc" \
    "$image/lib/$triple" "$image$build/tests/signal" "$image$build/crash"
cp "$root/bin/busybox" "$image/bin/"
for tool in sh mount chmod poweroff rm ls cat sleep uname; do
    ln -s busybox "$image/bin/$tool"
done
cp -L "$root/lib/ld-linux-aarch64.so.1" "$image/lib/"
for library in libc.so.6 libm.so.6 libgcc_s.so.1 liblzma.so.5 libunwind.so.8 libunwind-aarch64.so.8; do
    cp -L "$(find "$root/lib/$triple" "$root/usr/lib/$triple" -name $library | head -n 1)" \
        "$image/lib/$triple/"
done
for file in tests/signal/test_crash tests/signal/test_failpoints tests/signal/victim \
    tests/signal/victim_failpoints tests/signal/libvictim_plugin.so crash/libknell.so.0; do
    cp -L "$build/$file" "$image$build/$file"
done
cat >"$image/init" <<EOF
#!/bin/sh
export PATH=/bin TMPDIR=/run
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mount -t tmpfs tmp /run; chmod 1777 /run; cd /run
uname -srm
for n in 1 8 100; do
    for user in root nobody; do
        VICTIM_DEADLINE_MS=5000 $build/tests/signal/test_crash $build/tests/signal/victim \$user \$n
    done
done
for how in fault kill hang; do
    $build/tests/signal/test_failpoints $build/tests/signal/victim_failpoints \$how && echo "1 run, 0 failed"
done
echo the end
poweroff -f
EOF
chmod +x "$image/init"
(cd "$image" && find . | cpio -o -H newc -R 0:0 2>/dev/null) >"$keep/initrd"
timeout 3000 qemu-system-aarch64 -M virt -cpu cortex-a72 -smp 2 -m 2048 -nographic -nic none -no-reboot \
    -kernel "$root"/boot/vmlinuz-* -initrd "$keep/initrd" \
    -append 'console=ttyAMA0 quiet panic=-1' </dev/null | tr -d '\r' >"$keep/said"
grep -v '^ok' "$keep/said" || true
[ "$(grep -c ' run, 0 failed$' "$keep/said")" -eq 9 ] && grep -q '^the end' "$keep/said"
