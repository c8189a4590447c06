//! Keeps the living members in the data folder: the newest, away from the task.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::spawn_blocking, time::sleep};

use crate::{
    cluster::{
        epoch::{KeptMember, Store},
        view::View,
    },
    model::Liveness,
};

/// Between two writes: members come and go faster than they are worth a flush of the disk.
const GAP: Duration = Duration::from_secs(1);

/// Writes who is living at each change of it, for ever.
pub(super) async fn keep(store: Store, mut views: watch::Receiver<Arc<View>>, mut last: Vec<KeptMember>) {
    // The task ends its jobs; a watch that is closed before that has said all it had to say.
    while views.changed().await.is_ok() {
        let kept = living(&views.borrow_and_update());
        if kept == last {
            continue;
        }
        last = kept.clone();
        let store = store.clone();
        match spawn_blocking(move || store.remember(kept)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("{error}; after a restart the join addresses have to do"),
            Err(error) => tracing::error!(%error, "keeping the members panicked"),
        }
        sleep(GAP).await;
    }
}

fn living(view: &View) -> Vec<KeptMember> {
    let living = view.snapshot.members.values().filter(|m| m.liveness == Liveness::Alive);
    let others = living.filter(|m| m.name.as_str() != view.me.node);
    others.map(|m| KeptMember { name: m.name.clone(), addr: m.addr }).collect()
}
