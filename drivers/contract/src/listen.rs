//! A listener of its own for one service that speaks bytes.

use std::{fmt, net::SocketAddr, str::FromStr};

use serde::{Deserialize, Deserializer};

use crate::names::ServiceName;

/// Where one service's connections come in, `0.0.0.0:5432=db`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpListen {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Whose it is.
    pub service: ServiceName,
}

impl FromStr for TcpListen {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let usage = "use ADDR:PORT=SERVICE, like 0.0.0.0:5432=db";
        let (addr, service) = text.split_once('=').ok_or(usage)?;
        let addr: SocketAddr = addr.parse().map_err(|_| usage)?;
        let service: ServiceName = service.parse().map_err(|e: crate::NameError| e.to_string())?;
        if addr.port() == 0 { Err(usage.into()) } else { Ok(Self { addr, service }) }
    }
}

impl fmt::Display for TcpListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.addr, self.service)
    }
}

impl<'de> Deserialize<'de> for TcpListen {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_a_service() {
        for text in ["0.0.0.0:5432=db", "[::]:1=a"] {
            assert_eq!(text.parse::<TcpListen>().unwrap().to_string(), text);
        }
        for text in ["", "5432=db", "0.0.0.0:5432", "0.0.0.0:0=db", "0.0.0.0:1=a b", "localhost:1=a"] {
            assert!(text.parse::<TcpListen>().is_err(), "{text}");
        }
    }
}
