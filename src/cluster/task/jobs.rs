//! What the task has others do: join, exchange, knock, write. Bounded, and gone with the task.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{sync::Semaphore, task::JoinSet};

use crate::cluster::{
    Handle, Settings,
    epoch::Kept,
    identity::Identity,
    join::{JoinAddr, Keeper, Progress},
    mailbox::Command,
    sync::{self, SyncError},
};

/// Exchanges at one time. The node asks for those that were turned away again.
const EXCHANGES: usize = 16;
/// Knocks at one time; more wait for their turn, within their own deadline.
const KNOCKS: usize = 64;
/// Knocks that run or wait; the others are not begun, which says nothing of whom they would have asked.
const KNOCKS_WAITING: usize = 1024;
/// Members of the last life that are tried at the start.
const REJOIN: usize = 8;

/// The futures of one task.
pub(super) struct Jobs {
    running: JoinSet<()>,
    handle: Handle,
    exchanges: Arc<Semaphore>,
    knocks: Arc<Semaphore>,
    knocks_waiting: Arc<Semaphore>,
}

impl Jobs {
    pub(super) fn new(handle: &Handle) -> Self {
        Self {
            running: JoinSet::new(),
            handle: handle.clone(),
            exchanges: Arc::new(Semaphore::new(EXCHANGES)),
            knocks: Arc::new(Semaphore::new(KNOCKS)),
            knocks_waiting: Arc::new(Semaphore::new(KNOCKS_WAITING)),
        }
    }

    /// Returns when one has ended; never while there is none.
    pub(super) async fn reap(&mut self) {
        match self.running.join_next().await {
            Some(Err(error)) if error.is_panic() => tracing::error!(%error, "a job of the cluster panicked"),
            Some(_) => {}
            None => std::future::pending().await,
        }
    }

    pub(super) fn spawn(&mut self, job: impl Future<Output = ()> + Send + 'static) {
        self.running.spawn(job);
    }

    /// Joins by every address, for ever; and by those that the last life knew, once.
    pub(super) fn join(&mut self, settings: &Settings, kept: &Kept) {
        let progress = Arc::new(Progress::default());
        for addr in settings.join.clone() {
            let keeper = Keeper::new(self.handle.joiner(), addr, self.handle.watch(), Arc::clone(&progress));
            self.spawn(keeper.run(|addr| async move { addr.resolve().await }));
        }
        if let (Some(limit), false) = (settings.join_timeout, settings.join.is_empty()) {
            let mailbox = self.handle.mailbox.clone();
            self.spawn(async move {
                let error = progress.give_up_after(limit).await;
                // Where the task is gone, it has given up already.
                let _ = mailbox.send(Command::GiveUp(error)).await;
            });
        }
        for member in kept.members.iter().take(REJOIN) {
            let (joiner, addr) = (self.handle.joiner(), JoinAddr::from(member.addr));
            self.spawn(async move {
                if let Err(why) = joiner.once(&addr).await {
                    tracing::debug!("rejoin: {why}");
                }
            });
        }
    }

    /// Exchanges with a member, if there is room.
    pub(super) fn exchange(&mut self, with: SocketAddr) {
        let Ok(room) = Arc::clone(&self.exchanges).try_acquire_owned() else { return };
        let handle = self.handle.clone();
        self.spawn(async move {
            let speaker = handle.speaker.borrow().clone();
            let result = sync::exchange(speaker, with, false, &handle.mailbox).await;
            handle.counters.exchanged(result.is_ok());
            if let Err(error) = result {
                if let SyncError::Rejected(why) = error {
                    handle.counters.rejected(why);
                }
                tracing::debug!("exchange: {with} {error}");
            }
            drop(room);
        });
    }

    /// Knocks at a suspect's port and reports what came of it, if there is room. A question knocks thrice, and
    /// is asked again.
    pub(super) fn knock(&mut self, who: Identity, within: Duration) {
        let Ok(place) = Arc::clone(&self.knocks_waiting).try_acquire_owned() else { return };
        let (knocks, mailbox) = (Arc::clone(&self.knocks), self.handle.mailbox.clone());
        self.spawn(async move {
            let knock = async {
                let _room = knocks.acquire().await;
                sync::knock(who.addr(), within).await
            };
            // One that had no turn in time says nothing: it is no answer of the suspect's.
            if let Ok(outcome) = tokio::time::timeout(within * 2, knock).await {
                // Where the task is gone, nobody needs to know.
                let _ = mailbox.send(Command::Asked(who, outcome)).await;
            }
            drop(place);
        });
    }
}
