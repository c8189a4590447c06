//! Settings: what the daemons run by, checked as a whole, built once before anything is bound or started.
//!
//! Every field is a type that needs no second look. Pure: what the host says comes in as `Host`.
//! It must not know clap or files.

mod access;
mod agent;
mod common;
mod host;
mod lb;
mod services;
mod sources;
#[cfg(test)]
mod tests;
mod tls;

use std::net::SocketAddr;

pub use access::Access;
pub use agent::Agent;
pub use common::{Common, KeySource, Log};
pub use host::Host;
pub use lb::{AttachedNginx, Lb, Managed, OnExit, OpenrestyMode, PlanFormat, Plane, Run};
pub use sources::Sources;
pub use tls::Tls;

use crate::{
    admin,
    model::{NameError, ServiceName},
};

/// Why settings do not hold together. Each says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The host's name is no node name.
    #[error("{0}; choose one by --node")]
    HostName(NameError),
    /// Anybody on the network could join.
    #[error("{0} needs a key: 'backchat keygen --out key', then --key-file key; or --insecure")]
    NoKey(SocketAddr),
    /// An ordinary user without a folder for sockets.
    #[error("no folder for sockets: $XDG_RUNTIME_DIR is not set; choose one by --run-dir")]
    NoRunDir,
    /// The default admin socket's path does not fit.
    #[error("admin socket {0}: {1}")]
    AdminSocket(String, admin::AddrError),
    /// Anybody on the network could command the node.
    #[error("admin {0} is not on loopback: it needs --admin-token-file; or use unix:PATH or loopback")]
    AdminBeyondLoopback(admin::Addr),
    /// Two flags that say different things, or one that needs another.
    #[error("{0}")]
    Flags(String),
    /// A service is to be balanced as nobody can.
    #[error("services.{0}: {1}")]
    Service(ServiceName, String),
    /// A word of the interface that is not there yet.
    #[error("{0}: not yet: {1}")]
    NotYet(&'static str, &'static str),
}
