//! What the cluster publishes: the newest view, at once when it changes, and rarely when it storms.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

use crate::model::{RawRecord, Snapshot};

/// Between two views. Long enough that a storm of changes costs one snapshot in it; short against anything a data
/// plane does, for a newcomer comes as two changes, itself and its record, and is served only after the second.
const GAP: Duration = Duration::from_millis(4);

/// What a node knows of its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Everybody, this node included. Its times count from [`super::Handle::started`].
    pub snapshot: Snapshot,
    /// What this node says of itself, as the others have it.
    pub me: RawRecord,
    /// The address that others use for this node.
    pub addr: SocketAddr,
}

/// Publishes views, at most one in each [`GAP`].
#[derive(Debug)]
pub(super) struct Publisher {
    views: watch::Sender<Arc<View>>,
    /// How many were published.
    published: u64,
    dirty: bool,
    /// The earliest time of the next one.
    earliest: Instant,
}

impl Publisher {
    pub(super) fn new(first: View) -> (Self, watch::Receiver<Arc<View>>) {
        let (views, receiver) = watch::channel(Arc::new(first));
        (Self { views, published: 0, dirty: false, earliest: Instant::now() }, receiver)
    }

    /// Something has changed.
    pub(super) fn touch(&mut self) {
        self.dirty = true;
    }

    /// When the next view is due, if one is.
    pub(super) fn due(&self) -> Option<Instant> {
        self.dirty.then_some(self.earliest)
    }

    /// Publishes what `view` makes, if it is time to.
    pub(super) fn publish(&mut self, view: impl FnOnce() -> View) {
        if self.due().is_some_and(|due| due <= Instant::now()) {
            self.flush(view);
        }
    }

    /// Publishes what `view` makes, if anything has changed, whatever the time.
    pub(super) fn flush(&mut self, view: impl FnOnce() -> View) {
        if std::mem::take(&mut self.dirty) {
            self.earliest = Instant::now() + GAP;
            self.published += 1;
            let mut view = view();
            view.snapshot.serial = self.published;
            self.views.send_replace(Arc::new(view));
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    fn view(version: u64) -> View {
        let snapshot = Snapshot { source: "gossip".into(), synced: true, ..Snapshot::default() };
        let me = RawRecord { version, ..RawRecord::default() };
        View { snapshot, me, addr: ([127, 0, 0, 1], 1).into() }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_change_shows_at_once_and_a_storm_now_and_then() {
        let (mut publisher, mut views) = Publisher::new(view(0));
        assert_eq!(publisher.due(), None);
        let mut seen = Vec::new();
        for version in 1..=100 {
            publisher.touch();
            publisher.publish(|| view(version));
            if views.has_changed().unwrap() {
                seen.push(views.borrow_and_update().me.version);
            }
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert_eq!(seen.len(), 25, "{seen:?}");
        assert!(publisher.due().is_some(), "the last change is forgotten");
        tokio::time::advance(GAP).await;
        publisher.publish(|| view(100));
        assert_eq!(views.borrow_and_update().me.version, 100);
        assert_eq!(publisher.due(), None);
    }
}
