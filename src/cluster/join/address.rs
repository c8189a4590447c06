//! Join addresses: how they are written, and how they are looked up.

use std::{fmt, io, net::SocketAddr, str::FromStr, time::Duration};

use tokio::{net::lookup_host, time::timeout};

/// The port of an address that names none: Serf's.
pub const DEFAULT_PORT: u16 = 7946;
/// How long a name may take to resolve.
const RESOLVE: Duration = Duration::from_secs(5);

/// An address to join by: `host`, `host:port`, `10.0.0.1`, `[2001:db8::1]:7946`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JoinAddr {
    host: String,
    port: u16,
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address: use host, host:port or [ipv6]:port")]
pub struct JoinAddrError(String);

impl JoinAddr {
    /// Looks the name up, anew at every call. Never empty.
    pub async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let found = match timeout(RESOLVE, lookup_host((self.host.as_str(), self.port))).await {
            Ok(found) => found?.collect::<Vec<_>>(),
            Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {RESOLVE:?}"))),
        };
        if found.is_empty() { Err(io::Error::other("the name has no address")) } else { Ok(found) }
    }
}

impl From<SocketAddr> for JoinAddr {
    fn from(addr: SocketAddr) -> Self {
        Self { host: addr.ip().to_string(), port: addr.port() }
    }
}

impl FromStr for JoinAddr {
    type Err = JoinAddrError;

    fn from_str(text: &str) -> Result<Self, JoinAddrError> {
        let refuse = || JoinAddrError(text.chars().take(80).collect());
        let (host, port) = split(text).ok_or_else(refuse)?;
        let port = port.map_or(Ok(DEFAULT_PORT), |port| match port.parse() {
            Ok(0) | Err(_) => Err(refuse()),
            Ok(port) => Ok(port),
        })?;
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for JoinAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        f.pad(&if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
    }
}

/// Host and port; `None` where the text is neither a name nor an address.
fn split(text: &str) -> Option<(&str, Option<&str>)> {
    let is_v6 = |host: &str| host.parse::<std::net::Ipv6Addr>().is_ok();
    if is_v6(text) {
        return Some((text, None));
    }
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
        return is_v6(host).then_some((host, port));
    }
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let name_ok = !host.is_empty() && host.len() <= 253;
    let bytes_ok = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    (name_ok && bytes_ok).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let got = text.parse::<JoinAddr>().ok().map(|addr| addr.to_string());
        assert_eq!(got.as_deref(), expected, "{text:?}");
    }

    #[test]
    fn the_ways_to_write_an_address() {
        check("seed", Some("seed:7946"));
        check("seed.example.com:1", Some("seed.example.com:1"));
        check("10.0.0.1", Some("10.0.0.1:7946"));
        check("10.0.0.1:80", Some("10.0.0.1:80"));
        check("::1", Some("[::1]:7946"));
        check("[::1]", Some("[::1]:7946"));
        check("[2001:db8::1]:80", Some("[2001:db8::1]:80"));
        for refused in ["", ":80", "seed:", "seed:0", "seed:65536", "seed:80:80", "[seed]:80", "[::1]80", "a b", "a/b"]
        {
            check(refused, None);
        }
    }

    #[tokio::test]
    async fn a_literal_resolves_to_itself() {
        let addr: JoinAddr = "[::1]:80".parse().unwrap();
        assert_eq!(addr.resolve().await.unwrap(), ["[::1]:80".parse().unwrap()]);
    }
}
