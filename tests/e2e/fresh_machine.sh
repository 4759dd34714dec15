#!/bin/sh
# Prove the two commands on a machine with nothing but git, make and apt: a minimal
# Debian 12 in a folder of its own. Run by hand, as root; needs debootstrap.
# usage: fresh_machine.sh ROOT [TARGET...]     (ROOT is made when it is not there)
set -eu
root=$1
shift
repo=$(cd "$(dirname "$0")/../.." && pwd)
[ -d "$root/etc" ] || debootstrap --variant=minbase bookworm "$root"
chroot "$root" sh -c 'command -v git make >/dev/null || apt-get install -y -qq --no-install-recommends git make >/dev/null'
# A root of its own, as on a machine: what tests mount stays inside.
mountpoint -q "$root" || { mount --bind "$root" "$root" && mount --make-private "$root"; }
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
mountpoint -q "$root/dev" || { mount --rbind /dev "$root/dev" && mount --make-rslave "$root/dev"; }
# A daemon that was just stopped may hold something for a moment longer.
trap 'umount -l "$root/proc"; umount -R -l "$root/dev"; umount -l "$root"' EXIT
rm -rf "$root/src"
git clone -q "$repo" "$root/src/knell"
for target in "${@:-demo test}"; do
    for t in $target; do
        chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
            make -C /src/knell "$t"
    done
done
