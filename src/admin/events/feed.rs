//! The last events, and who listens: a ring of them, and a place in it for each listener.
//!
//! Bounded in both. Who listens too slowly to be told everything is cut off, and told so when it comes back.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    admin::{answers, line::Line},
    model::Event,
};

/// Events that are kept: those of a quarter of an hour in which a service changes every second.
pub(super) const KEPT: usize = 1024;
/// Listeners at a time.
pub(super) const LISTENERS: usize = 16;

/// The last events.
#[derive(Debug)]
pub(in crate::admin) struct Feed {
    ring: Mutex<Ring>,
    /// The id of the newest.
    newest: watch::Sender<u64>,
    closed: CancellationToken,
}

#[derive(Debug)]
struct Ring {
    /// The id of the first event of all.
    first: u64,
    /// The id of the next one.
    next: u64,
    kept: VecDeque<answers::Event>,
    listeners: Vec<Weak<Place>>,
}

/// Where a listener is.
#[derive(Debug)]
struct Place {
    /// The id of what it heard last.
    heard: AtomicU64,
    line: Line,
}

/// One who listens.
pub(super) struct Listener {
    feed: Arc<Feed>,
    place: Arc<Place>,
    newest: watch::Receiver<u64>,
    /// What it is to be told before anything else.
    gap: Option<answers::Event>,
}

impl Feed {
    /// One without events yet. Ids begin with the microseconds since 1970: those of a daemon that is started later are
    /// higher, and nobody takes one's for another's.
    pub(in crate::admin) fn new(now: SystemTime) -> Self {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let first = u64::try_from(since.as_micros()).unwrap_or(u64::MAX / 2).max(1);
        let ring = Ring { first, next: first, kept: VecDeque::new(), listeners: Vec::new() };
        Self { ring: Mutex::new(ring), newest: watch::channel(first - 1).0, closed: CancellationToken::new() }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells one. Listeners that have not heard what it pushes out are cut off.
    pub(super) fn tell(&self, at: SystemTime, event: Event) {
        let mut ring = self.ring();
        let id = ring.next;
        ring.next += 1;
        ring.kept.push_back(answers::Event::new(id, at, event));
        if ring.kept.len() > KEPT {
            ring.kept.pop_front();
            let oldest = ring.oldest();
            ring.listeners.retain(|place| place.upgrade().is_some_and(|place| !place.is_behind(oldest)));
        }
        drop(ring);
        self.newest.send_replace(id);
    }

    /// No more events: listeners hear the rest, and that is the end.
    pub(super) fn close(&self) {
        self.closed.cancel();
    }

    /// Listens: to what comes after the event `last`, else to what comes from now on. `None` where too many do.
    pub(super) fn listen(feed: &Arc<Self>, last: Option<u64>, line: &Line) -> Option<Listener> {
        let newest = feed.newest.subscribe();
        let mut ring = feed.ring();
        ring.listeners.retain(|place| place.strong_count() > 0);
        if ring.listeners.len() == LISTENERS {
            return None;
        }
        let gap = last.and_then(|last| ring.gap(last));
        let heard = match (last, &gap) {
            (None, _) => ring.next - 1,
            (Some(_), Some(gap)) => gap.id,
            (Some(last), None) => last,
        };
        let place = Arc::new(Place { heard: AtomicU64::new(heard), line: line.clone() });
        ring.listeners.push(Arc::downgrade(&place));
        drop(ring);
        Some(Listener { feed: Arc::clone(feed), place, newest, gap })
    }
}

impl Ring {
    /// The id of the oldest event that is kept; of the next one where none is.
    fn oldest(&self) -> u64 {
        self.kept.front().map_or(self.next, |event| event.id)
    }

    /// What to tell one who heard this event last, where what came after it is not kept. Its id is that of the event
    /// before the oldest, from where it goes on.
    fn gap(&self, last: u64) -> Option<answers::Event> {
        let after = last.saturating_add(1);
        let why = if after < self.first || after > self.next {
            "the daemon was started anew".to_owned()
        } else if after < self.oldest() {
            format!("only the last {KEPT} are kept")
        } else {
            return None;
        };
        let why = format!("after event {last}: {why}");
        Some(answers::Event::new(self.oldest() - 1, SystemTime::now(), Event::gap(why)))
    }
}

impl Place {
    /// Whether what it is to hear next is gone; then it is cut off.
    fn is_behind(&self, oldest: u64) -> bool {
        let heard = self.heard.load(Relaxed);
        let is_behind = heard + 1 < oldest;
        if is_behind {
            tracing::warn!(heard, "admin: a listener to /v1/events is too slow and is cut off; it may come back");
            self.line.cut();
        }
        is_behind
    }
}

impl Listener {
    /// What comes next, one event at least; `None` at the end. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Vec<answers::Event>> {
        if let Some(gap) = self.gap.take() {
            return Some(vec![gap]);
        }
        loop {
            // Before the look: what is told meanwhile is seen by it, or by the next one.
            let is_closed = self.feed.closed.is_cancelled();
            self.newest.borrow_and_update();
            let events = self.unheard();
            if let Some(last) = events.last() {
                self.place.heard.store(last.id, Relaxed);
                return Some(events);
            }
            if is_closed {
                return None;
            }
            // Cancel-safe: a watch keeps what was not seen, a token stays cancelled.
            tokio::select! {
                changed = self.newest.changed() => changed.ok()?,
                () = self.feed.closed.cancelled() => {}
            }
        }
    }

    fn unheard(&self) -> Vec<answers::Event> {
        let ring = self.feed.ring();
        let heard = self.place.heard.load(Relaxed);
        let skip = usize::try_from((heard + 1).saturating_sub(ring.oldest())).unwrap_or(usize::MAX);
        ring.kept.iter().skip(skip).cloned().collect()
    }
}
