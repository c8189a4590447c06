//! The questions we ask HAProxy: none of them changes anything.

use std::fmt;

use super::MapFile;
use crate::certificates::{CertFile, LIST};

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Its version, and whether it is on its way out.
    Info,
    /// Its backends and what they speak.
    Backends,
    /// All servers with address, weight and state.
    Servers,
    /// All servers with their connections.
    Connections,
    /// A map's lines.
    Map(MapFile),
    /// Which rendering it runs.
    Generation,
    /// The fingerprint of that rendering without its servers.
    Structure,
    /// Which certificates are for some name.
    CertList,
    /// What one of them is.
    Cert(CertFile),
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Info => f.write_str("show info"),
            // Every proxy (-1), backends only (2), every server id (-1): the smallest answer that names the mode.
            Self::Backends => f.write_str("show stat -1 2 -1"),
            Self::Servers => f.write_str("show servers state"),
            Self::Connections => f.write_str("show servers conn"),
            Self::Map(map) => write!(f, "show map {}", map.0),
            Self::Generation => f.write_str("get var proc.backchat_gen"),
            Self::Structure => f.write_str("get var proc.backchat_structure"),
            Self::CertList => write!(f, "show ssl crt-list {LIST}"),
            Self::Cert(file) => write!(f, "show ssl cert {file}"),
        }
    }
}
