//! Follows what the daemon publishes and tells what is another about it.
//!
//! What becomes of a member is told with what follows for the set. That is known once the reconcile loop has gone by
//! the same snapshot, and what was applied once it was read back. Both are waited for, but not long: a data plane that
//! hangs holds up no word about members. What the loop did by an older snapshot follows from nothing newer: it is told
//! before.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::Feed;
use crate::{
    admin::Sources,
    model::{Event, Health, Snapshot, Status, events},
};

/// How long what happened waits for what follows from it, and what the loop did for what it did it by.
const PATIENCE: Duration = Duration::from_millis(500);
/// Events told in one go; then listeners have their turn.
const BATCH: usize = 64;

/// Tells the feed of everything until the token is cancelled.
pub(in crate::admin) async fn follow(feed: &Feed, sources: &Sources, stop: CancellationToken) {
    let mut looks = Looks::new(sources);
    loop {
        // Cancel-safe: watches keep what was not seen, and a moment comes again.
        let ends = tokio::select! {
            () = stop.cancelled() => true,
            () = looks.changed() => false,
        };
        for (told, (at, event)) in looks.look(ends).into_iter().enumerate() {
            feed.tell(at, event);
            if told % BATCH == BATCH - 1 {
                tokio::task::yield_now().await;
            }
        }
        if ends {
            return feed.close();
        }
    }
}

/// What became of a member, until it is told.
struct Turn {
    at: SystemTime,
    /// Which snapshot showed it.
    serial: u64,
    /// How long the loop is waited for.
    until: Instant,
    event: Event,
}

/// What was seen last.
struct Looks {
    start: Instant,
    members: watch::Receiver<Arc<Snapshot>>,
    status: Option<watch::Receiver<Arc<Status>>>,
    health: watch::Receiver<Vec<Health>>,
    seen_members: Arc<Snapshot>,
    seen_status: Arc<Status>,
    seen_health: Vec<Health>,
    /// What became of members that the loop may not have gone by yet.
    waiting: Vec<Turn>,
    /// How long the loop's newest word is waited with, where it is.
    until: Option<Instant>,
}

impl Looks {
    fn new(sources: &Sources) -> Self {
        let (members, health) = (sources.members.clone(), sources.health.clone());
        let (seen_members, seen_health) = (Arc::clone(&members.borrow()), health.borrow().clone());
        Self {
            start: sources.start,
            members,
            status: sources.status.clone(),
            health,
            seen_members,
            seen_status: Arc::default(),
            seen_health,
            waiting: Vec::new(),
            until: None,
        }
    }

    /// Ends when there may be something to tell. Cancel-safe.
    async fn changed(&mut self) {
        // What has ended says nothing any more, and the others go on.
        tokio::select! {
            Ok(()) = self.members.changed() => {}
            Ok(()) = self.health.changed() => {}
            Ok(()) = changed(self.status.as_mut()) => {}
            () = overdue(self.waiting.iter().map(|turn| turn.until).chain(self.until).min()) => {}
            () = std::future::pending() => {}
        }
    }

    /// What happened since the look before. The last look waits for nothing.
    fn look(&mut self, is_last: bool) -> Vec<(SystemTime, Event)> {
        let (at, now) = (SystemTime::now(), Instant::now());
        let checks = self.health.borrow_and_update().clone();
        let mut told = dated(at, events::checks(&self.seen_health, &checks));
        self.seen_health = checks;
        let members = Arc::clone(&self.members.borrow_and_update());
        let turned = events::members(&self.seen_members, &members).into_iter();
        self.waiting.extend(turned.map(|event| Turn { at, serial: members.serial, until: now + PATIENCE, event }));
        self.seen_members = members;
        let status = self.status.as_mut().map(|status| Arc::clone(&status.borrow_and_update()));
        let Some(status) = status else {
            told.extend(self.waiting.drain(..).map(|turn| (turn.at, turn.event)));
            return told;
        };
        let gone_by = gone_by(&status, &self.seen_members);
        let is_told = Arc::ptr_eq(&status, &self.seen_status);
        // The members come by another way, and may come later.
        let is_whole = is_settled(&status) && gone_by.is_none_or(|serial| serial <= self.seen_members.serial);
        let is_late = |until: Instant| is_last || now >= until;
        if is_told || is_whole || is_late(*self.until.get_or_insert(now + PATIENCE)) {
            let is_followed = |turn: &Turn| gone_by.is_none_or(|serial| turn.serial <= serial);
            let (followed, ahead) = self.waiting.drain(..).partition::<Vec<_>, _>(is_followed);
            self.waiting = ahead;
            let looped = events::loops(&self.seen_status, &status, &self.seen_members, now - self.start);
            let (moments, turned): (Vec<_>, Vec<_>) = followed.into_iter().map(|turn| (turn.at, turn.event)).unzip();
            let all = events::with_effects(turned, looped);
            // Those of the members come first, as they were.
            told.extend(moments.into_iter().chain(std::iter::repeat(at)).zip(all));
            (self.seen_status, self.until) = (status, None);
        }
        let (late, waiting) = self.waiting.drain(..).partition::<Vec<_>, _>(|turn| is_late(turn.until));
        self.waiting = waiting;
        told.extend(late.into_iter().map(|turn| (turn.at, turn.event)));
        told
    }
}

/// Whether the loop's last step came to its end: else what it applied last is still to be read back.
fn is_settled(status: &Status) -> bool {
    status.converged || status.waiting.is_some() || status.error.is_some() || status.stepped_at.is_none()
}

/// The snapshot of these members' source that the loop's last step went by; `None` where it goes by none of it ever.
fn gone_by(status: &Status, members: &Snapshot) -> Option<u64> {
    let of_gossip = status.sources.iter().find(|source| source.name == members.source);
    of_gossip.map(|source| source.serial)
}

fn dated(at: SystemTime, events: Vec<Event>) -> Vec<(SystemTime, Event)> {
    events.into_iter().map(|event| (at, event)).collect()
}

async fn overdue(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

async fn changed(status: Option<&mut watch::Receiver<Arc<Status>>>) -> Result<(), watch::error::RecvError> {
    match status {
        Some(status) => status.changed().await,
        None => std::future::pending().await,
    }
}
