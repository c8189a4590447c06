//! What the followers of stores have in common: how a session's end is told and the next one awaited, and what is said
//! of marks. It knows no store's protocol.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Following,
    frontends::{Backend, Frontends},
};
use crate::model::{Snapshot, SourceName};

/// How long it is waited before the next session, the first time and at most.
const AGAIN: Duration = Duration::from_millis(100);
const AGAIN_MAX: Duration = Duration::from_secs(5);
/// How long a mark stays: Hipache's own time, `deadBackendTTL`.
pub(super) const MARKED_SECONDS: u32 = 30;

/// What a follower publishes, and its work until the token is cancelled. Cut off anywhere it leaves what it published
/// last.
pub(super) fn follow<F: Future<Output: Send> + Send + 'static>(
    name: SourceName,
    stop: CancellationToken,
    run: impl FnOnce(watch::Sender<Arc<Snapshot>>) -> F,
) -> (watch::Receiver<Arc<Snapshot>>, Following) {
    let first = Snapshot { source: name, ..Snapshot::default() };
    let (sender, receiver) = watch::channel(Arc::new(first));
    let running = run(sender);
    let following = async move {
        let _stopped = stop.run_until_cancelled(running).await;
    };
    (receiver, Box::pin(following))
}

/// Ends when it changes; never where it cannot. Cancel-safe.
pub(super) async fn changed<T>(it: &mut Option<watch::Receiver<T>>) {
    if let Some(it) = it
        && it.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

/// Publishes what is known; where there is trouble, what was known before and the trouble.
pub(super) fn publish(sender: &watch::Sender<Arc<Snapshot>>, frontends: &Frontends, trouble: Option<String>) {
    let known = Arc::clone(&sender.borrow());
    let next = match trouble {
        Some(why) => Snapshot { trouble: Some(format!("{}: {why}", known.source)), ..Snapshot::clone(&known) },
        None => frontends.snapshot(),
    };
    if next != *known {
        sender.send_replace(Arc::new(next));
    }
}

/// The pauses between sessions: each twice the one before; a session of some length begins anew.
pub(super) struct Again(Duration);

impl Again {
    /// None was there yet.
    pub(super) fn new() -> Self {
        Self(AGAIN)
    }

    /// Waits, after a session that took `ran`.
    pub(super) async fn pause(&mut self, ran: Duration) {
        if ran > AGAIN_MAX {
            self.0 = AGAIN;
        }
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(AGAIN_MAX);
    }
}

/// What was said of the last failure to mark: nothing is said twice.
#[derive(Default)]
pub(super) struct Said(Option<String>);

impl Said {
    /// Says what came of marking these; whether they are marked.
    pub(super) fn outcome(&mut self, outcome: Result<(), String>, backends: &[Backend]) -> bool {
        let Err(why) = outcome else {
            for backend in backends {
                tracing::info!(host = backend.host, backend = backend.url, seconds = MARKED_SECONDS, "marked as dead");
            }
            self.0 = None;
            return true;
        };
        if self.0.as_ref() != Some(&why) {
            tracing::warn!("cannot mark a dead backend: {why}");
            self.0 = Some(why);
        }
        false
    }
}
