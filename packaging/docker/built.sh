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
