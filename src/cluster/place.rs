//! Where this node is reached: the address that is said, bound, or found by the route, which is followed where it goes
//! elsewhere. A container that is taken off its network and put back has another one, with all that runs in it.
//!
//! Knows nothing of members: whom the node joins by is who should reach it.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    error::Error,
    join::JoinAddr,
    mailbox::{Command, Mailbox},
    transport::Advertise,
    view::View,
};

/// How long a join address may take to resolve, where it only helps to find our own.
const RESOLVE: Duration = Duration::from_secs(1);
/// How often it is looked whether the address is still this host's.
const LOOK: Duration = Duration::from_secs(1);

/// What finds the address anew, where nobody said which it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// What is bound: all addresses of a family, or of both.
    bound: SocketAddr,
    joins: Vec<JoinAddr>,
    /// Whether those who are joined are reached from it. At the start no name may lead anywhere yet; then it is that
    /// of the default route, which may be another network's.
    sure: bool,
}

impl Place {
    /// The address others should use: what is said, else what is bound, else the one from which the system would reach
    /// a join address, which is then to be followed.
    pub(super) async fn find(
        bound: SocketAddr,
        said: Option<Advertise>,
        joins: &[JoinAddr],
    ) -> Result<(SocketAddr, Option<Self>), Error> {
        if let Some(Advertise { ip, port }) = said {
            return Ok((SocketAddr::new(ip, port.unwrap_or(bound.port())), None));
        }
        if !bound.ip().is_unspecified() {
            return Ok((bound, None));
        }
        let place = Self { bound, joins: joins.to_vec(), sure: false };
        let towards_them = place.route(&place.resolved().await);
        let sure = towards_them.is_ok();
        let found = towards_them.or_else(|_| place.route(&[elsewhere(bound)]));
        let ip = found.map_err(|source| Error::Advertise { bind: bound, source })?;
        Ok((SocketAddr::new(ip, bound.port()), Some(Self { sure: sure || joins.is_empty(), ..place })))
    }

    /// Says where the node is reached whenever that is another place. While this host has no address, the last one stays.
    pub(super) async fn follow(mut self, views: watch::Receiver<Arc<View>>, mailbox: Mailbox) {
        loop {
            sleep(LOOK).await;
            let own = views.borrow().addr;
            let Some(ip) = self.another(own.ip()).await else { continue };
            if mailbox.send(Command::Moved(SocketAddr::new(ip, own.port()))).await.is_err() {
                return;
            }
        }
    }

    /// The address that took the place of `own`.
    async fn another(&mut self, own: IpAddr) -> Option<IpAddr> {
        if self.sure && is_here(own) {
            return None;
        }
        let targets = if self.joins.is_empty() { vec![elsewhere(self.bound)] } else { self.resolved().await };
        let found = self.route(&targets).ok()?;
        self.sure = true;
        (found != own).then_some(found)
    }

    /// Where the join addresses lead now.
    async fn resolved(&self) -> Vec<SocketAddr> {
        let mut targets = Vec::new();
        for addr in &self.joins {
            // A name that does not resolve now is tried again when joining; another address may do here.
            let found = timeout(RESOLVE, addr.resolve()).await;
            targets.extend(found.into_iter().flatten().flatten());
        }
        targets
    }

    /// The address from which the system would reach the first of these that it has a route to.
    fn route(&self, targets: &[SocketAddr]) -> io::Result<IpAddr> {
        let mut last = io::Error::other("no target");
        for target in targets.iter().filter(|target| self.bound.is_ipv6() || target.is_ipv4()) {
            match source_towards(*target) {
                Ok(ip) => return Ok(ip),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// An address nobody has (RFC 5737, RFC 3849): only the route to it is looked up, nothing is sent.
fn elsewhere(bound: SocketAddr) -> SocketAddr {
    let ip: IpAddr = match bound.ip() {
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

/// Whether an address is one of this host's. What else hinders a look at it (no descriptor is left) is no word that it
/// is not.
fn is_here(ip: IpAddr) -> bool {
    !matches!(UdpSocket::bind((ip, 0)), Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joins(names: &[&str]) -> Vec<JoinAddr> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    async fn found(bound: &str, said: Option<Advertise>, join: &[&str]) -> (String, Option<Place>) {
        let (addr, place) = Place::find(bound.parse().unwrap(), said, &joins(join)).await.unwrap();
        (addr.to_string(), place)
    }

    #[tokio::test]
    async fn the_route_finds_the_address_to_advertise() {
        assert_eq!(found("0.0.0.0:7946", None, &["127.0.0.1:1"]).await.0, "127.0.0.1:7946");
        assert_eq!(found("[::]:7946", None, &["[::1]:1"]).await.0, "[::1]:7946");
        assert_eq!(found("[::]:7946", None, &["127.0.0.1:1"]).await.0, "127.0.0.1:7946");
    }

    #[tokio::test]
    async fn what_is_said_or_bound_is_not_followed() {
        let said = Advertise { ip: "10.9.8.7".parse().unwrap(), port: Some(1) };
        assert_eq!(found("0.0.0.0:7946", Some(said), &["127.0.0.1:1"]).await, ("10.9.8.7:1".into(), None));
        assert_eq!(found("127.0.0.1:7946", None, &[]).await, ("127.0.0.1:7946".into(), None));
    }

    #[tokio::test]
    async fn another_address_is_taken_where_the_last_is_gone_and_they_are_reached_from_it() {
        let mut place = found("0.0.0.0:7946", None, &["127.0.0.1:1"]).await.1.unwrap();
        let [here, there, gone] = ["127.0.0.1", "127.0.0.9", "192.0.2.77"].map(|ip| ip.parse::<IpAddr>().unwrap());
        assert_eq!(place.another(here).await, None);
        // One that is this host's stays, though the route begins at another.
        assert_eq!(place.another(there).await, None);
        assert_eq!(place.another(gone).await, Some(here));
        place.joins = joins(&["nobody.invalid:1"]);
        assert_eq!(place.another(gone).await, None);
        // One that was a guess is looked at again until it is none.
        place.sure = false;
        assert_eq!((place.another(there).await, place.sure), (None, false));
        place.joins = joins(&["127.0.0.1:1"]);
        assert_eq!((place.another(there).await, place.sure), (Some(here), true));
    }
}
