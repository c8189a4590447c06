//! Marks that a backend is dead, as Hipache wrote them to etcd: a list of places that goes with its lease.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;
use tokio::time::{Instant, timeout};

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

/// How long it is waited after a failure, the first time and at most: whoever may not write marks is not to ask for a
/// lease whenever something else happens.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(30);
/// How long giving a lease back may take; it goes by itself, too.
const REVOKE: Duration = Duration::from_secs(2);

/// Writes marks.
#[derive(Default)]
pub(super) struct Marker {
    said: Said,
    patience: Patience,
}

/// When marks may be tried again.
#[derive(Default)]
struct Patience {
    /// The last pause, and its end; `None` where the last try did well.
    pause: Option<(Duration, Instant)>,
}

impl Marker {
    /// Marks these; what is marked by that. What could not be is tried again at a later look.
    pub(super) async fn mark(&mut self, client: &mut Client, keys: &Keys, backends: &[Backend]) -> Read {
        if !self.patience.is_over(Instant::now()) {
            return Read::default();
        }
        let written = write(client, keys, backends).await;
        self.patience.tried(written.is_ok(), Instant::now());
        let (outcome, read) = match written {
            Ok(read) => (Ok(()), read),
            Err(why) => (Err(why), Read::default()),
        };
        self.said.outcome(outcome, backends);
        read
    }
}

impl Patience {
    fn is_over(&self, now: Instant) -> bool {
        self.pause.is_none_or(|(_, end)| now >= end)
    }

    /// After a failure it waits, each time twice as long.
    fn tried(&mut self, well: bool, now: Instant) {
        let pause = self.pause.map_or(AGAIN, |(pause, _)| (pause * 2).min(AGAIN_MAX));
        self.pause = (!well).then(|| (pause, now + pause));
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
        match add(client, &keys.dead(host), &ids, granted.id).await {
            Ok(marked) => read.dead.push((host.to_owned(), marked)),
            Err(why) if read.dead.is_empty() => {
                // Nothing is written with it. Why not is what is to be told.
                let lease = wire::revoked(granted.id);
                let _by_itself = timeout(REVOKE, client.call::<Value>("/v3/lease/revoke", &lease)).await;
                return Err(why);
            }
            Err(why) => return Err(why),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_followed_by_pauses() {
        let mut patience = Patience::default();
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..7 {
            assert!(patience.is_over(now));
            patience.tried(false, now);
            let (pause, end) = patience.pause.unwrap();
            assert!(!patience.is_over(end.checked_sub(Duration::from_millis(1)).unwrap()));
            pauses.push(pause.as_secs());
            now = end;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        patience.tried(true, now);
        assert!(patience.is_over(now));
    }
}
