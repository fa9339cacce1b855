#!/bin/sh
# Runs a command inside an arm64 root file system, in namespaces of its own.
# Called as: unshare --mount --pid --fork --kill-child sh arm64_chroot.sh ROOT FOLDER COMMAND…
# ROOT is mounted read-only, so that one cached root serves every board; FOLDER, which the host
# sees too, is the board's disk: /srv. All mounts live in this mount namespace and end with it.
set -eu
root=$1
folder=$2
shift 2

mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount --bind "$folder" "$root/srv"
mount --bind "$folder/home" "$root/root"
mount --bind "$folder/tmp" "$root/tmp"
mount -t tmpfs -o mode=755,size=1m tmpfs "$root/run"
mkdir -p "$root/run/sshd"
# No /sys: the runtime's CPU detection crashes under qemu-user where it is mounted.
mount -t proc proc "$root/proc"

mount -t tmpfs -o mode=755,size=1m tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s fd/0 "$root/dev/stdin"
ln -s fd/1 "$root/dev/stdout"
ln -s fd/2 "$root/dev/stderr"

exec chroot "$root" "$@"
