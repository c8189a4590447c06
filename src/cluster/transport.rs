//! The sockets: UDP for gossip and TCP for exchanges on one port, and the address that others use.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::fd::{AsRawFd, OwnedFd},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{Interest, unix::AsyncFd},
    net::TcpListener,
    time::timeout,
};

use super::{
    error::{Error, words},
    join::JoinAddr,
};

/// How many free ports are tried for one that is free for both protocols.
const TRIES: usize = 32;
/// How long a join address may take to resolve, where it only helps to find our own.
const RESOLVE: Duration = Duration::from_secs(1);
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

/// The address others should use: what is said, else what is bound, else the one from which the
/// system would reach a join address.
pub(super) async fn advertised(
    local: SocketAddr,
    said: Option<Advertise>,
    join: &[JoinAddr],
) -> Result<SocketAddr, Error> {
    if let Some(Advertise { ip, port }) = said {
        return Ok(SocketAddr::new(ip, port.unwrap_or(local.port())));
    }
    if !local.ip().is_unspecified() {
        return Ok(local);
    }
    let mut targets = Vec::new();
    for addr in join {
        // A name that does not resolve now is tried again when joining; another address may do here.
        let found = timeout(RESOLVE, addr.resolve()).await;
        targets.extend(found.into_iter().flatten().flatten());
    }
    targets.push(elsewhere(local));
    let route = |source| Error::Advertise { bind: local, source };
    let mut last = io::Error::other("no target");
    for target in targets.into_iter().filter(|target| local.is_ipv6() || target.is_ipv4()) {
        match source_towards(target) {
            Ok(ip) => return Ok(SocketAddr::new(ip, local.port())),
            Err(error) => last = error,
        }
    }
    Err(route(last))
}

/// An address nobody has (RFC 5737, RFC 3849): only the route to it is looked up, nothing is sent.
fn elsewhere(local: SocketAddr) -> SocketAddr {
    let ip: IpAddr = match local.ip() {
        IpAddr::V4(_) => Ipv4Addr::new(192, 0, 2, 1).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    };
    SocketAddr::new(ip, 9)
}

/// Connecting a UDP socket sends nothing: it asks the system which address it would send from.
fn source_towards(target: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(target)?;
    let ip = socket.local_addr()?.ip();
    if ip.is_unspecified() { Err(io::Error::other(format!("no route to {target}"))) } else { Ok(ip) }
}

#[cfg(test)]
mod tests {
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
    async fn the_route_finds_the_address_to_advertise() {
        let local: SocketAddr = "0.0.0.0:7946".parse().unwrap();
        let join = ["127.0.0.1:1".parse().unwrap()];
        assert_eq!(advertised(local, None, &join).await.unwrap(), "127.0.0.1:7946".parse().unwrap());
        let join6 = ["[::1]:1".parse().unwrap()];
        let local6: SocketAddr = "[::]:7946".parse().unwrap();
        assert_eq!(advertised(local6, None, &join6).await.unwrap(), "[::1]:7946".parse().unwrap());
        assert_eq!(advertised(local6, None, &join).await.unwrap(), "127.0.0.1:7946".parse().unwrap());
        let said = Advertise { ip: "10.9.8.7".parse().unwrap(), port: Some(1) };
        assert_eq!(advertised(local, Some(said), &join).await.unwrap(), "10.9.8.7:1".parse().unwrap());
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
