//! Hipache's keys in a Redis, followed live: told by keyspace notifications where Redis sends them, else looked at every
//! few seconds. What was known stays while Redis cannot be asked.

mod connect;
mod follow;
mod keys;
mod mark;
mod marked;
mod notices;
mod pulse;
mod read;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::{connect::Connector, follow::Follower, keys::Keys, mark::Marker};
use super::{
    Following, Writes, followed,
    frontends::Frontends,
    store::{Shape, Store},
};
use crate::model::{Snapshot, SourceName};

/// What a Redis's URL looks like.
pub(super) const SHAPE: Shape = Shape {
    schemes: ["redis", "rediss"],
    port: 6379,
    databases: true,
    options: &["password-file", "primary", "ca", "cert", "key"],
    usage: "redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE][?OPTION=VALUE&…][#PREFIX]",
};

/// Follows the keys until the token is cancelled.
pub(super) fn follow(
    store: Store,
    name: SourceName,
    writes: Writes,
    stop: CancellationToken,
) -> (watch::Receiver<Arc<Snapshot>>, Following) {
    let (wants, wanted) = watch::channel(Vec::new());
    let (written, done) = mpsc::channel(1);
    let marker = Marker::new(Connector::writer(store.clone()), Keys::of(&store));
    followed::follow(name, stop, |sender| async {
        tokio::join!(Follower::new(store, writes, sender, (wants, done)).run(), marker.run(wanted, written))
    })
}

/// What the keys hold now.
///
/// # Errors
/// Where Redis cannot be asked.
pub(super) async fn load(store: &Store, name: SourceName) -> Result<Snapshot, String> {
    let keys = Keys::of(store);
    let mut frontends = Frontends::new(name, &store.prefix);
    let read = async {
        let mut connection = Connector::reader(store.clone()).connection().await?;
        read::all(&mut connection, &keys).await
    };
    frontends.replace(read.await.map_err(|why| format!("{store}: {why}"))?.read());
    Ok(frontends.snapshot())
}
