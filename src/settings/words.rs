//! Stand-ins for the words of `cluster` until its branch is merged.

use std::{fmt, net::IpAddr, str::FromStr};

use crate::model::{NameError, ServiceName};

/// Where to look for a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinAddr {
    /// Name or IP.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl FromStr for JoinAddr {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?}: use ADDR or ADDR:PORT");
        if let Ok(addr) = text.parse::<std::net::SocketAddr>() {
            return Ok(Self { host: addr.ip().to_string(), port: addr.port() });
        }
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self { host: ip.to_string(), port: 7946 });
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
            None => (text, 7946),
        };
        if host.is_empty() { Err(wrong()) } else { Ok(Self { host: host.into(), port }) }
    }
}

impl fmt::Display for JoinAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A cluster's label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterLabel(ServiceName);

impl Default for ClusterLabel {
    fn default() -> Self {
        Self("default".parse().expect("seven letters are a name"))
    }
}

impl FromStr for ClusterLabel {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        text.parse().map(Self)
    }
}

/// Timings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Loopback.
    Local,
    /// One network.
    Lan,
    /// Far.
    Wan,
}

impl FromStr for Profile {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "local" => Ok(Self::Local),
            "lan" => Ok(Self::Lan),
            "wan" => Ok(Self::Wan),
            _ => Err("use local, lan or wan".into()),
        }
    }
}

/// The address others use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertise {
    /// The IP.
    pub ip: IpAddr,
    /// The port, the bound one if left out.
    pub port: Option<u16>,
}

impl FromStr for Advertise {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(addr) = text.parse::<std::net::SocketAddr>() {
            return Ok(Self { ip: addr.ip(), port: Some(addr.port()) });
        }
        text.parse().map(|ip| Self { ip, port: None }).map_err(|_| "use ADDR or ADDR:PORT".into())
    }
}
