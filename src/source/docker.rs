//! The containers of a Docker engine, followed by its events. What was known stays while the engine cannot be asked.

mod follow;
mod labels;

use std::{fmt, path::PathBuf, sync::Arc};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::follow::Follower;
use super::{Following, followed};
use crate::model::{Snapshot, SourceName};

const USAGE: &str = "use docker, docker:SOCKET or docker://HOST:PORT";

/// Where an engine is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Its socket on this host.
    Socket(PathBuf),
    /// A host and a port, in plain text.
    Tcp(String),
}

impl Engine {
    /// What stands behind `docker:`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix("//") {
            None if text.is_empty() => Ok(Self::Socket("/var/run/docker.sock".into())),
            None if text.starts_with('/') && !text.contains('?') => Ok(Self::Socket(text.into())),
            Some(addr) if is_addr(addr) => Ok(Self::Tcp(addr.to_owned())),
            _ => Err(USAGE.into()),
        }
    }
}

fn is_addr(text: &str) -> bool {
    let port = |port: &str| port.parse::<u16>().is_ok();
    !text.contains(['/', '?', '#', '@'])
        && text.rsplit_once(':').is_some_and(|(host, digits)| !host.is_empty() && port(digits))
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "docker:{}", path.display()),
            Self::Tcp(addr) => write!(f, "docker://{addr}"),
        }
    }
}

/// Follows the containers until the token is cancelled.
pub(super) fn follow(
    engine: Engine,
    name: SourceName,
    stop: CancellationToken,
) -> (watch::Receiver<Arc<Snapshot>>, Following) {
    followed::follow(name, stop, |sender| Follower::new(engine, sender).run())
}

/// What its containers say now.
///
/// # Errors
/// Where the engine cannot be asked.
pub(super) async fn load(engine: &Engine, name: SourceName) -> Result<Snapshot, String> {
    let listed = follow::load(engine, &name).await;
    listed.map_err(|why| format!("{engine}: {why}"))
}
