#!/bin/sh
# Says what the shipped program is built for: this machine's Linux with musl, linked statically. So it runs on any
# distribution, looks names up without the host's modules, and maps no library into each agent.
#
# rustup adds what is missing of the standard library. Where it cannot, it is the target that Rust was installed for.
set -eu

wanted="$(uname -m)-unknown-linux-musl"
# To standard error, for the answer is one word; rustup has a deadline, for there may be no network.
add() { timeout 120 rustup target add "$wanted" >&2; }
is_there() { [ -d "$(rustc --print target-libdir --target "$wanted" 2>/dev/null)" ]; }

if is_there || { command -v rustup >/dev/null 2>&1 && add && is_there; }; then
    echo "$wanted"
else
    echo "target.sh: no Rust standard library for $wanted here: building for the host's own C library" >&2
    rustc -vV | sed -n 's/^host: //p'
fi
