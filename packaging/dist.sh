#!/bin/sh
# Packs the shipped build into target/dist/backchat-VERSION-TARGET.tar.gz, with a checksum beside it.
#
# The same files give the same bytes: names sorted, owner root, the time that of the last commit.
set -eu
cd "$(dirname "$0")/.."

target=${TARGET:?is what the program was built for: use make dist}
program=${CARGO_TARGET_DIR:-target}/$target/shipped/backchat
version="$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)"
name="backchat-$version-$target"
time="@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}"

rm -rf "target/dist/$name"
mkdir -p "target/dist/$name/systemd"
cp "$program" README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT "target/dist/$name/"
cp packaging/systemd/* "target/dist/$name/systemd/"

cd target/dist
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="$time" -cf - "$name" | gzip -9n >"$name.tar.gz"
rm -r "$name"
sha256sum "$name.tar.gz" >"$name.tar.gz.sha256"
echo "target/dist/$name.tar.gz"
