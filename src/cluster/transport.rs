//! The sockets: UDP for gossip and TCP for exchanges, on one port.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    os::fd::{AsRawFd, OwnedFd},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{Interest, unix::AsyncFd},
    net::TcpListener,
};

use super::error::{Error, words};

/// How many free ports are tried for one that is free for both protocols.
const TRIES: usize = 32;
/// What the kernel keeps of packets while the task does something else: some 700 full ones.
const RECEIVE_BUFFER: usize = 1 << 20;

/// The address that others should use, where it is not the one that is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertise {
    /// The IP.
    pub ip: IpAddr,
    /// The port; the bound one where `None`.
    pub port: Option<u16>,
}

/// Both sockets, on one port.
#[derive(Debug)]
pub(super) struct Sockets {
    /// Only what comes in is waited for: that there is room again for what goes out would wake the task after
    /// every packet.
    pub(super) udp: AsyncFd<UdpSocket>,
    pub(super) tcp: TcpListener,
    /// What is bound.
    pub(super) local: SocketAddr,
}

impl Sockets {
    /// Binds both. Port 0 finds one that is free for both.
    pub(super) fn bind(addr: SocketAddr) -> Result<Self, Error> {
        let mut tries = if addr.port() == 0 { TRIES } else { 1 };
        loop {
            tries -= 1;
            match Self::bind_once(addr) {
                Err(_) if tries > 0 => {}
                result => return result,
            }
        }
    }

    fn bind_once(addr: SocketAddr) -> Result<Self, Error> {
        let refuse = |protocol, addr| move |e: io::Error| Error::Bind { protocol, addr, cause: words(&e) };
        let udp = udp(addr).map_err(refuse("udp", addr))?;
        let local = udp.get_ref().local_addr().map_err(refuse("udp", addr))?;
        let tcp = tcp(local).map_err(refuse("tcp", local))?;
        Ok(Self { udp, tcp, local })
    }
}

fn udp(addr: SocketAddr) -> io::Result<AsyncFd<UdpSocket>> {
    let socket = socket(addr, Type::DGRAM, Protocol::UDP)?;
    socket.bind(&addr.into())?;
    // The kernel may grant less (net.core.rmem_max); gossip lives with loss.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    readable(socket.into())
}

/// Has the runtime say when there is something to read, and that alone.
#[expect(deprecated, reason = "its successor is unsafe, for types whose descriptor changes: an owned one does not")]
pub(super) fn readable<T: AsRawFd + Into<OwnedFd>>(inner: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(inner, Interest::READABLE)
}

fn tcp(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(addr, Type::STREAM, Protocol::TCP)?;
    // A restart must not wait for the last run's connections to time out.
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(128)?;
    TcpListener::from_std(socket.into())
}

fn socket(addr: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), kind, Some(protocol))?;
    if addr.is_ipv6() {
        // `[::]` takes both families, whatever the system's default says.
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// An address in the form that a socket of this family sends to.
pub(super) fn for_socket(local: SocketAddr, to: SocketAddr) -> SocketAddr {
    match (local, to.ip()) {
        (SocketAddr::V6(_), IpAddr::V4(v4)) => SocketAddr::new(v4.to_ipv6_mapped().into(), to.port()),
        _ => to,
    }
}

/// An address as people write it: a v4-mapped one is the v4 one.
pub(super) fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn bind(addr: &str) -> Result<Sockets, Error> {
        Sockets::bind(addr.parse().unwrap())
    }

    #[tokio::test]
    async fn both_protocols_share_a_free_port() {
        for addr in ["127.0.0.1:0", "[::1]:0"] {
            let sockets = bind(addr).unwrap();
            assert_ne!(sockets.local.port(), 0);
            assert_eq!(sockets.udp.get_ref().local_addr().unwrap(), sockets.tcp.local_addr().unwrap());
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_said_in_words() {
        let taken = bind("127.0.0.1:0").unwrap();
        let addr = taken.local.to_string();
        let error = bind(&addr).unwrap_err().to_string();
        assert_eq!(error, format!("cannot bind udp {addr}: address in use; choose another --bind"));
    }

    #[tokio::test]
    async fn both_families_reach_an_unspecified_v6_socket() {
        let sockets = bind("[::]:0").unwrap();
        for ip in ["127.0.0.1", "::1"] {
            let ip: IpAddr = ip.parse().unwrap();
            let other = UdpSocket::bind((ip, 0)).unwrap();
            other.send_to(b"hi", (ip, sockets.local.port())).unwrap();
            let receive = sockets.udp.async_io(Interest::READABLE, |udp| udp.recv_from(&mut [0; 8]));
            let received = timeout(Duration::from_secs(10), receive).await;
            let (_, from) = received.expect("nothing comes").unwrap();
            assert_eq!(canonical(from), other.local_addr().unwrap());
            let back = for_socket(sockets.local, canonical(from));
            sockets.udp.get_ref().send_to(b"ho", back).unwrap();
            other.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            assert_eq!(other.recv(&mut [0; 8]).unwrap(), 2);
        }
    }
}
