#!/bin/sh
# Makes the HAProxy and nginx versions that this Debian does not carry: a small Debian tree for each, and a wrapper that
# runs the tree's binary by the tree's own loader and libraries. No chroot, so that ports, sockets and files are
# the same for all, and running needs no root. (Making a tree does: debootstrap.)
#
# usage: integration/trees.sh [3.0|3.2 …]
#
# Prints the paths of both wrappers of each, HAProxy's and nginx's, on standard output, one a line, and what it does on
# standard error. What is there already is used. BACKCHAT_TREES: the folder (trees/ beside this repo's Cargo.toml);
# BACKCHAT_MIRROR: the Debian mirror (the one apt uses).
set -eu

repo=$(cd "$(dirname "$0")/.." && pwd)
trees=${BACKCHAT_TREES:-$repo/trees}
export PATH="$PATH:/usr/sbin:/sbin"
. "$repo/integration/mirror.sh"

main() {
    [ $# -gt 0 ] || set -- 3.0 3.2
    mkdir -p "$trees/bin"
    # Two at once would make the same tree twice.
    exec 9>"$trees/.lock"
    flock 9
    for version in "$@"; do provide "$version"; done
}

# Which Debian release carries which HAProxy.
suite_of() {
    case $1 in
    3.0) echo trixie ;;
    3.2) echo forky ;;
    *) fail "no tree for HAProxy $1 (3.0, 3.2)" 64 ;;
    esac
}

provide() {
    suite=$(suite_of "$1")
    wrapper=$trees/bin/haproxy-$1
    [ -x "$trees/$suite/usr/sbin/haproxy" ] || make_tree "$suite"
    wrap "$trees/$suite" usr/sbin/haproxy "$wrapper"
    wrap_nginx "$trees/$suite" "$trees/bin/nginx-$suite"
    found=$("$wrapper" -v | sed -n 's/^HAProxy version \([0-9]*\.[0-9]*\).*/\1/p')
    [ "$found" = "$1" ] || fail "$suite carries HAProxy ${found:-of no known version} now, not $1" 1
    echo "$wrapper"
    echo "$trees/bin/nginx-$suite"
}

make_tree() {
    command -v debootstrap >/dev/null || fail "debootstrap is missing: apt-get install debootstrap" 1
    mirror=$(mirror)
    [ -n "$mirror" ] || fail "apt names no Debian mirror: run apt-get update, or set BACKCHAT_MIRROR" 1
    # Releases younger than this debootstrap are made the way of sid.
    script=/usr/share/debootstrap/scripts/$1
    [ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
    half=$trees/.$1.half
    say "making $trees/$1 (about 240 MB, a minute or two; log: $trees/$1.log)"
    # An interrupted debootstrap may have left /proc mounted there.
    as_root umount -R "$half/proc" 2>/dev/null || :
    as_root rm -rf --one-file-system "$half"
    as_root debootstrap --variant=minbase --include=haproxy,nginx-light,libnginx-mod-stream "$1" "$half" "$mirror" "$script" \
        >"$trees/$1.log" 2>&1 || fail "debootstrap $1 failed: $(tail -n 3 "$trees/$1.log")" 1
    # Whole or not there: what was cut in the middle is made anew.
    as_root mv "$half" "$trees/$1"
}

# wrap TREE BINARY WRAPPER. --argv0: HAProxy's master runs its own first word again at each reload, which must be
# the wrapper, not the binary that this system's loader cannot run.
wrap() {
    loader=$(ls "$1"/lib64/ld-linux*.so.* "$1"/lib/ld-linux*.so.* 2>/dev/null | head -n 1)
    [ -n "$loader" ] || fail "no loader in $1" 1
    libraries=$(printf '%s:' "$1"/usr/lib/*-linux-gnu*)
    cat >"$3.new" <<END
#!/bin/sh
exec "$loader" --argv0 "\$0" --library-path "${libraries%:}" "$1/$2" "\$@"
END
    chmod 755 "$3.new"
    mv "$3.new" "$3"
}

# wrap_nginx TREE WRAPPER. nginx says by its title who is a master and who only ends what it has, and writes it over its
# arguments; the kernel shows what stands at their beginning, which are the loader's: so the title stands there already.
wrap_nginx() {
    loader=$(ls "$1"/lib64/ld-linux*.so.* "$1"/lib/ld-linux*.so.* 2>/dev/null | head -n 1)
    [ -n "$loader" ] || fail "no loader in $1" 1
    libraries=$(printf '%s:' "$1"/usr/lib/*-linux-gnu*)
    cat >"$2.new" <<END
#!/bin/bash
exec -a "nginx: master process \$0 \$*" "$loader" --library-path "${libraries%:}" "$1/usr/sbin/nginx" "\$@"
END
    chmod 755 "$2.new"
    mv "$2.new" "$2"
}

say() {
    echo "trees: $1" >&2
}

fail() {
    say "$1"
    exit "$2"
}

main "$@"
