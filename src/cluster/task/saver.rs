//! Keeps the living members in the data folder: the newest, away from the task.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{sleep, timeout},
};

use crate::{
    cluster::{
        epoch::{KeptMember, Store},
        view::View,
    },
    model::Liveness,
};

/// Between two writes: members come and go faster than they are worth a flush of the disk.
const GAP: Duration = Duration::from_secs(1);

/// How soon a write that failed is tried again where nothing changes meanwhile.
const AGAIN: Duration = Duration::from_secs(5);

/// Writes who is living at each change of it, for ever.
pub(super) async fn keep(store: Store, mut views: watch::Receiver<Arc<View>>, mut last: Vec<KeptMember>) {
    let mut failed = false;
    // The task ends its jobs; a watch that is closed before that has said all it had to say.
    while worth_a_look(&mut views, failed).await {
        let kept = living(&views.borrow_and_update());
        if kept == last && !failed {
            continue;
        }
        last = kept.clone();
        let store = store.clone();
        match spawn_blocking(move || store.remember(kept)).await {
            Ok(Ok(())) if failed => {
                failed = false;
                tracing::info!("the data folder can be written again");
            }
            Ok(Ok(())) => {}
            // Said once, not at every try.
            Ok(Err(_)) if failed => {}
            Ok(Err(error)) => {
                failed = true;
                tracing::warn!("{error}; trying again, and after a restart the join addresses have to do");
            }
            Err(error) => tracing::error!(%error, "keeping the members panicked"),
        }
        sleep(GAP).await;
    }
}

/// Waits for a change, or for the next try. Whether there will be another.
async fn worth_a_look(views: &mut watch::Receiver<Arc<View>>, failed: bool) -> bool {
    let changed = views.changed();
    if !failed {
        return changed.await.is_ok();
    }
    timeout(AGAIN, changed).await.is_ok_and(|changed| changed.is_ok()) || views.has_changed().is_ok()
}

fn living(view: &View) -> Vec<KeptMember> {
    let living = view.snapshot.members.values().filter(|m| m.liveness == Liveness::Alive);
    let others = living.filter(|m| m.name.as_str() != view.me.node);
    others.map(|m| KeptMember { name: m.name.clone(), addr: m.addr }).collect()
}
