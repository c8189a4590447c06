//! Where it is known from who is there, beside gossip: each source fills a snapshot of its own, and must not know what
//! becomes of it.

mod docker;
mod etcd;
pub mod file;
mod followed;
mod frontends;
mod redis;
mod store;
mod uri;

use std::{collections::BTreeSet, pin::Pin, sync::Arc};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use docker::Engine;
pub use store::Store;
pub use uri::{Uri, UriError, without_secret};

use crate::model::{EndpointId, Snapshot};

/// What is done to a store that is followed, beside reading it.
#[derive(Clone, Debug, Default)]
pub struct Writes {
    /// Whether Redis is told to say what changes, where it does not.
    pub notify: bool,
    /// The endpoints that the data plane knows to fail, to be marked as dead; `None` where nothing is marked.
    pub down: Option<watch::Receiver<Arc<BTreeSet<EndpointId>>>>,
}

/// Why a source was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// The file is none, or lists what cannot be taken.
    #[error(transparent)]
    File(#[from] file::Unread),
    /// The store does not answer, or refuses.
    #[error("{0}")]
    Store(String),
}

/// A follower's work, until it is cancelled.
pub type Following = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Follows a source until the token is cancelled. The first snapshot is not synced, and empty.
pub fn follow(uri: &Uri, writes: &Writes, stop: CancellationToken) -> (watch::Receiver<Arc<Snapshot>>, Following) {
    match uri {
        Uri::File(path, format) => {
            let (snapshots, following) = file::watch(path.clone(), *format, uri.name(), stop);
            (snapshots, Box::pin(following))
        }
        Uri::Redis(store) => redis::follow(Store::clone(store), uri.name(), writes.clone(), stop),
        Uri::Docker(engine) => docker::follow(engine.clone(), uri.name(), stop),
        Uri::Etcd(store) => etcd::follow(Store::clone(store), uri.name(), writes.clone(), stop),
    }
}

/// What a source lists now, read once: for those who will not wait until it is well.
///
/// # Errors
/// Where it cannot be read.
pub async fn load(uri: &Uri) -> Result<Snapshot, Unread> {
    match uri {
        Uri::File(path, format) => Ok(file::load(path, *format, uri.name())?),
        Uri::Redis(store) => Box::pin(redis::load(store, uri.name())).await.map_err(Unread::Store),
        Uri::Docker(engine) => Box::pin(docker::load(engine, uri.name())).await.map_err(Unread::Store),
        Uri::Etcd(store) => Box::pin(etcd::load(store, uri.name())).await.map_err(Unread::Store),
    }
}
