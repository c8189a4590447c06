#!/bin/sh
# Says how the shipped program is linked, as the members of a TOML list, and builds what is linked in beside it.
#
# usage: packaging/rustflags.sh TARGET
set -eu

target=${1:?the target that the program is built for}
root=$(cd "$(dirname "$0")/.." && pwd)
# Where the code lies; see there.
flags="\"-Csymbol-mangling-version=v0\", \"-Clink-arg=-Wl,-T,$root/packaging/layout.ld\""

# musl's own way with memory is slow on x86-64 alone; see mem.c.
case $target in
x86_64-*-linux-musl)
    # By its content: another one is linked anew.
    object=$root/target/mem-$(cksum <"$root/packaging/mem.c" | cut -d ' ' -f 1).o
    mkdir -p "$root/target"
    "${CC:-cc}" -O2 -fPIC -ffreestanding -fno-builtin -fno-tree-loop-distribute-patterns \
        -c "$root/packaging/mem.c" -o "$object"
    flags="$flags, \"-Clink-arg=-Wl,--wrap=memcpy,--wrap=memmove,--wrap=memcmp,--wrap=bcmp\", \"-Clink-arg=$object\""
    ;;
esac
echo "$flags"
