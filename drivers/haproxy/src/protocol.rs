//! The words of HAProxy's runtime socket: every command we send, built from newtypes alone, and what each must
//! be answered. Pure: no socket, no clock.
//!
//! HAProxy takes almost anything (port 70000, a host name, `;` as the start of a second command), so nothing
//! from outside reaches a command but through a type that was validated before.

mod certs;
mod query;
mod reply;
mod tables;

use std::{fmt, path::Path};

use backchat_contract::{DriverError, EndpointAddr, EndpointName, Pem, Weight};
use backchat_template::{PLAIN, is_plain};
use serde::{Serialize, Serializer};

use crate::{
    certificates::{CertFile, LIST},
    layout::{Admin, BackendName, ServerId},
    maps::MapEntry,
    options::ServerOptions,
};

pub use certs::{HeldCert, certificate, listed};
pub use query::Query;
pub use reply::{Outcome, judge, trim};
pub use tables::{BackendRow, Info, ServerRow, backends, connections, info, map, servers, variable};

/// A server's name in HAProxy: the endpoint's, or with a prefix where the HAProxy is somebody else's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerName(String);

impl ServerName {
    /// What our servers' names begin with in somebody else's backends.
    pub const PREFIX: &'static str = "bc-";

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// In a backend of ours: the endpoint's own name.
    pub fn own(endpoint: &EndpointName) -> Self {
        Self(endpoint.to_string())
    }

    /// In somebody else's backend.
    pub fn attached(endpoint: &EndpointName) -> Self {
        Self(format!("{}{endpoint}", Self::PREFIX))
    }
}

/// A server's place: `backend/server`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerPath {
    /// Its backend.
    pub backend: BackendName,
    /// Its name there.
    pub server: ServerName,
}

impl fmt::Display for ServerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.backend, self.server.0)
    }
}

/// A map by the path of its file, as the configuration names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MapFile(String);

impl MapFile {
    /// Takes a path as [`Paths`](crate::paths::Paths) has them: absolute, and one word to every parser.
    pub fn new(path: &Path) -> Result<Self, DriverError> {
        match path.to_str().filter(|_| is_plain(path)) {
            Some(text) => Ok(Self(text.to_owned())),
            None => Err(DriverError::Unsupported(format!("name a map {}: {PLAIN}", path.display()))),
        }
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A version of a map that `prepare map` gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapVersion(pub(crate) u64);

impl MapVersion {
    /// Stands for the version that HAProxy is yet to give, in a plan that people read.
    pub const NEW: Self = Self(u64::MAX);
}

impl fmt::Display for MapVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NEW { f.write_str("@NEW") } else { write!(f, "@{}", self.0) }
    }
}

/// A command that changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A new server, in maintenance until it is told otherwise.
    Add {
        /// Its place.
        server: ServerPath,
        /// Where it listens.
        addr: EndpointAddr,
        /// Its number.
        id: ServerId,
        /// Its share.
        weight: Weight,
        /// Its keywords.
        options: ServerOptions,
    },
    /// Its check runs from now on: `check` alone does nothing.
    EnableHealth(ServerPath),
    /// It counts as down until a check passes.
    HealthDown(ServerPath),
    /// It counts as up until a check fails.
    HealthUp(ServerPath),
    /// Its administrative state.
    State(ServerPath, Admin),
    /// Its share.
    Weight(ServerPath, Weight),
    /// Where it listens.
    Addr(ServerPath, EndpointAddr),
    /// What runs on it ends now.
    ShutdownSessions(ServerPath),
    /// It goes.
    Delete(ServerPath),
    /// The servers of a backend that have no cookie yet get one.
    DynamicCookie(BackendName),
    /// A new version of a map, empty, not yet live.
    PrepareMap(MapFile),
    /// Lines for a version of a map; never empty, at most [`PAYLOAD`] bytes.
    AddMap(MapFile, MapVersion, Vec<MapEntry>),
    /// A version of a map becomes the map, at once.
    CommitMap(MapFile, MapVersion),
    /// A place for a certificate, empty yet.
    NewCert(CertFile),
    /// What is to be there; not yet shown to anybody.
    SetCert(CertFile, Pem),
    /// It is shown from now on.
    CommitCert(CertFile),
    /// What was set and could not be committed is forgotten.
    AbortCert(CertFile),
    /// A certificate is for its names from now on.
    ListCert(CertFile),
    /// It is for no name any more.
    UnlistCert(CertFile),
    /// Its place goes.
    DeleteCert(CertFile),
}

