//! What comes into the loop: snapshots of the sources, questions of leaving agents, queries of people.

use std::sync::Arc;

use futures_util::future::select_all;
use tokio::sync::{mpsc, oneshot, watch};

use crate::model::{Applied, Assumption, Fingerprint, Ledger, NoProposal, NodeName, Proposal, Snapshot, Unapplied};

/// Everything that comes into the loop.
pub struct Inbox {
    /// What the sources know.
    pub snapshots: Snapshots,
    /// Questions of agents that leave.
    pub questions: mpsc::Receiver<Question>,
    /// Queries of people.
    pub queries: mpsc::Receiver<Query>,
    /// What a life before remembered; empty where nothing was kept.
    pub kept: Ledger,
}

/// An agent asks whether the data plane has let go of it.
#[derive(Debug)]
pub struct Question {
    /// Which node.
    pub node: NodeName,
    /// From which (epoch, version) of its record on: that says what drains.
    pub age: (u64, u64),
    /// Whether what does not drain is asked about too: that it serves.
    pub serves: bool,
    /// Answered once the drain was read back, is idle, and is in the file.
    pub answer: oneshot::Sender<bool>,
}

/// A person asks.
#[derive(Debug)]
pub enum Query {
    /// What would be done now, or if.
    Plan {
        /// The what-if.
        assume: Vec<Assumption>,
        /// The proposal, or why there is none.
        answer: oneshot::Sender<Result<Box<Proposal>, NoProposal>>,
    },
    /// Apply exactly what was shown.
    Apply {
        /// What that was.
        shown: Box<Fingerprint>,
        /// What was done, once it was read back; or why nothing was.
        answer: oneshot::Sender<Result<Applied, Unapplied>>,
    },
    /// Let a held change go.
    Release {
        /// The hold, `h3c9`.
        hold: String,
        /// Whether there is such a hold.
        answer: oneshot::Sender<bool>,
    },
}

/// The newest snapshot of each source.
pub struct Snapshots(Vec<watch::Receiver<Arc<Snapshot>>>);

impl Snapshots {
    /// Follows these sources, of which there is at least one.
    pub fn new(sources: Vec<watch::Receiver<Arc<Snapshot>>>) -> Self {
        Self(sources)
    }

    /// Ends when a source has something new. Cancel-safe. A source that ended is silent for ever.
    pub async fn changed(&mut self) {
        let waits = self.0.iter_mut().map(|source| {
            Box::pin(async move {
                if source.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            })
        });
        select_all(waits).await;
    }

    /// What each source knows now.
    pub fn newest(&mut self) -> Vec<Snapshot> {
        self.0.iter_mut().map(|source| Snapshot::clone(&source.borrow_and_update())).collect()
    }
}
