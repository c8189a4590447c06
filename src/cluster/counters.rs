//! What the rim counts, for the metrics. Read at any time, written by the task and the exchanges.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{
    node::{Node, Refused},
    wire::Rejected,
};
use crate::model::{Histogram, Liveness, Moment};

/// The counters of one node. Only ever go up.
#[derive(Debug, Default)]
pub(super) struct Counters {
    packets_in: AtomicU64,
    packets_out: AtomicU64,
    packets_unsent: AtomicU64,
    rejected: [AtomicU64; Rejected::ALL.len()],
    exchanges_ok: AtomicU64,
    exchanges_failed: AtomicU64,
    probes_failed: AtomicU64,
    /// What the node counts itself.
    of_node: Mutex<OfNode>,
    /// Milliseconds and one since the start; 0 for never.
    heard: AtomicU64,
}

/// What the node counts itself.
#[derive(Debug, Default)]
struct OfNode {
    /// What it refused, once it was opened.
    refused: Refused,
    transitions: BTreeMap<Liveness, u64>,
    probe_times: Histogram,
    health_score: u8,
}

/// The counters at one moment, since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Datagrams received, those rejected included.
    pub packets_in: u64,
    /// Datagrams sent.
    pub packets_out: u64,
    /// Datagrams that the system did not take.
    pub packets_unsent: u64,
    /// Datagrams and frames not taken, by reason.
    pub rejected: Vec<(&'static str, u64)>,
    /// TCP exchanges, of either end, that came to their end.
    pub exchanges_ok: u64,
    /// TCP exchanges, of either end, that did not.
    pub exchanges_failed: u64,
    /// Probes of ours that got no answer.
    pub probes_failed: u64,
    /// How long those took that did.
    pub probe_times: Histogram,
    /// How well the node does by its own measure: 0 is well, 8 the worst.
    pub health_score: u8,
    /// How often others were found to be so, as newcomers or as they were not before.
    pub transitions: BTreeMap<Liveness, u64>,
}

impl Counters {
    pub(super) fn received(&self) {
        self.packets_in.fetch_add(1, Relaxed);
    }

    /// A packet of another node was taken.
    pub(super) fn heard(&self, now: Moment) {
        self.heard.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX).saturating_add(1), Relaxed);
    }

    pub(super) fn last_heard(&self) -> Option<Moment> {
        self.heard.load(Relaxed).checked_sub(1).map(Duration::from_millis)
    }

    pub(super) fn sent(&self, taken: bool) {
        if taken { &self.packets_out } else { &self.packets_unsent }.fetch_add(1, Relaxed);
    }

    pub(super) fn rejected(&self, why: Rejected) {
        if let Some(counter) = self.rejected.get(why.index()) {
            counter.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn exchanged(&self, ok: bool) {
        if ok { &self.exchanges_ok } else { &self.exchanges_failed }.fetch_add(1, Relaxed);
    }

    /// What the node counts itself. A node that began anew began to count anew: what is less is no news.
    pub(super) fn of_node(&self, node: &Node) {
        self.probes_failed.fetch_max(node.probes_failed(), Relaxed);
        let mut known = self.known();
        known.health_score = node.health_score();
        if known.probe_times.count() < node.probe_times().count() {
            known.probe_times = *node.probe_times();
        }
        most(&mut known.transitions, node.transitions());
        most(&mut known.refused, node.refused());
    }

    fn known(&self) -> MutexGuard<'_, OfNode> {
        self.of_node.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read(&self) -> Counts {
        let rejected = Rejected::ALL.iter().zip(&self.rejected);
        let rejected = rejected.map(|(why, count)| (why.reason(), count.load(Relaxed)));
        let known = self.known();
        Counts {
            packets_in: self.packets_in.load(Relaxed),
            packets_out: self.packets_out.load(Relaxed),
            packets_unsent: self.packets_unsent.load(Relaxed),
            rejected: rejected.chain(known.refused.iter().map(|(reason, count)| (*reason, *count))).collect(),
            exchanges_ok: self.exchanges_ok.load(Relaxed),
            exchanges_failed: self.exchanges_failed.load(Relaxed),
            probes_failed: self.probes_failed.load(Relaxed),
            probe_times: known.probe_times,
            health_score: known.health_score,
            transitions: known.transitions.clone(),
        }
    }
}

/// Of each count the higher one.
fn most<K: Copy + Ord>(known: &mut BTreeMap<K, u64>, counted: &BTreeMap<K, u64>) {
    for (of, count) in counted {
        let known = known.entry(*of).or_default();
        *known = (*known).max(*count);
    }
}
