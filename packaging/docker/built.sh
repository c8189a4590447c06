#!/bin/sh
# Puts into a folder what every image gets: the program, and of libraries those that it loads, which the shipped one,
# being static, does not.
#
# usage: packaging/docker/built.sh FOLDER [PROGRAM]
#
# PROGRAM: one that is built already. Without it, it is built as `make dist` does.
set -eu
cd "$(dirname "$0")/../.."

into=${1:?a folder to put it into} program=${2:-}
if [ -z "$program" ]; then
    # What is C among the dependencies is compiled with musl's own headers.
    command -v musl-gcc >/dev/null || { apt-get update && apt-get install -y --no-install-recommends musl-tools; }
    export CC_x86_64_unknown_linux_musl=musl-gcc CC_aarch64_unknown_linux_musl=musl-gcc
    # There is no history here whose last commit dates the archive.
    SOURCE_DATE_EPOCH=0 make dist
    program=$(ls target/*/shipped/backchat)
fi
install -D -m 755 "$program" "$into/usr/bin/backchat"

# Lines of ldd: a name, an arrow and a path, or for the loader the path alone.
libraries=$(ldd "$program" 2>/dev/null | grep -o '/[^ ]*' || :)
for library in $libraries; do
    install -D -m 755 "$library" "$into$library"
done
