#!/bin/sh
# Makes the image that those of the tests are built on, out of Debian's packages alone, for no registry may be reachable:
# Debian 12 with what the Dockerfile installs, so that its own `apt-get install` finds all of it there.
#
# usage: integration/containers/base.sh ARCHIVE
#
# ARCHIVE is what `docker import` takes. One that is there stays.
set -eu

archive=${1:?the archive to make}
export PATH="$PATH:/usr/sbin:/sbin"
. "$(dirname "$0")/../mirror.sh"

mkdir -p "$(dirname "$archive")"
# Two at once would make it twice.
exec 9>"$archive.lock"
flock 9
[ ! -e "$archive" ] || exit 0

from=$(mirror)
[ -n "$from" ] || { echo "base.sh: apt names no Debian mirror: run apt-get update, or set BACKCHAT_MIRROR" >&2; exit 1; }
tree=$(mktemp -d)
trap 'as_root rm -rf --one-file-system "$tree"' EXIT
as_root debootstrap --variant=minbase --include=haproxy,nginx-light,libnginx-mod-http-lua bookworm "$tree" "$from" \
    >"$archive.log" 2>&1 || { tail -n 5 "$archive.log" >&2; exit 1; }
# Devices are the engine's to make. Whole or not there.
as_root tar -C "$tree" --exclude=./dev/* --exclude=./var/cache/apt/archives/*.deb -cf "$archive.half" .
mv "$archive.half" "$archive"
