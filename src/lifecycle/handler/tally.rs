//! What became of a handler's calls, for the metrics.

use std::{
    iter::Sum,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

/// How one call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ran {
    /// With status 0.
    Well,
    /// With another, or it did not start.
    Failed,
    /// Not in time: it was killed.
    Late,
}

/// The counters. Only ever go up, but for those that wait.
#[derive(Debug, Default)]
pub struct Tally {
    ok: AtomicU64,
    failed: AtomicU64,
    late: AtomicU64,
    dropped: AtomicU64,
    waiting: AtomicUsize,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandlerCounts {
    /// Calls that ended with status 0.
    pub ok: u64,
    /// Calls that ended with another.
    pub failed: u64,
    /// Calls that did not end in time.
    pub late: u64,
    /// User events that were dropped.
    pub dropped: u64,
    /// Calls that wait now.
    pub waiting: usize,
}

impl Tally {
    pub(super) fn ran(&self, how: Ran) {
        let counter = match how {
            Ran::Well => &self.ok,
            Ran::Failed => &self.failed,
            Ran::Late => &self.late,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(super) fn dropped(&self, count: u64) {
        self.dropped.fetch_add(count, Relaxed);
    }

    pub(super) fn waits(&self, count: usize) {
        self.waiting.store(count, Relaxed);
    }

    /// What was counted so far.
    pub fn read(&self) -> HandlerCounts {
        HandlerCounts {
            ok: self.ok.load(Relaxed),
            failed: self.failed.load(Relaxed),
            late: self.late.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            waiting: self.waiting.load(Relaxed),
        }
    }
}

impl Sum for HandlerCounts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            ok: sum.ok + one.ok,
            failed: sum.failed + one.failed,
            late: sum.late + one.late,
            dropped: sum.dropped + one.dropped,
            waiting: sum.waiting + one.waiting,
        })
    }
}