/// The most bytes of lines in one `add map`: with its command it must stay below 16,321, or HAProxy closes the
/// connection or loses the command without a word.
pub const PAYLOAD: usize = 14_000;

impl Command {
    /// The server that it is about, if it is about one.
    pub fn server(&self) -> Option<&ServerPath> {
        match self {
            Self::Add { server, .. }
            | Self::EnableHealth(server)
            | Self::HealthDown(server)
            | Self::HealthUp(server)
            | Self::State(server, _)
            | Self::Weight(server, _)
            | Self::Addr(server, _)
            | Self::ShutdownSessions(server)
            | Self::Delete(server) => Some(server),
            _ => None,
        }
    }

    /// The command as it is sent: with the secret that [`Display`](fmt::Display), which people read, leaves out.
    pub(crate) fn wire(&self) -> String {
        match self {
            // The empty line that ends a payload is the one behind its last.
            Self::SetCert(_, pem) => format!("{self}\n{}", pem.secret()),
            shown => shown.to_string(),
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add { server, addr, id, weight, options } => {
                write!(f, "add server {server} {addr} id {id} weight {weight} {options}")
            }
            Self::EnableHealth(server) => write!(f, "enable health {server}"),
            Self::HealthDown(server) => write!(f, "set server {server} health down"),
            Self::HealthUp(server) => write!(f, "set server {server} health up"),
            Self::State(server, state) => write!(f, "set server {server} state {state}"),
            Self::Weight(server, weight) => write!(f, "set server {server} weight {weight}"),
            Self::Addr(server, addr) => {
                let addr = addr.get();
                write!(f, "set server {server} addr {} port {}", addr.ip(), addr.port())
            }
            Self::ShutdownSessions(server) => write!(f, "shutdown sessions server {server}"),
            Self::Delete(server) => write!(f, "del server {server}"),
            Self::DynamicCookie(backend) => write!(f, "enable dynamic-cookie backend {backend}"),
            Self::PrepareMap(map) => write!(f, "prepare map {}", map.0),
            Self::AddMap(map, version, entries) => {
                writeln!(f, "add map {version} {} <<", map.0)?;
                entries.iter().try_for_each(|entry| writeln!(f, "{entry}"))
            }
            Self::CommitMap(map, version) => write!(f, "commit map {version} {}", map.0),
            Self::NewCert(file) => write!(f, "new ssl cert {file}"),
            Self::SetCert(file, _) => write!(f, "set ssl cert {file} <<"),
            Self::CommitCert(file) => write!(f, "commit ssl cert {file}"),
            Self::AbortCert(file) => write!(f, "abort ssl cert {file}"),
            Self::ListCert(file) => write!(f, "add ssl crt-list {LIST} {file}"),
            Self::UnlistCert(file) => write!(f, "del ssl crt-list {LIST} {file}"),
            Self::DeleteCert(file) => write!(f, "del ssl cert {file}"),
        }
    }
}

impl Serialize for Command {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl fmt::Display for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maint => "maint",
        })
    }
}

/// The lines of a map in pieces that one `add map` may carry.
pub fn pieces(entries: &[MapEntry]) -> Vec<Vec<MapEntry>> {
    let mut pieces: Vec<Vec<MapEntry>> = Vec::new();
    let mut room = 0;
    for entry in entries {
        let size = entry.to_string().len() + 1;
        match pieces.last_mut() {
            Some(piece) if size <= room => piece.push(entry.clone()),
            _ => {
                pieces.push(vec![entry.clone()]);
                room = PAYLOAD;
            }
        }
        room = room.saturating_sub(size);
    }
    pieces
}

#[cfg(test)]
mod tests;
