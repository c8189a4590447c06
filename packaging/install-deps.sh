#!/bin/sh
# Installs what `make demo|test|test-versions|bench|chaos` needs beside Rust, and only what is missing.
#
# usage: packaging/install-deps.sh [--print] build|demo|demo-nginx|demo-openresty|test|test-versions|bench|chaos …
#
# Debian and its kin only; elsewhere it names what to install and fails. It never starts a service:
# while apt runs, a policy-rc.d answers 101 ("do not start"), and is taken away again afterwards.
set -eu

policy=/usr/sbin/policy-rc.d
policy_is_ours=no

main() {
    print=no
    [ "${1:-}" = --print ] && { print=yes; shift; }
    [ $# -gt 0 ] || fail "usage: install-deps.sh [--print] build|demo|demo-nginx|demo-openresty|test|test-versions|bench|chaos …" 64
    for purpose in "$@"; do need_for "$purpose"; done

    require_rust
    if [ -z "$packages" ]; then
        return
    fi
    printf 'missing:\n%b' "$reasons"
    if ! command -v apt-get >/dev/null 2>&1; then
        fail "no apt-get here: install these by your system's own means:$packages" 1
    fi
    if [ "$print" = yes ]; then
        echo "would run: apt-get install --no-install-recommends$packages"
        return
    fi
    install_packages
}

packages=
reasons=
# Searched too: haproxy and ip live in sbin, off many users' PATH.
folders=${BACKCHAT_DEPS_FOLDERS-/usr/local/sbin:/usr/sbin:/sbin:/usr/local/openresty/bin}

# What each purpose needs, and why.
need_for() {
    case $1 in
    build)
        need cc gcc "compiles and links the program"
        need_file /usr/include/stdlib.h libc6-dev "what the linker needs of the C library"
        ;;
    demo | demo-haproxy)
        need_for build
        need haproxy haproxy "the load balancer that the demo drives"
        ;;
    demo-nginx)
        need_for build
        need nginx nginx-light "the load balancer that the demo drives"
        ;;
    demo-openresty)
        need_for build
        need_lua
        ;;
    test)
        need_for demo
        need ip iproute2 "network namespaces, for the test of a split cluster"
        need nft nftables "loses packets, for the same test"
        need nginx nginx-light "the other load balancer, and a service with children of its own"
        need_lua
        need_file /usr/lib/nginx/modules/ngx_stream_module.so libnginx-mod-stream "nginx's part for TCP services"
        need redis-server redis-server "a store of Hipache's keys"
        need redis-cli redis-tools "writes such keys, as people do"
        need curl curl "asks over HTTPS, as people do"
        need faketime faketime "lets a daemon's wall clock jump, for the tests of clocks"
        need etcd etcd-server "a store that is followed"
        need docker docker.io "runs the images; the tests of them say so where no engine answers"
        docker compose version >/dev/null 2>&1 || need docker-compose docker-compose "runs their scene"
        need debootstrap debootstrap "makes what they are based on, for no registry is asked"
        need_file /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring "proves what debootstrap loads"
        ;;
    chaos)
        need_for demo
        need ip iproute2 "network namespaces: a host each"
        need nft nftables "cuts cables and loses packets"
        ;;
    test-versions)
        need_for test
        need debootstrap debootstrap "makes the folders that hold HAProxy 3.0 and 3.2"
        ;;
    bench)
        need_for demo
        need serf serf "what backchat is compared with"
        need wrk wrk "the keep-alive clients"
        need redis-server redis-server "a store of Hipache's keys"
        need nginx nginx-light "the other load balancer"
        need_lua
        ;;
    *) fail "no such purpose: $1 (build, demo, demo-nginx, demo-openresty, test, test-versions, bench, chaos)" 64 ;;
    esac
}

# need COMMAND PACKAGE WHY
need() {
    found "$1" || add "$2" "$3"
}

found() {
    (PATH=$PATH:$folders; command -v "$1" >/dev/null 2>&1)
}

# OpenResty, which Debian does not have, or its Lua module beside nginx.
need_lua() {
    found openresty && return
    need nginx nginx-light "the load balancer that runs OpenResty's module"
    need_file /usr/lib/nginx/modules/ngx_http_lua_module.so libnginx-mod-http-lua "Lua for nginx, as OpenResty has it"
}

need_file() {
    [ -e "$1" ] || add "$2" "$3"
}

# A bare return would hand on the status of whatever found the thing missing, and end the script by it.
add() {
    case " $packages " in *" $1 "*) return 0 ;; esac
    packages="$packages $1"
    reasons="$reasons  $1: $2\n"
}

# Rust is the one thing not installed for you: how is a choice (rustup or the distribution).
require_rust() {
    command -v cargo >/dev/null 2>&1 ||
        fail "no cargo on the PATH: install Rust 1.88 or later (https://rustup.rs), then run this again" 1
}

install_packages() {
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null 2>&1 || fail "not root and no sudo: run as root: apt-get install$packages" 1
        as_root=sudo
    fi
    trap restore_policy EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    hold_services
    echo "installing with apt-get:$packages"
    # Old lists are refreshed only where installing fails with them; a fresh container has none.
    ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 || apt_get update
    # shellcheck disable=SC2086 # words on purpose
    apt_install $packages || { apt_get update && apt_install $packages; } ||
        fail "apt-get could not install:$packages (its own words are above)" 1
    note_services
}

apt_get() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q "$@"
}

apt_install() {
    apt_get install -y --no-install-recommends "$@"
}

# A policy that is there already is somebody's choice (containers refuse every start): it stays.
hold_services() {
    [ -e "$policy" ] && return
    printf '#!/bin/sh\n# put here by backchat while it installs packages\nexit 101\n' | $as_root tee "$policy" >/dev/null
    policy_is_ours=yes
    $as_root chmod 755 "$policy"
}

restore_policy() {
    [ "$policy_is_ours" = yes ] && $as_root rm -f "$policy"
    policy_is_ours=no
}

# Debian starts an installed service at the next boot. Say so; what runs at boot is the owner's choice.
note_services() {
    command -v systemctl >/dev/null 2>&1 || return 0
    for name in $packages; do
        if systemctl is-enabled --quiet "$name.service" 2>/dev/null; then
            echo "note: $name.service was not started, but will be at the next boot; 'systemctl disable $name' prevents it"
        fi
    done
}

fail() {
    echo "install-deps: $1" >&2
    exit "$2"
}

main "$@"
