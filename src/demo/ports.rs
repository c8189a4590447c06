//! Free ports on loopback, for those who must know theirs before they start, and keep it over a restart.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    sync::{
        LazyLock,
        atomic::{AtomicU16, Ordering},
    },
};

/// Below the ports that systems give to outgoing connections (Linux: from 32768). A port out of that range may be
/// taken as a source port while its server is down; a client on loopback can then even connect to itself.
const RANGE: std::ops::Range<u16> = 15_000..32_000;

/// The next to try. One after another from a random start, so that a process hands out none twice before it is bound.
static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(rand::random_range(RANGE)));

/// An address on 127.0.0.1 whose port is free for TCP and UDP alike.
///
/// Nothing holds it, so another process may take it before it is used. Whoever need not know it before binds port 0.
pub fn free() -> io::Result<SocketAddr> {
    const TRIES: usize = 100;
    let candidates = std::iter::repeat_with(|| SocketAddr::from((Ipv4Addr::LOCALHOST, next())));
    candidates
        .take(TRIES)
        .find(|addr| TcpListener::bind(addr).is_ok() && UdpSocket::bind(addr).is_ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::AddrInUse, format!("no free port in {TRIES} tries in {RANGE:?}")))
}

fn next() -> u16 {
    let after = |port: u16| if RANGE.contains(&(port + 1)) { port + 1 } else { RANGE.start };
    NEXT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |port| Some(after(port))).unwrap_or(RANGE.start)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_free_port_can_be_bound_both_ways() {
        let addr = free().unwrap();
        assert!(RANGE.contains(&addr.port()) && addr.ip().is_loopback());
        let _tcp = TcpListener::bind(addr).unwrap();
        let _udp = UdpSocket::bind(addr).unwrap();
    }

    #[test]
    fn none_is_handed_out_twice() {
        let addrs: BTreeSet<_> = std::iter::repeat_with(|| free().unwrap()).take(200).collect();
        assert_eq!(addrs.len(), 200);
    }
}
