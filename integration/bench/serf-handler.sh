#!/bin/sh
# The event handler that backchat replaces: keeps the `server` lines of a haproxy.cfg and reloads HAProxy.
#
# Serf hands over the event in SERF_EVENT, the members on standard input (name, address, role, tags; tab-separated).
# A role is the backend of that name in the file BENCH_CFG; BENCH_PIDFILE names HAProxy's master.
set -eu

tab="$(printf '\t')"
changed=no
while IFS="$tab" read -r name addr role tags; do
    [ "$role" != lb ] || continue
    port="${tags##*port=}"
    port="${port%%,*}"
    sed -i "/^    server $name /d" "$BENCH_CFG"
    [ "$SERF_EVENT" = member-join ] && sed -i "/^backend $role\$/a\    server $name $addr:$port check" "$BENCH_CFG"
    changed=yes
done
[ "$changed" = no ] || kill -USR2 "$(cat "$BENCH_PIDFILE")"
