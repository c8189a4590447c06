//! Hipache's keys in an etcd (v3), followed live by its watch. It is spoken to by its JSON gateway, which every server
//! from 3.4 on has: `/v3/kv/range`, `/v3/watch` and their like. What was known stays while etcd cannot be asked.

mod client;
mod follow;
mod http;
mod keys;
mod lines;
mod mark;
mod watch;
mod wire;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::{client::Client, follow::Follower, keys::Keys};
use super::{
    Following, Writes, followed,
    frontends::Frontends,
    store::{Shape, Store},
};
use crate::model::{Snapshot, SourceName};

/// What an etcd's URL looks like.
pub(super) const SHAPE: Shape = Shape {
    schemes: ["etcd", "etcds"],
    port: 2379,
    databases: false,
    options: &["password-file", "also", "ca", "cert", "key"],
    usage: "etcd://[USER:PASSWORD@]HOST[:PORT][?OPTION=VALUE&…][#PREFIX]",
};

/// Follows the keys until the token is cancelled.
pub(super) fn follow(
    store: Store,
    name: SourceName,
    writes: Writes,
    stop: CancellationToken,
) -> (tokio::sync::watch::Receiver<Arc<Snapshot>>, Following) {
    followed::follow(name, stop, |sender| Follower::new(store, writes, sender).run())
}

/// What the keys hold now, by the first of the servers that says.
///
/// # Errors
/// Where none of them can be asked.
pub(super) async fn load(store: &Store, name: SourceName) -> Result<Snapshot, String> {
    let keys = Keys::of(store);
    let mut frontends = Frontends::new(name, &store.prefix);
    let mut client = Client::new(store.clone());
    let mut failed = Vec::new();
    for _ in store.servers() {
        match client.list(&keys).await {
            Ok(listed) => {
                frontends.replace(listed.read);
                return Ok(frontends.snapshot());
            }
            Err(why) => failed.push(why),
        }
        client.turn();
    }
    Err(format!("{store}: {}", failed.join("; ")))
}
