//! Where the admin API is served or asked: `unix:PATH` or `ADDR:PORT`.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

/// Where the admin API is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Addr {
    /// A unix socket; the path has at most 107 bytes.
    Unix(PathBuf),
    /// TCP. Whether it may be beyond loopback is for the settings to say.
    Tcp(SocketAddr),
}

/// Why a text is no such address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddrError {
    /// Neither a path nor an address.
    #[error("use unix:PATH or ADDR:PORT")]
    Form,
    /// The kernel's limit: `sun_path` has 108 bytes, the closing zero included (man 7 unix).
    #[error("a unix socket's path holds at most 107 bytes; choose a shorter one")]
    Long,
}

impl Addr {
    /// Whether others than those on this host could reach it.
    pub fn is_beyond_loopback(&self) -> bool {
        matches!(self, Self::Tcp(addr) if !addr.ip().to_canonical().is_loopback())
    }
}

impl FromStr for Addr {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<Self, AddrError> {
        match text.strip_prefix("unix:") {
            Some("") => Err(AddrError::Form),
            Some(path) if path.len() > 107 => Err(AddrError::Long),
            Some(path) => Ok(Self::Unix(path.into())),
            None => text.parse().map(Self::Tcp).map_err(|_| AddrError::Form),
        }
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(addr) => addr.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(), AddrError>) {
        let parsed = text.parse::<Addr>();
        assert_eq!(parsed.as_ref().map(ToString::to_string), expected.as_ref().map(|()| text.to_owned()), "{text}");
    }

    #[test]
    fn paths_and_addresses() {
        check("unix:/run/x.sock", Ok(()));
        check("unix:x.sock", Ok(()));
        check("127.0.0.1:80", Ok(()));
        check("[::1]:80", Ok(()));
        check(&format!("unix:{}", "x".repeat(107)), Ok(()));
        check(&format!("unix:{}", "x".repeat(108)), Err(AddrError::Long));
        for wrong in ["", "unix:", "localhost:80", "/run/x.sock", "127.0.0.1"] {
            check(wrong, Err(AddrError::Form));
        }
    }
}
