//! Why the cluster could not be started, or ended.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use crate::model::{NodeName, words::without_errno};

/// Why the cluster could not be started, or ended. Each reads by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A socket could not be bound.
    #[error("cannot bind {protocol} {addr}: {cause}; choose another --bind")]
    Bind {
        /// `udp` or `tcp`.
        protocol: &'static str,
        /// Where.
        addr: SocketAddr,
        /// Why: `address in use`.
        cause: String,
    },
    /// The address that others should use could not be found.
    #[error("cannot tell which address others should use for {bind}: {source}; say --advertise")]
    Advertise {
        /// What is bound.
        bind: SocketAddr,
        /// What the look for a route said.
        source: io::Error,
    },
    /// The system gives no timer.
    #[error("cannot get a timer: {0}")]
    Timer(io::Error),
    /// The epoch could not be read or kept.
    #[error("cannot {action} {}: {source}", path.display())]
    State {
        /// `read`, `write`.
        action: &'static str,
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The name is another living node's.
    #[error("the name {node} is held by {holder}, which answers: choose another --node")]
    NameHeld {
        /// Ours.
        node: NodeName,
        /// Where it is held.
        holder: SocketAddr,
    },
    /// We were declared down, and another node has the name since.
    #[error("the name {node} was taken over by {holder} while this node was declared down")]
    NameLost {
        /// Ours.
        node: NodeName,
        /// Where it is held.
        holder: SocketAddr,
    },
    /// No join address became a living member in time.
    #[error("cannot join within {limit:?}: {last}")]
    JoinTimeout {
        /// `--join-timeout`.
        limit: Duration,
        /// What came of the last try.
        last: String,
    },
    /// The record does not fit.
    #[error("the record of {node} does not fit into {limit} bytes: fewer services, hosts or tags")]
    RecordTooLarge {
        /// Ours.
        node: String,
        /// The bound.
        limit: usize,
    },
    /// The cluster task has ended.
    #[error("this node's cluster task has ended")]
    Ended,
}

/// What the system said, in words: never a bare errno.
pub(super) fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "address in use".into(),
        io::ErrorKind::AddrNotAvailable => "no interface has this address".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::TimedOut => "no answer in time".into(),
        _ => without_errno(&error.to_string()),
    }
}
