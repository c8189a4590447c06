//! Marks that a backend is dead, as Hipache wrote them to etcd: a list of places that goes with its lease.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    client::Client,
    keys::{Keys, marks},
    wire,
};
use crate::source::{
    followed::{MARKED_SECONDS, Said},
    frontends::{Backend, Read},
};

/// How often one is written anew that another has written meanwhile.
const TRIES: usize = 3;

/// Writes marks.
#[derive(Default)]
pub(super) struct Marker {
    said: Said,
}

impl Marker {
    /// Marks these; what is marked by that. What could not be is tried again at the next look.
    pub(super) async fn mark(&mut self, client: &mut Client, keys: &Keys, backends: &[Backend]) -> Read {
        let written = write(client, keys, backends).await;
        let (outcome, read) = match written {
            Ok(read) => (Ok(()), read),
            Err(why) => (Err(why), Read::default()),
        };
        self.said.outcome(outcome, backends);
        read
    }
}

async fn write(client: &mut Client, keys: &Keys, backends: &[Backend]) -> Result<Read, String> {
    let mut places: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for backend in backends {
        places.entry(&backend.host).or_default().insert(backend.id);
    }
    let granted: wire::Granted = client.call("/v3/lease/grant", &wire::lease(MARKED_SECONDS)).await?;
    let mut read = Read::default();
    for (host, ids) in places {
        let marked = add(client, &keys.dead(host), &ids, granted.id).await?;
        read.dead.push((host.to_owned(), marked));
    }
    Ok(read)
}

/// Adds places to those of a key: what it holds then.
async fn add(client: &mut Client, key: &str, ids: &BTreeSet<usize>, lease: i64) -> Result<BTreeSet<usize>, String> {
    for _ in 0..TRIES {
        let found: wire::Range = client.call("/v3/kv/range", &wire::key(key)).await?;
        let there = found.kvs.first();
        let mut marked = there.and_then(|kv| marks(&kv.value)).unwrap_or_default();
        marked.extend(ids);
        let since = there.map_or(0, |kv| kv.mod_revision);
        let value = serde_json::to_string(&marked).map_err(|e| e.to_string())?;
        let put: wire::Txn = client.call("/v3/kv/txn", &wire::put_unchanged(key, &value, lease, since)).await?;
        if put.succeeded {
            return Ok(marked);
        }
    }
    Err(client.said(&format!("others write {key} all the while")))
}
